"""What speaks for a structure's presence, and the weighing of candidates."""

from __future__ import annotations

import torch

from mediround.model.deduction import EVIDENCE, GROUPS, PRESENCE, Deduction, presence


def test_presence_counts_what_the_image_tokens_see_inside_the_mask() -> None:
    odds = torch.full((2, 8, 8), -4.0)
    odds[0, :4, :4] = 4.0  # the upper left of four cells
    cells = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.2, 0.8], [0.2, 0.8]])
    numbers = presence(odds, cells)
    assert numbers.shape == (2, PRESENCE)
    best, shared, surest, inside, area = numbers[0].tolist()
    assert best == inside == 1
    torch.testing.assert_close(torch.tensor([shared, surest]).exp(), torch.tensor([0.901, 0.901]))
    assert area == torch.tensor(17.0).log() / 5
    assert numbers.isfinite().all()  # of a mask of nothing too
    assert numbers[1, 4] == 0


def test_without_training_every_candidate_is_as_likely() -> None:
    evidence = torch.randn(4, EVIDENCE)
    torch.testing.assert_close(
        Deduction().chances("behind", evidence).exp(), torch.full((4,), 0.25)
    )


def test_relations_of_a_group_are_weighed_alike() -> None:
    torch.manual_seed(0)
    deduction, evidence = Deduction(), torch.randn(4, EVIDENCE)
    torch.nn.init.normal_(deduction.weights)
    told = {kind: deduction.chances(kind, evidence) for kind in GROUPS}
    assert torch.equal(told["left_of"], told["picture_above"])
    assert not torch.equal(told["left_of"], told["nearest_to"])
