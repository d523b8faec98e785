"""Losses and gradients of both stages: as recorded from the official code, and right without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from tests import official

from mediround.model.checkpoint import stored_name
from mediround.model.mediround import MediRound
from mediround.model.official.keys import to_official
from mediround.training.staged.objective import StageLoss, iou, judge_loss, mask_bce, mask_dice
from mediround.training.staged.official_losses import stage_loss
from mediround.training.staged.stages import freeze

BATCHES = {
    **{name: (name,) for name in official.DIALOGUES},
    "batch_B_C": official.DIALOGUES[1:3],
    "batch_A_B_C_D": official.DIALOGUES,
}
RELATIVE, COARSE = 1e-4, 1e-2
"""Of losses, and of what was computed in bfloat16."""


@pytest.fixture(scope="module")
def model(golden: Path) -> MediRound:
    return official.official_model(golden)


@pytest.fixture(scope="module")
def adapted(golden: Path) -> MediRound:
    return official.official_model(golden, lora=True)


def check(found: StageLoss, recorded: Mapping[str, float], within: float) -> None:
    said = found.judge if len(found.scores) else found.text
    assert float(said) == pytest.approx(recorded["ce_loss"], rel=within)
    assert float(found.bce) == pytest.approx(recorded["mask_bce_loss"], rel=RELATIVE)
    assert float(found.dice) == pytest.approx(recorded["mask_dice_loss"], rel=RELATIVE)
    assert float(found.total.detach()) == pytest.approx(recorded["loss"], rel=within)


@pytest.mark.parametrize("template", official.TEMPLATES)
@torch.no_grad()
def test_both_stages(golden: Path, model: MediRound, template: str) -> None:
    recorded = official.values(golden, "losses.json")
    for name, dialogues in BATCHES.items():
        key = f"{template}/{name}"
        if f"stage1/{key}" not in recorded:
            continue
        samples = [official.sample(golden, each, template) for each in dialogues]
        check(stage_loss(model, samples, 1), recorded[f"stage1/{key}"], RELATIVE)
        judged = stage_loss(model, samples, 2)
        wanted = recorded[f"stage2/{key}"]
        check(judged, wanted, COARSE)
        scores = [score for each in wanted["judge_scores"] for score in each]
        assert judged.scores.tolist() == pytest.approx(scores, abs=1e-4)
        ious = [value for each in wanted["judge_targets_iou"] for value in each]
        assert judged.ious.tolist() == pytest.approx(ious, abs=1e-3)


@torch.no_grad()
def test_both_stages_with_an_adapter(golden: Path, adapted: MediRound) -> None:
    for key, recorded in official.values(golden, "losses_lora.json").items():
        stage, template, name = key.split("/")
        samples = [official.sample(golden, each, template) for each in BATCHES[name]]
        number, within = (1, RELATIVE) if stage == "stage1" else (2, COARSE)
        check(stage_loss(adapted, samples, number), recorded, within)


@pytest.mark.parametrize("lora", [False, True], ids=["plain", "lora"])
@pytest.mark.parametrize("stage", [1, 2])
def test_what_is_trained_and_how_steep_it_is(golden: Path, *, lora: bool, stage: int) -> None:
    model = official.official_model(golden, lora=lora)
    freeze(model, stage)
    trained = {_official(n): p for n, p in model.named_parameters() if p.requires_grad}
    kind = "lora" if lora else "plain"
    listed = official.values(golden, f"trainable_stage{stage}_{kind}.json")["trainable"]
    assert set(trained) == {_plain(name) for name in listed}
    samples = [official.sample(golden, name) for name in BATCHES["batch_B_C"]]
    loss = stage_loss(model, samples, stage)
    loss.total.backward()  # type: ignore[no-untyped-call]
    file = f"grad_norms_{'lora_' if lora else ''}stage{stage}_batch_B_C.json"
    recorded = {_plain(n): v for n, v in official.values(golden, file).items()}
    norms = {
        name: 0.0 if p.grad is None else float(p.grad.double().norm())
        for name, p in trained.items()
    }
    judge = "model.mask_quality_MLP"
    for name, norm in recorded.items():
        within = COARSE if name.startswith(judge) else 1e-3
        assert norms[name] == pytest.approx(norm, rel=within, abs=1e-6), name
    assert all(norms[name] == 0 for name in set(norms) - set(recorded))


def _norm(gradient: torch.Tensor | None) -> float:
    return 0.0 if gradient is None else float(gradient.double().norm())


def _official(name: str) -> str:
    return to_official(stored_name(name))


def _plain(name: str) -> str:
    return stored_name(name.removeprefix("base_model.model."))


def test_hand_made_masks(golden: Path) -> None:
    recorded = official.values(golden, "losses_handmade.json")
    data = official.arrays(golden, "losses_handmade.npz")
    logits, targets = (torch.from_numpy(data[key]) for key in ("logits", "targets"))
    dice = mask_dice(logits, targets)
    assert dice.tolist() == pytest.approx(recorded["dice_per_mask"], rel=RELATIVE, abs=1e-6)
    assert float(dice.mean()) == pytest.approx(recorded["dice_all_num4"], rel=RELATIVE)
    bce = mask_bce(logits, targets)
    assert bce.tolist() == pytest.approx(recorded["bce_per_mask"], rel=RELATIVE)
    assert float(bce.mean()) == pytest.approx(recorded["bce_all_num4"], rel=RELATIVE)
    unscaled = mask_dice(logits, targets, scale=1.0)
    assert unscaled.tolist() == pytest.approx(recorded["dice_per_mask_scale1"], rel=RELATIVE)
    assert float(unscaled.mean()) == pytest.approx(recorded["dice_all_scale1"], rel=RELATIVE)
    true = iou(logits, targets)
    assert true.tolist() == pytest.approx(recorded["iou"], rel=RELATIVE)
    scores = torch.tensor(recorded["judge"]["scores"])
    exact, coarse = judge_loss(scores, true), judge_loss(scores, true, torch.bfloat16)
    assert float(exact) == pytest.approx(recorded["judge"]["bce_sum_fp32"], rel=RELATIVE)
    assert float(coarse) == pytest.approx(recorded["judge"]["bce_sum_bf16"], rel=COARSE)


def test_a_perfect_mask_costs_nothing_and_an_empty_one_everything() -> None:
    target = torch.zeros(1, 8, 8)
    target[:, 2:5, 2:5] = 1
    sure = (target * 2 - 1) * 60
    assert float(mask_dice(sure, target)) == pytest.approx(0, abs=1e-3)
    assert float(mask_bce(sure, target)) == pytest.approx(0, abs=1e-6)
    assert float(iou(sure, target)) == pytest.approx(1)
    assert float(mask_dice(-torch.full_like(target, 60), target)) == pytest.approx(1, abs=1e-3)
    assert float(iou(-torch.ones_like(target), target)) == 0
    assert float(iou(-torch.ones_like(target), torch.zeros_like(target))) == 0
