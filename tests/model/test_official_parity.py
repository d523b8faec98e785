"""Our model in the paper's configuration gives what the official code was recorded to give."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests import official
from torch import Tensor

from mediround.errors import DatasetError
from mediround.evaluation.official_metrics import OfficialScores
from mediround.model.mediround import MediRound
from mediround.model.official.forward import Passed, draw, pass_through
from mediround.model.official.inputs import CLIP_MEAN, CLIP_STD
from mediround.model.official.rollout import Outcome, Rollout
from mediround.model.official.sample import Sample, prepare
from mediround.quirks import OfficialQuirks

STATES, LOGITS = 1e-4, 5e-4
PIXELS = 20
"""Pixels of a mask that may differ: those whose logit is next to 0."""
SUMS = 1e-6
"""Of boxes and metrics: single precision, where masks agree to the last pixel."""

MODES = {
    "teacher_forced": (False, False),
    "self_predicted": (True, False),
    "teacher_forced_jcm": (False, True),
    "self_predicted_jcm": (True, True),
}

Rolled = Callable[[str, str], tuple[list[Outcome], Tensor]]


@pytest.fixture(scope="module")
def model(golden: Path) -> MediRound:
    return official.official_model(golden)


@pytest.fixture(scope="module")
def rolled(golden: Path, model: MediRound) -> Rolled:
    """``rolled(dialogue, mode)``: rounds and final crops, each computed once."""
    found: dict[tuple[str, str], tuple[list[Outcome], Tensor]] = {}

    def roll(dialogue: str, mode: str) -> tuple[list[Outcome], Tensor]:
        if (dialogue, mode) not in found:
            predicted, correct = MODES[mode]
            sample, refers = official.sample(golden, dialogue), official.refers(golden, dialogue)
            made = Rollout(model, sample, refers, predicted=predicted, correct=correct)
            found[dialogue, mode] = list(made.rounds()), made.crops
        return found[dialogue, mode]

    return roll


def near(found: Tensor, recorded: NDArray[Any], within: float) -> None:
    torch.testing.assert_close(
        found, torch.from_numpy(recorded).to(found.dtype), atol=within, rtol=0
    )


def brightness(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    """The 0..255 values behind CLIP's normalised pixels (3, H, W)."""
    mean, std = (np.array(v)[:, None, None] for v in (CLIP_MEAN, CLIP_STD))
    return np.asarray((pixels * std + mean) * 255)


def few_differ(logits: Tensor, recorded: NDArray[np.bool_]) -> int:
    """How many pixels of all masks differ."""
    assert logits.shape == recorded.shape
    differing = ((logits > 0).numpy() != recorded).sum((-2, -1))
    assert differing.max() <= PIXELS, differing
    return int(differing.sum())


@torch.inference_mode()
def passed(model: MediRound, sample: Sample) -> Passed:
    (found,) = pass_through(model, [sample])
    return found


@pytest.mark.parametrize("dialogue", official.DIALOGUES)
@torch.inference_mode()
def test_everything_between_pixels_and_masks(golden: Path, model: MediRound, dialogue: str) -> None:
    recorded = official.arrays(golden, f"{dialogue}/forward_teacher_forced.npz")
    meta = official.values(golden, "forward_meta.json")[dialogue]
    sample = official.sample(golden, dialogue)
    found = passed(model, sample)
    assert len(found.vectors) == meta["seq_len"]
    near(found.vectors, recorded["inputs_embeds"], STATES)
    near(found.hidden, recorded["hidden_full"], STATES)
    near(found.states, recorded["hidden_seg"], STATES)
    places = [place - 1 for place, _ in sample.prompt.seg]
    assert places == recorded["seg_positions_expanded"].tolist()
    near(found.prompts[:, 0], recorded["seg_embeddings"], STATES)
    near(found.grid[0, ::4, ::4, ::4], recorded["sam_embedding_stride4"], STATES)
    assert float(found.grid.mean()) == pytest.approx(meta["sam_emb_mean"], abs=1e-6)
    assert float(found.grid.std()) == pytest.approx(meta["sam_emb_std"], abs=1e-5)
    decoded, logits = draw(model, sample, found.prompts, found.grid)
    near(decoded.logits[0], recorded["low_res_logits"], LOGITS)
    near(decoded.iou[0, :, None], recorded["iou_pred"], STATES)
    near(logits[:, ::8, ::8], recorded["mask_logits_stride8"], LOGITS)
    few_differ(logits, official.masks(recorded["mask_bits"], recorded["mask_shape"]))
    wanted = official.masks(recorded["gt_bits"], recorded["mask_shape"])
    assert np.array_equal(sample.targets.numpy() > 0, wanted)
    fractions = (logits > 0).float().mean((1, 2)).tolist()
    assert fractions == pytest.approx(meta["foreground_fraction"], abs=PIXELS / wanted[0].size)
    assert logits.double().sum((1, 2)).tolist() == pytest.approx(meta["mask_logit_sum"], rel=1e-5)


