"""What an image shows, all at once, and what it adds to masks."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mediround.config import ModelConfig, SceneConfig
from mediround.model.loading import compose
from mediround.model.mask_decoder import Decoded
from mediround.model.mediround import ImageFeatures, MediRound
from mediround.model.scene import Scene, Seen
from mediround.presets import tiny

NAMES = ("liver", "spleen", "aorta")


@pytest.fixture
def config() -> ModelConfig:
    return dataclasses.replace(
        tiny(), entities=NAMES, scene=SceneConfig(width=12, layers=1, heads=2)
    )


@pytest.fixture
def scene(config: ModelConfig) -> Scene:
    torch.manual_seed(0)
    return Scene.build(config, len(NAMES)).eval().requires_grad_(False)


@pytest.fixture
def trunk() -> torch.Tensor:
    return torch.randn(2, 16, 16, 16, generator=torch.Generator().manual_seed(1))


def test_every_place_sees_every_other(scene: Scene, trunk: torch.Tensor) -> None:
    grid = torch.zeros(2, 16, 16, 16)
    logits = scene(trunk, grid)
    assert logits.shape == (2, 1 + len(NAMES), 64, 64)
    trunk[:, :, 0, 0] += 5
    assert (scene(trunk, grid) != logits).any(1).all()


def test_images_of_a_batch_do_not_see_each_other(scene: Scene, trunk: torch.Tensor) -> None:
    grid = trunk.flip(1)
    alone = [scene(one[None], other[None]) for one, other in zip(trunk, grid, strict=True)]
    torch.testing.assert_close(scene(trunk, grid), torch.cat(alone))


def test_odds_are_those_of_the_probabilities(scene: Scene, trunk: torch.Tensor) -> None:
    grid = trunk.flip(1)
    chances = scene(trunk[:1], grid[:1]).softmax(1)[0, 1:]
    torch.testing.assert_close(scene.odds(trunk[:1], grid[:1]), chances.logit())
    scene.tell.weight.mul_(1e4)
    assert scene.odds(trunk[:1], grid[:1]).abs().max() == 12


def test_masks_that_overlap_are_blended_by_their_share() -> None:
    logits, odds = torch.rand(1, 3, 4, 4) + 1, torch.rand(3, 4, 4) + 2
    decoded = Decoded(logits, torch.zeros(1, 3, 8), torch.zeros(1, 3))
    share, certainty = torch.tensor([0.0, 1.0, 0.5]), torch.tensor([1.0, 1.0, 0.5])
    drawn = Seen(odds, share, certainty).added_to(decoded).logits[0]
    wanted = torch.stack([logits[0, 0], odds[1], logits[0, 2].lerp(odds[2], 0.25)])
    torch.testing.assert_close(drawn, wanted)


def test_of_masks_apart_the_scene_has_its_own_where_it_is_sure() -> None:
    here = torch.full((4, 8), -6.0)
    here[:, :4] = 6
    odds = torch.stack([here, here.clamp(max=0.1), here])
    logits = here.flip(1).expand(1, 3, 4, 8)
    decoded = Decoded(logits, torch.zeros(1, 3, 8), torch.zeros(1, 3))
    drawn = Seen(odds, torch.full((3,), 0.5), torch.tensor([1.0, 1.0, 0.5])).added_to(decoded)
    wanted = torch.stack([here, logits[0, 1], logits[0, 2].lerp(here, 0.5)])
    torch.testing.assert_close(drawn.logits[0], wanted)


def test_agreement_is_the_overlap_of_both() -> None:
    odds = torch.full((3, 10, 10), -30.0)
    odds[:, :4, :5] = 30
    logits = odds.clone()[None]
    logits[0, 1], logits[0, 2] = odds[1].roll(2, 0), -30
    decoded = Decoded(logits, torch.zeros(1, 3, 8), torch.zeros(1, 3))
    both = Seen(odds, torch.zeros(3), torch.ones(3)).added_to(decoded)
    assert both.agreement is not None
    torch.testing.assert_close(both.agreement[0], torch.tensor([40 / 41, 20 / 41, 0.0]))
    one = both.of(torch.tensor([1])).agreement
    assert one is not None
    assert torch.equal(one, both.agreement[:, 1:2])
    assert torch.equal(both.logits[0], torch.stack([logits[0, 0], logits[0, 1], odds[2]]))


@pytest.fixture
def seeing(config: ModelConfig) -> tuple[MediRound, ImageFeatures]:
    model = compose(config).eval().requires_grad_(False)
    assert model.codebook is not None
    states = torch.randn(3, model.language.width, generator=torch.Generator().manual_seed(2))
    model.codebook.codes.data.copy_(model.projection(3 * states))
    image = model.see(torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(3)))
    return model, image


def test_masks_are_blended_as_far_as_their_structure_is_certain(
    seeing: tuple[MediRound, ImageFeatures], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediround.model.scene._APART", 0.0)  # random masks hardly overlap
    model, image = seeing
    assert model.scene is not None
    states = torch.randn(3, model.language.width, generator=torch.Generator().manual_seed(2))
    plain = model.draw(image, 3 * states[1:2])
    assert plain.certainty[0] > 0.9
    model.scene.share[1] = 0.5
    assert image.odds is not None
    odds = image.odds[1].float()
    wanted = plain.logits[0].lerp(odds, 0.5 * float(plain.certainty[0]))
    torch.testing.assert_close(model.draw(image, 3 * states[1:2]).logits[0], wanted)
    other = model.draw(image, 3 * states[:1], structure=1).logits[0]
    torch.testing.assert_close(other, model.draw(image, states[2:], structure=1).logits[0])
    model.scene.share[1] = 0.0
    assert torch.equal(model.draw(image, 3 * states[1:2]).logits, plain.logits)
