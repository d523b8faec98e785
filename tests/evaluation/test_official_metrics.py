"""The official loop's numbers from the same masks, and the exact ones beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mediround.evaluation.metrics import Overlap, Scores
from mediround.evaluation.official_metrics import (
    OfficialMeter,
    OfficialScores,
    smoothed_dice,
    smoothed_iou,
)
from mediround.imaging.raster import read_mask
from mediround.quirks import OfficialQuirks

OFFICIAL = OfficialQuirks.all()
Pair = tuple[NDArray[np.bool_], NDArray[np.bool_]]
Masks = dict[str, Pair]


@pytest.fixture(scope="module")
def recorded(golden: Path) -> Any:
    return json.loads((golden / "golden" / "metrics_handmade.json").read_text())


@pytest.fixture(scope="module")
def masks(golden: Path) -> Masks:
    arrays = np.load(golden / "golden" / "metrics_handmade.npz")
    return {
        str(name): (arrays["pred"][n] > 0, arrays["gt"][n] > 0)
        for n, name in enumerate(arrays["names"])
    }


def test_recorded_terms_of_one_mask(recorded: Any, masks: Masks) -> None:
    for case in recorded["cases"]:
        overlap = Overlap.of(*masks[case["case"]])
        assert overlap.intersection == case["intersection"][1]
        assert overlap.union == case["union"][1]
        assert smoothed_iou(overlap) == pytest.approx(case["iou_after_rule"][1], abs=1e-7)
        assert smoothed_dice(overlap) == pytest.approx(case["dice_after_rule"][1], abs=1e-7)


def test_recorded_runs_of_one_mask(recorded: Any, masks: Masks) -> None:
    assert len(recorded["single_case_runs"]) == len(masks)
    for name, wanted in recorded["single_case_runs"].items():
        scores = OfficialScores(OFFICIAL)
        scores.add(0, *masks[name])
        assert scores.scalars() == pytest.approx(wanted, abs=1e-7)


def test_recorded_run_of_a_data_set(recorded: Any, masks: Masks) -> None:
    scores = OfficialScores(OFFICIAL)
    for names in recorded["dataset_run"]["dialogues"].values():
        for place, name in enumerate(names):
            scores.add(place, *masks[name])
    assert scores.scalars() == pytest.approx(recorded["dataset_run"]["scalars"], abs=1e-7)


def test_recorded_threshold_of_logits(recorded: Any) -> None:
    """A logit of exactly 0 is background, the smallest positive one is foreground."""
    logits = np.zeros((8, 8), np.float32)
    logits[2:4, 2:6] = np.finfo(np.float32).tiny
    truth = np.zeros((8, 8), bool)
    truth[2:4, 2:6] = True
    scores = OfficialScores(OFFICIAL)
    scores.add(0, logits > 0, truth)
    wanted = recorded["logit_zero_is_background_tiny_positive_is_foreground"]
    assert scores.scalars() == pytest.approx(wanted, abs=2e-6)


def test_recorded_limit_of_rounds_is_none_of_ours(golden: Path) -> None:
    quirks = json.loads((golden / "golden" / "quirks.json").read_text())
    assert quirks["thirteen_rounds"]["raises"] == "IndexError"
    scores = OfficialScores(OFFICIAL)
    for place in range(30):
        scores.add(place, np.ones((3, 3), bool), np.ones((3, 3), bool))
    assert len(scores.rounds()) == 30


DIALOGUES = (
    "A_one_round",
    "B_three_rounds_back_to_first",
    "C_five_rounds_mixed",
    "D_four_rounds_chain",
)


@pytest.mark.parametrize(
    "mode", ["teacher_forced", "self_predicted", "self_predicted_jcm", "teacher_forced_jcm"]
)
def test_recorded_modes_from_their_masks(golden: Path, mode: str) -> None:
    """The masks are recorded too, so that the metrics are checked apart from the model."""
    wanted = json.loads((golden / "golden" / "metrics_modes.json").read_text())[mode]
    together = OfficialScores(OFFICIAL)
    for name in DIALOGUES:
        alone = OfficialScores(OFFICIAL)
        for place, (predicted, truth) in enumerate(rounds(golden, name, mode)):
            alone.add(place, predicted, truth)
            together.add(place, predicted, truth)
        assert alone.scalars() == pytest.approx(wanted[name], abs=1e-7), name
    assert together.scalars() == pytest.approx(wanted["all_dialogues"], abs=1e-7)
    total = together.all()
    assert [total.giou, total.ciou] == pytest.approx(wanted["return_giou_ciou"], abs=1e-7)


def rounds(golden: Path, name: str, mode: str) -> list[Pair]:
    recorded = np.load(golden / "golden" / name / f"mode_{mode}.npz")
    count, *shape = (int(n) for n in recorded["mask_shape"])
    bits = np.unpackbits(recorded["mask_bits"], axis=1)[:, : shape[0] * shape[1]]
    predicted = bits.reshape(count, *shape).astype(bool)
    paths = [golden / "data" / "masks" / f"{name[0]}_r{place}.png" for place in range(count)]
    return [(mask, read_mask(path)) for mask, path in zip(predicted, paths, strict=True)]


PAIRS = st.lists(
    st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1)), min_size=1, max_size=12
)


def grid(bits: int) -> NDArray[np.bool_]:
    return np.array([bits >> n & 1 for n in range(16)], bool).reshape(4, 4)


@given(PAIRS)
def test_without_the_quirk_the_ratios_are_exact(pairs: list[tuple[int, int]]) -> None:
    exact, smoothed = OfficialMeter(), OfficialMeter(OFFICIAL)
    overlaps = []
    for one, other in pairs:
        exact.add(grid(one), grid(other))
        smoothed.add(grid(one), grid(other))
        overlaps.append(Overlap.of(grid(one), grid(other)))
    right, near = exact.scores(), smoothed.scores()
    assert right == Scores.over(overlaps)
    # One pixel against one: smoothing takes 2e-5, and float32 a little more.
    assert near.giou == pytest.approx(right.giou, abs=2.1e-5)
    assert near.dice == pytest.approx(right.dice, abs=2.1e-5)
    if any(overlap.union for overlap in overlaps):
        assert near.ciou == pytest.approx(right.ciou, abs=1e-6)
    else:
        assert (near.ciou, right.ciou) == (0, 1)


def test_nothing_added() -> None:
    assert OfficialMeter(OFFICIAL).scores() == Scores(0, None, None, None)
    assert OfficialScores(OFFICIAL).scalars() == {}
