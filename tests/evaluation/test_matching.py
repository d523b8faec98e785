"""Which mask answers which target: by what it is called, and as well as can be."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mediround.evaluation.matching import assign, best_overlaps
from mediround.evaluation.metrics import Overlap
from mediround.geometry import BoolMask

NAMES = st.sampled_from(["liver", "spleen", "aorta"])


@given(st.lists(NAMES, max_size=4), st.lists(st.none() | NAMES, max_size=4))
def test_targets_take_masks_by_name_then_in_order(
    targets: list[str], drawn: list[str | None]
) -> None:
    found = assign(targets, drawn)
    used = [place for place in found if place is not None]
    assert len(found) == len(targets)
    assert len(used) == len(set(used)) == min(len(targets), len(drawn))
    by_name = {name: min(targets.count(name), drawn.count(name)) for name in set(targets)}
    for name, count in by_name.items():
        own = [drawn[p] for t, p in zip(targets, found, strict=True) if t == name and p is not None]
        assert own.count(name) == count
    left = [p for t, p in zip(targets, found, strict=True) if p is not None and drawn[p] != t]
    assert left == sorted(left)


MASKS = st.lists(arrays.arrays(np.bool_, (4, 4)), max_size=4)


@settings(deadline=None)
@given(MASKS, MASKS)
def test_the_best_assignment_is_never_worse_than_the_order_drawn(
    targets: list[BoolMask], drawn: list[BoolMask]
) -> None:
    found = best_overlaps(targets, drawn)
    assert len(found) == len(targets)
    nothing = [Overlap.of(np.zeros_like(truth), truth) for truth in targets]
    plain = [Overlap.of(*pair) for pair in zip(drawn, targets, strict=False)]
    plain += nothing[len(plain) :]
    used = min(len(targets), len(drawn))
    # Compared on the partners alone: an empty truth without a partner has an IoU of 1.
    if used == len(targets):
        assert sum(o.iou for o in found) >= sum(o.iou for o in plain) - 1e-9


@given(st.permutations(range(3)))
def test_masks_in_any_order_are_found(order: list[int]) -> None:
    targets = [np.eye(3, dtype=bool)[[row]].repeat(3, axis=0) for row in range(3)]
    found = best_overlaps(targets, [targets[place] for place in order])
    assert [each.iou for each in found] == [1.0, 1.0, 1.0]
