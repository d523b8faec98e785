"""``mediround demo``: the choice of the slice, the script, what it leaves behind."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from rich.console import Console

from mediround import anatomy, weights
from mediround.cli import main
from mediround.cli.demo import SCRIPT, Step, show_demo
from mediround.cli.sample import LabelledVolume, dice
from mediround.dialogue import markers
from mediround.errors import DatasetError
from mediround.session import load

Answers = Callable[..., None]

nib: Any = nibabel

STRUCTURES = {
    "kidney_right": 2,
    "kidney_left": 3,
    "liver": 5,
    "stomach": 6,
    "aorta": 52,
    "inferior_vena_cava": 63,
    "no_such_thing": 99,
}
WANTED = [name for step in SCRIPT for name in step.targets]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small sample: every structure a box on slices 2 to 5, the kidney largest on slice 4."""
    labels = np.zeros((48, 40, 7), dtype=np.uint8)
    for place, value in enumerate(list(STRUCTURES.values())[:6]):
        labels[2 + 7 * place : 7 + 7 * place, 5:30, 2:6] = value
    labels[2:7, 2:36, 4] = 2
    voxels = np.where(labels > 0, 60.0, -50.0) + np.arange(7) * 0.1
    voxels[:, :2], voxels[:, -2:] = -1000, -1000
    affine = np.diag([-1.0, 1.0, 2.5, 1.0])
    sample = tmp_path / "sample"
    sample.mkdir()
    nib.save(nib.Nifti1Image(voxels.astype(np.int16), affine), sample / "cxr.nii.gz")
    nib.save(nib.Nifti1Image(labels, affine), sample / "mask.nii.gz")
    with (sample / "structures.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["group", "original_idx", "structure", "id"])
        writer.writerows(["organs", value, name, value] for name, value in STRUCTURES.items())
    return sample


def test_labels_are_named_and_the_fullest_slice_found(folder: Path) -> None:
    sample = LabelledVolume.read(folder)
    assert sample.values["right kidney"] == 2
    assert sample.values["inferior vena cava"] == 63
    assert len(sample.values) == 6
    assert sample.best_slice(WANTED) == 4
    assert sample.truth("right kidney", 4).sum() == 5 * 34
    # The first voxel axis runs to the patient's left: the right kidney is at the left edge.
    assert sample.truth("right kidney", 4)[:, :10].any()


def test_structures_that_never_meet_are_refused(folder: Path) -> None:
    sample = LabelledVolume.read(folder)
    labels = sample.labels.copy()
    labels[labels == 5] = 0
    labels[10, 10, 0] = 5
    apart = LabelledVolume(sample.path, sample.volume, labels, sample.values)
    with pytest.raises(DatasetError, match="no slice shows"):
        apart.best_slice(["liver", "aorta"])


def test_labels_on_another_grid_are_refused(folder: Path) -> None:
    other = nib.Nifti1Image(np.zeros((48, 40, 6), np.uint8), np.eye(4))
    nib.save(other, folder / "mask.nii.gz")
    with pytest.raises(DatasetError, match="another grid"):
        LabelledVolume.read(folder)


def test_dice() -> None:
    one, other = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert dice(one, other) == 1
    one[:2] = True
    assert dice(one, other) == 0
    other[1:3] = True
    assert dice(one, other) == 0.5
    assert dice(one, one) == 1


def test_the_script_asks_only_for_what_the_atlas_knows_and_what_was_drawn_before() -> None:
    atlas = anatomy.load()
    assert len(SCRIPT) >= 4
    assert sum("{" in step.query for step in SCRIPT) >= 3
    for number, step in enumerate(SCRIPT, start=1):
        assert all(atlas[target].name == target for target in step.targets)
        filled = step.query.replace("{", "[").replace("}", "]")
        assert all(reference < number for reference in markers(filled))


def test_the_command_writes_everything_and_compares(
    folder: Path,
    tmp_path: Path,
    answers: Answers,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(weights, "path", lambda name, progress: folder)
    texts, number = [], 0
    for step in SCRIPT:
        numbers = range(number + 1, number + 1 + len(step.targets))
        texts.append(
            " ".join(f"The {t} is [{n}]." for t, n in zip(step.targets, numbers, strict=True))
        )
        number = numbers[-1]
    answers(*texts)
    out = tmp_path / "out"
    assert main(["demo", "--out", str(out), "--model", "tiny"]) == 0
    printed = capsys.readouterr()
    assert "axial slice 4 of 7" in printed.out
    assert "Research use only" in printed.out
    assert f"over {number} structures" in printed.out
    assert printed.out.count("  Dice ") == number
    files = {file.name for file in out.iterdir()}
    masks = {f"mask_{n}.nii.gz" for n in range(1, number + 1)}
    overlays = {f"overlay_{n}.png" for n in range(1, len(SCRIPT) + 1)}
    assert files == masks | overlays | {"overlay.png", "session.json", "report.html"}
    page = (out / "report.html").read_text()
    assert page.count('class="query"') == len(SCRIPT)
    assert "TotalSegmentator" in page
    # The last line is the one command that goes on from there.
    last = printed.out.strip().splitlines()[-1]
    assert last.endswith(f"serve --model tiny --open {out / 'session.json'}")


def test_rounds_whose_reference_was_not_drawn_are_left_out_and_told(
    folder: Path, tmp_path: Path, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    script = (
        Step("Segment the liver.", ("liver",)),
        Step("What lies beside {1}?", ("stomach",)),
        Step("Show me the aorta and the stomach.", ("aorta", "stomach")),
        Step("Outline {3} again.", ("aorta",)),
    )
    answers("There is no liver in this image.", "The aorta is [2].", "The aorta is [3].")
    sample = LabelledVolume.read(folder)
    held = show_demo(load("tiny"), sample, tmp_path / "out", Console(), script)
    printed = capsys.readouterr().out
    assert len(held.all) == 5
    assert held.all.count(0.0) >= 3
    assert set(held.dice) == {2, 3}
    assert held.notes == [
        "Round 1 drew 0 of 1 masks.",
        "Round 2 was not asked: round 1 drew nothing.",
        "Round 3 drew 1 of 2 masks.",
    ]
    assert all(note in printed for note in held.notes)
    assert "Outline [2] again." in printed


@pytest.mark.skipif(
    weights.status("sample-ct").state != "ready", reason="mediround weights pull sample-ct"
)
def test_the_real_sample_shows_all_the_script_speaks_of() -> None:
    sample = LabelledVolume.read(weights.path("sample-ct"))
    index = sample.best_slice(WANTED)
    for name in WANTED:
        assert sample.truth(name, index).sum() > 200
    columns = [np.nonzero(sample.truth(n, index))[1].mean() for n in ("liver", "aorta", "stomach")]
    assert columns == sorted(columns)  # in radiological display the liver is on the left
    rows = [np.nonzero(sample.truth(n, index))[0].mean() for n in ("stomach", "aorta")]
    assert rows == sorted(rows)
