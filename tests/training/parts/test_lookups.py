"""Made-up masks: the answer follows from what is written about them, and from nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mediround.data.scene.relations import RelationKind
from mediround.model.language_model import LanguageModel
from mediround.presets import tiny
from mediround.training.parts.alignment import UNKNOWN, Alignment
from mediround.training.parts.lookups import SIZES, Imagined, Lookups, written

NAMES = ("liver", "spleen", "aorta", "left kidney", "right kidney", "stomach")
KINDS = ("left_of", "right_of", "behind", "nearest_to")
LOOKUPS = Lookups(NAMES, KINDS)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_answer_is_what_the_references_say(seed: int) -> None:
    for each in LOOKUPS.draw(4, np.random.default_rng(seed)):
        first = each.references[0]
        if each.kind in SIZES:
            pick = max if each.kind is RelationKind.LARGER_OF else min
            assert each.target == pick(each.references, key=lambda mask: mask.area).entity
        elif each.kind is RelationKind.IDENTITY:
            assert each.target == first.entity
        elif each.kind is RelationKind.BETWEEN:
            one, two = ({*mask.around} - {UNKNOWN} for mask in each.references)
            assert one & two == {each.target}
            sides = [
                {KINDS[n] for n, near in enumerate(mask.around) if near == each.target}
                for mask in each.references
            ]
            opposite = {"left_of": "right_of", "right_of": "left_of"}
            assert any(opposite.get(side) in sides[1] for side in sides[0])
            assert each.target not in (mask.entity for mask in each.references)
        else:
            assert each.target == first.around[KINDS.index(each.kind)]
            assert each.target not in (UNKNOWN, first.entity)
        numbers = tuple(range(1, len(each.references) + 1))
        assert set(each.round.references) == set(numbers)
        assert each.round.targets == (len(numbers) + 1,)
        assert NAMES[each.target] in each.round.text or each.round.text.startswith("It is")


def test_equal_generators_draw_equal_lookups_of_every_kind() -> None:
    one, two = (LOOKUPS.draw(80, np.random.default_rng(4)) for _ in range(2))
    assert one == two
    wanted = {*map(RelationKind, KINDS), *SIZES, RelationKind.IDENTITY}
    assert {each.kind for each in one} == {*wanted, RelationKind.BETWEEN}


def test_nothing_lies_between_for_whom_sees_one_side_alone() -> None:
    drawn = Lookups(NAMES, ("left_of", "behind")).draw(80, np.random.default_rng(4))
    assert RelationKind.BETWEEN not in {each.kind for each in drawn}


def test_words_alone_do_not_tell_the_answer() -> None:
    drawn = LOOKUPS.draw(600, np.random.default_rng(5))
    behind = [each for each in drawn if each.kind is RelationKind.BEHIND]
    liver = [each.target for each in behind if each.references[0].entity == 0]
    assert len(set(liver)) >= 4


@pytest.fixture
def alignment() -> Alignment:
    language = LanguageModel.build(tiny().language, torch.float32)
    return Alignment(language, NAMES, 4)


class _Scale(torch.nn.Module):
    def scale(self, area: torch.Tensor) -> torch.Tensor:
        return area[:, None].expand(-1, tiny().language.width)


def test_masks_are_written_as_themselves_and_neighbours_with_doubt(alignment: Alignment) -> None:
    masks = [Imagined(0, 0.25, (3, 1, UNKNOWN)), Imagined(2, 0.5, (UNKNOWN, 4, 5))] * 50
    generator = torch.Generator().manual_seed(0)
    tokens = written(masks, alignment, _Scale(), generator)  # type: ignore[arg-type]
    assert tokens.shape == (100, 1 + 4 + 3, tiny().language.width)
    assert (tokens[:2, 0] == torch.tensor([[0.25], [0.5]])).all()
    own = tokens[:, 1:5] / alignment.scale
    apart = (own[:, None] - alignment.words[None]).pow(2).mean((2, 3))
    assert apart.argmin(1).tolist() == [0, 2] * 50
    near = tokens[:, 5:] / alignment.scale
    said = (near[:, :, None] - alignment.meaning).pow(2).mean(-1).argmin(-1)
    known = torch.cat([said[0::2, 0] == 3, said[0::2, 1] == 1, said[1::2, 1] == 4])
    assert 0.6 < known.float().mean() < 1
    assert near[0::2, 2].std() < 0.6  # no name
