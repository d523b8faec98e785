"""Views are drawn evenly, or for the sake of rare entities."""

from collections import Counter

import numpy as np

from mediround.training.parts.view_choice import ViewChoice

SHOWN = {10: [0], 11: [0], 12: [0], 13: [0, 1]}
"""Entity 1 is in one view of four."""


def test_without_a_share_every_view_is_as_likely_and_nothing_is_sought() -> None:
    rng = np.random.default_rng(0)
    drawn = [ViewChoice(SHOWN, 0.0).draw(rng) for _ in range(4000)]
    counts = Counter(view for view, _ in drawn)
    assert all(abs(counts[view] - 1000) < 120 for view in SHOWN)
    assert {sought for _, sought in drawn} == {None}


def test_a_sought_entity_is_in_its_view_and_rare_ones_are_sought_as_often() -> None:
    rng = np.random.default_rng(0)
    drawn = [ViewChoice(SHOWN, 1.0).draw(rng) for _ in range(4000)]
    sought = Counter(entity for _, entity in drawn)
    assert set(sought) == {0, 1}
    assert abs(sought[1] - 2000) < 150
    assert all(entity in SHOWN[view] for view, entity in drawn)


def test_the_share_says_how_often_something_is_sought() -> None:
    rng = np.random.default_rng(0)
    choice = ViewChoice(SHOWN, 0.25)
    found = sum(choice.draw(rng)[1] is not None for _ in range(4000))
    assert abs(found - 1000) < 120
