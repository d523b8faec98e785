"""``mediround segment``: files, printed results, and every kind of bad input."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian
from tests.boxes import Filler

from mediround.cli import main
from mediround.imaging import Volume, open_image
from mediround.imaging.raster import read_mask
from mediround.model.box_prompt import BoxPrompt
from mediround.session import load

Answers = Callable[..., None]

nib: Any = nibabel


def segment(image: Path, out: Path, *words: str, model: str = "tiny") -> int:
    return main(["segment", str(image), "--out", str(out), "--model", model, *words])


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The complaint: one line, nothing on standard output."""
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert "Traceback" not in printed.err
    assert printed.out == ""
    return printed.err


def test_a_dialogue_leaves_masks_pictures_and_the_session(
    png: Path, tmp_path: Path, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    answers("The nerve is [1].", "The blood vessel is [2].")
    out = tmp_path / "out"
    assert segment(png, out, "-q", "Segment the nerve.", "-q", "What lies beside [1]?") == 0
    files = {file.name for file in out.iterdir()}
    assert files == {
        "mask_1.png", "mask_2.png", "overlay_1.png", "overlay_2.png", "overlay.png",
        "session.json",
    }  # fmt: skip
    assert read_mask(out / "mask_1.png").shape == (48, 64)
    stored = json.loads((out / "session.json").read_text())
    assert {"image", "model", "weights_sha256", "rounds"} <= set(stored)
    assert stored["model"] == "tiny"
    assert [each["query"] for each in stored["rounds"]][1] == "What lies beside [1]?"
    (entity,) = stored["rounds"][1]["entities"]
    assert {"id", "name", "score", "mask", "box", "refers_to", "status"} <= set(entity)
    assert (entity["id"], entity["name"], entity["refers_to"]) == (2, "blood vessel", [1])
    printed = capsys.readouterr()
    for text in ("Segment the nerve.", "The nerve is [1].", "score", "mask_2.png", "Research use"):
        assert text in printed.out
    assert printed.err == ""
    resumed = load("tiny").resume(out / "session.json")
    mask = resumed.entities[1].mask
    assert mask is not None
    assert (read_mask(out / "mask_1.png") == mask).all()


def test_json_is_all_that_stands_on_standard_output(
    png: Path, tmp_path: Path, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    answers("The nerve is [1].")
    assert segment(png, tmp_path / "out", "-q", "Segment the nerve.", "--json") == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert printed.err == ""
    assert result["rounds"][0]["text"] == "The nerve is [1]."
    assert Path(result["files"]["masks"]["1"]).is_file()
    assert Path(result["files"]["overlay"]).is_file()
    assert "Research use only" in result["notice"]


def test_a_volume_s_masks_come_back_in_its_grid(
    tmp_path: Path, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    voxels = np.random.default_rng(1).normal(size=(24, 20, 12)).astype(np.float32)
    nib.save(nib.Nifti1Image(voxels, affine), tmp_path / "mr.nii.gz")
    answers("The liver is [1].")
    out = tmp_path / "out"
    words = ("-q", "Segment the liver.", "--slice", "3", "--plane", "coronal", "--modality", "MR")
    assert segment(tmp_path / "mr.nii.gz", out, *words) == 0
    assert "coronal slice 3 of 20" in capsys.readouterr().out
    mask = open_image(out / "mask_1.nii.gz")
    assert isinstance(mask, Volume)
    assert np.allclose(mask.affine, affine)
    assert mask.voxels.shape == voxels.shape
    assert set(np.flatnonzero(mask.voxels.any(axis=(0, 2)))) <= {3}
    stored = json.loads((out / "session.json").read_text())
    assert (stored["slice"], stored["plane"], stored["modality"]) == (3, "coronal", "MR")


def test_boxes_come_before_the_questions(
    png: Path, tmp_path: Path, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoxPrompt, "beside", lambda _network: Filler(64))
    answers("The nerve is [3].")
    out = tmp_path / "out"
    words = ("--box", "4,4,20,20", "--box", "30, 10, 50, 30", "-q", "What lies beside [2]?")
    assert segment(png, out, *words) == 0
    stored = json.loads((out / "session.json").read_text())
    assert [each["box_prompt"] for each in stored["given"]] == [[4, 4, 20, 20], [30, 10, 50, 30]]
    assert stored["rounds"][0]["entities"][0]["refers_to"] == [2]
    assert read_mask(out / "mask_1.png").any()
    assert {f"mask_{n}.png" for n in (1, 2, 3)} <= {file.name for file in out.iterdir()}
    assert segment(png, tmp_path / "alone", "--box", "4,4,20,20") == 0
    assert (tmp_path / "alone" / "mask_1.png").is_file()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "nothing is asked"),
        (("--box", "4,4,20"), "four"),
        (("--box", "4,4,20,x"), "four numbers"),
        (("--box", "20,4,4,20"), "inverted"),
        (("--box", "400,400,420,420"), "outside"),
        (("--box", "4,4,20,20"), "cannot find a structure"),
    ],
)
def test_boxes_that_are_none(
    png: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], why: str
) -> None:
    assert segment(png, tmp_path / "out", *words, "--json") == 2
    assert why in one_line(capsys)


