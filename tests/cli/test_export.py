"""``mediround export``, and ``/export`` in a chat."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from mediround.cli import main
from mediround.imaging.raster import read_mask
from mediround.session import Session
from mediround.session.store import SessionFile

Answers = Callable[..., None]
CT = str(get_testdata_file("CT_small.dcm"))


@pytest.fixture
def segmented(tmp_path: Path, answers: Answers) -> Path:
    """The folder that ``segment`` wrote about a real CT slice."""
    answers("The liver is [1].", "The spleen is [2].")
    words = ["segment", CT, "-q", "The liver.", "-q", "The spleen.", "--model", "tiny"]
    assert main([*words, "--out", str(tmp_path / "result")]) == 0
    return tmp_path / "result"


def test_every_format_of_a_dicom_image(
    segmented: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    for to in ("dicom-seg", "nifti", "coco", "png", "dialogue", "official"):
        out = tmp_path / to
        words = ["export", str(segmented / "session.json"), "--to", to, "--out", str(out)]
        assert main([*words, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["format"] == to
        assert told["files"]
        assert all(Path(file).is_file() and out in Path(file).parents for file in told["files"])
    labels = [each.SegmentLabel for each in dcmread(tmp_path / "dicom-seg/seg.dcm").SegmentSequence]
    assert labels == ["liver", "spleen"]
    masks = [SessionFile.read(segmented / "session.json").rounds[0].entities[0].mask]
    assert masks[0] is not None
    assert (read_mask(tmp_path / "png" / "mask_1.png") == masks[0].decode()).all()


def test_a_folder_of_results_is_a_session_too(
    segmented: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["export", str(segmented), "--to", "coco", "--out", str(tmp_path / "a.json")]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == str(tmp_path / "a.json")
    assert "Research use only" in printed.err


def test_bad_input_is_one_line_and_code_2(
    segmented: Path, tmp_path: Path, png: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    session, out = str(segmented / "session.json"), str(tmp_path / "out")
    for words, named in (
        ([session, "--to", "jpeg", "--out", out], "expected one of dicom-seg"),
        ([session, "--to", "stl", "--out", out], "expected a volume"),
        ([session, "--to", "png", "--out", out, "--source", str(png)], "has changed"),
        ([str(png), "--to", "png", "--out", out], "not a session"),
        ([str(tmp_path / "none"), "--to", "png", "--out", out], "no file"),
        ([session, "--to", "png", "--out", "/dev/null/x"], "in the way"),
    ):
        assert main(["export", *words]) == 2
        error = capsys.readouterr().err
        assert named in error
        assert error.count("\n") == 1


def test_chat_exports_in_every_format(
    png: Path,
    tmp_path: Path,
    answers: Answers,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers("The nerve is [1].")
    out = tmp_path / "a folder" / "labels.nii.gz"
    lines = [
        "The nerve.",
        f"/export nifti '{out}'",
        f"/export dicom-seg {tmp_path}",
        "/export a b c",
    ]
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    assert main(["chat", str(png), "--model", "tiny"]) == 0
    printed = capsys.readouterr().out
    assert f"exported {out}" in printed
    assert out.is_file()
    assert "not about DICOM" in printed
    assert "expected at most 2" in printed


def test_the_session_is_what_python_exports(png: Path, tmp_path: Path) -> None:
    import mediround

    session: Session = mediround.load("tiny").open(png)
    session.ask("Segment the nerve.", text="The nerve is [1].")
    (picture, *_) = session.export("png", tmp_path / "out")
    mask = session.entities[1].mask
    assert mask is not None
    assert (read_mask(picture) == mask).all()