@pytest.mark.parametrize("dialogue", official.DIALOGUES)
@torch.inference_mode()
def test_the_other_template(golden: Path, model: MediRound, dialogue: str) -> None:
    recorded = official.arrays(golden, f"{dialogue}/forward_teacher_forced_llava_v1.npz")
    sample = official.sample(golden, dialogue, "llava_v1")
    _compare_sparse(model, sample, recorded)


@pytest.mark.parametrize("dialogue", official.DIALOGUES)
@torch.inference_mode()
def test_with_an_adapter(golden: Path, dialogue: str) -> None:
    recorded = official.arrays(golden, f"{dialogue}/lora_forward_teacher_forced.npz")
    model = official.official_model(golden, lora=True)
    _compare_sparse(model, official.sample(golden, dialogue), recorded)


@torch.inference_mode()
def test_merging_an_adapter_changes_nothing(golden: Path) -> None:
    model = official.official_model(golden, lora=True)
    sample = official.sample(golden, "B_three_rounds_back_to_first")
    apart = passed(model, sample)
    model.language.merge_adapter()
    torch.testing.assert_close(passed(model, sample).states, apart.states, atol=1e-4, rtol=0)


def _compare_sparse(model: MediRound, sample: Sample, recorded: dict[str, NDArray[Any]]) -> None:
    found = passed(model, sample)
    near(found.states, recorded["hidden_seg"], STATES)
    near(found.prompts[:, 0], recorded["seg_embeddings"], STATES)
    decoded, logits = draw(model, sample, found.prompts, found.grid)
    near(decoded.logits[0, :, ::4, ::4], recorded["low_res_logits_stride4"], LOGITS)
    shape = np.array(logits.shape)
    few_differ(logits, official.masks(recorded["mask_bits"], shape))