def test_a_failing_round_keeps_those_before_it(
    png: Path, tmp_path: Path, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    answers("The nerve is [1].", "never said")
    out = tmp_path / "out"
    assert segment(png, out, "-q", "Segment the nerve.", "-q", "Beside [9]?", "--json") == 2
    message = one_line(capsys)
    assert "round 2: the question refers to [9], which does not exist" in message
    assert str(out) in message
    assert (out / "mask_1.png").is_file()
    assert (out / "overlay.png").is_file()
    assert len(json.loads((out / "session.json").read_text())["rounds"]) == 1


def truncated_png(folder: Path, png: Path) -> Path:
    (folder / "cut.png").write_bytes(png.read_bytes()[:900])
    return folder / "cut.png"


def empty_folder(folder: Path, png: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def dicom_without_pixels(folder: Path, png: Path) -> Path:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = ComprehensiveSRStorage
    dataset.SOPClassUID, dataset.SOPInstanceUID = ComprehensiveSRStorage, "1.2.3"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.Modality = "SR"
    dataset.save_as(folder / "report.dcm", enforce_file_format=True)
    return folder / "report.dcm"


def time_series(folder: Path, png: Path) -> Path:
    series = nib.Nifti1Image(np.zeros((8, 8, 8, 3), np.float32), np.eye(4))
    nib.save(series, folder / "bold.nii.gz")
    return folder / "bold.nii.gz"


def missing(folder: Path, png: Path) -> Path:
    return folder / "nothing.png"


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (missing, "no file"),
        (empty_folder, "empty"),
        (truncated_png, "cut.png"),
        (dicom_without_pixels, "report.dcm"),
        (time_series, "4 axes"),
    ],
)
def test_images_that_cannot_be_read(
    png: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path, Path], Path],
    named: str,
) -> None:
    assert segment(make(tmp_path, png), tmp_path / "out", "-q", "Segment the liver.") == 2
    assert named in one_line(capsys)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["-q", "  "], "the question of round 1 is empty"),
        (["-q", "Segment the liver.", "-q", ""], "the question of round 2 is empty"),
        (["-q", "What lies beside [9]?"], "[9], which does not exist"),
        (["-q", "x" * 2000], "2000 characters"),
        (["-q", "The liver.", "--slice", "3"], "slice 3"),
        (["-q", "The liver.", "--modality", "PET"], "PET"),
        (["-q", "The liver.", "--model", "huge"], "no model 'huge'"),
        ([], "--query"),
    ],
)
def test_words_that_cannot_be_used(
    png: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    named: str,
) -> None:
    assert segment(png, tmp_path / "out", *words) == 2
    assert named in one_line(capsys)


def test_a_full_disk(
    png: Path,
    tmp_path: Path,
    answers: Answers,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    answers("The nerve is [1].")
    monkeypatch.setattr("os.fsync", full)
    assert segment(png, tmp_path / "out", "-q", "Segment the nerve.", "--json") == 2
    assert "no space left on the disk" in one_line(capsys)


def test_a_folder_that_cannot_be_written(
    png: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment(png, png, "-q", "Segment the nerve.") == 2
    assert "a file is in the way" in one_line(capsys)

    # Permission bits do not stop root, under which tests may run.
    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert segment(png, tmp_path, "-q", "Segment the nerve.") == 2
    assert "read-only" in one_line(capsys)


def test_cheap_checks_come_before_torch() -> None:
    code = (
        "import sys\nfrom mediround.cli import main\n"
        "assert main(['segment', 'nowhere.png', '-q', 'The liver.', '--out', 'x']) == 2\n"
        "assert main(['segment', 'nowhere.png', '-q', ' ', '--out', 'x']) == 2\n"
        "assert main(['chat', 'nowhere.png']) == 2\n"
        "assert not {'torch', 'transformers', 'nibabel'} & set(sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("error: ") == 3