@pytest.mark.parametrize("template", official.TEMPLATES)
@torch.inference_mode()
def test_dialogues_of_different_lengths_in_one_batch_as_alone(
    golden: Path, model: MediRound, template: str
) -> None:
    names = official.values(golden, f"batch_B_C_{template}.json")["order"]
    samples = [official.sample(golden, name, template) for name in names]
    for sample, together in zip(samples, pass_through(model, samples), strict=True):
        alone = passed(model, sample)
        torch.testing.assert_close(together.hidden, alone.hidden, atol=STATES, rtol=0)
        torch.testing.assert_close(together.grid, alone.grid, atol=STATES, rtol=0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dialogue", official.DIALOGUES)
def test_inference_round_by_round(golden: Path, rolled: Rolled, dialogue: str, mode: str) -> None:
    recorded = official.arrays(golden, f"{dialogue}/mode_{mode}.npz")
    meta = official.values(golden, "modes_meta.json")[mode][dialogue]
    found, crops = rolled(dialogue, mode)
    near(torch.stack([r.state for r in found]), recorded["current_seg_hidden"], STATES)
    near(torch.stack([r.prompt[0] for r in found]), recorded["current_seg_embedding"], STATES)
    low = torch.stack([r.low_res[::4, ::4] for r in found])
    near(low, recorded["low_res_logits_stride4"], LOGITS)
    logits = torch.stack([r.logits for r in found])
    near(logits[:, ::8, ::8], recorded["mask_logits_stride8"], LOGITS)
    masks = official.masks(recorded["mask_bits"], recorded["mask_shape"])
    flipped = few_differ(logits, masks)
    assert [r.corrected for r in found] == recorded["refined"].tolist()
    scores = [np.nan if r.score is None else r.score for r in found]
    np.testing.assert_allclose(scores, recorded["judge_scores"], atol=1e-4)
    # A pixel that another machine's rounding flips moves an edge by as far as it lies out: boxes
    # and crops are then compared in the test of updated references, from recorded masks.
    edges = 0.01 if flipped else SUMS
    near(found[-1].boxes, recorded["final_ref_boxes"], edges)
    kept_crops = recorded["final_ref_u8"]  # not recorded where they are the annotated ones
    assert len(kept_crops) in (0, len(crops))
    for crop, wanted in zip(crops.numpy(), kept_crops, strict=False):
        differing = np.abs(brightness(crop) - wanted) > 0.5
        assert differing.mean() <= (0.01 if flipped else 0)
    for each, kept in zip(found, meta, strict=True):
        assert each.score == pytest.approx(kept["judge_score"], abs=1e-4)
        assert each.corrected == kept["refined"]
        assert int((each.logits > 0).sum()) == pytest.approx(kept["foreground_pixels"], abs=PIXELS)
        boxes = np.array(kept["boxes_in"], np.float32).reshape(-1, 4)
        near(each.boxes, boxes, edges)


@pytest.mark.parametrize("mode", MODES)
def test_metrics_of_the_validation_loop(golden: Path, rolled: Rolled, mode: str) -> None:
    recorded = official.values(golden, "metrics_modes.json")[mode]
    everything, within = OfficialScores(official.OFFICIAL), SUMS
    for dialogue in official.DIALOGUES:
        kept = official.arrays(golden, f"{dialogue}/mode_{mode}.npz")
        masks = official.masks(kept["mask_bits"], kept["mask_shape"])
        if few_differ(torch.stack([r.logits for r in rolled(dialogue, mode)[0]]), masks):
            within = 1e-3  # 20 pixels of the smallest structure; see PIXELS
        alone = OfficialScores(official.OFFICIAL)
        targets = official.sample(golden, dialogue).targets.numpy() > 0
        for place, outcome in enumerate(rolled(dialogue, mode)[0]):
            drawn = (outcome.logits > 0).numpy()
            alone.add(place, drawn, targets[place])
            everything.add(place, drawn, targets[place])
        assert alone.scalars() == pytest.approx(recorded[dialogue], abs=within)
    assert everything.scalars() == pytest.approx(recorded["all_dialogues"], abs=within)


def test_the_first_target_decides_the_size_of_masks_only_as_a_quirk(golden: Path) -> None:
    recorded = official.values(golden, "quirks.json")
    wanted = recorded["output_size_follows_first_target_mask_not_image"]
    picture = np.zeros((*wanted["image"], 3), np.uint8)
    prompt = official.recorded_prompt(golden, "A_one_round", "mistral_instruct")
    target = np.zeros(wanted["target"], bool)
    for quirks, size in ((official.OFFICIAL, wanted["pred"][1:]), (None, wanted["image"])):
        config = official.official_config()
        if quirks is None:
            config = dataclasses.replace(config, quirks=OfficialQuirks())
        assert prepare(config, picture, prompt, [], [target]).size == tuple(size)


def test_a_dialogue_beyond_the_context_is_refused(golden: Path) -> None:
    config = official.official_config()
    language = dataclasses.replace(config.language, context=600)
    config = dataclasses.replace(config, language=language)
    prompt = official.recorded_prompt(golden, "A_one_round", "mistral_instruct")
    picture = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(DatasetError, match="609 positions.*at most 600"):
        prepare(config, picture, prompt, [], [np.zeros((64, 64), bool)])
