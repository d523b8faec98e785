"""The card for programs: what it says of files and fields is there."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from mediround.data.building.build import build
from mediround.data.building.settings import BuildSettings
from mediround.data.sources import NnunetSource


@pytest.fixture(scope="module")
def folder(labelled_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("card") / "out"
    sources = [NnunetSource(each) for each in sorted(labelled_folder.iterdir())]
    build(sources, out, BuildSettings(dialogues=30, seed=2, shard_dialogues=9))
    return out


@pytest.fixture
def card(folder: Path) -> Any:
    return json.loads((folder / "croissant.json").read_text())


def test_files_are_there_with_their_checksums(folder: Path, card: Any) -> None:
    files = [each for each in card["distribution"] if each["@type"] == "cr:FileObject"]
    assert len(files) == 2 + len(list(folder.glob("*/*.tar")))
    for each in files:
        data = (folder / each["contentUrl"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == each["sha256"]
        assert each.get("contentSize", f"{len(data)} B") == f"{len(data)} B"


def test_every_field_is_found_where_the_card_says(folder: Path, card: Any) -> None:
    lines = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    (images, dialogues) = card["recordSet"]
    for field in images["field"]:
        assert field["source"]["fileObject"] == {"@id": "index.jsonl"}
        column = field["source"]["extract"]["column"]
        assert all(column in line for line in lines)
        kind = {"sc:Text": str, "sc:Integer": int}[field["dataType"]]
        assert all(isinstance(line[column], kind) for line in lines)
    (files,) = (each for each in card["distribution"] if each["@type"] == "cr:FileSet")
    assert {each["source"]["fileSet"]["@id"] for each in dialogues["field"]} == {files["@id"]}
    members = []
    for each in files["containedIn"]:
        with tarfile.open(folder / each["@id"]) as tar:
            members += fnmatch.filter(tar.getnames(), files["includes"])
    assert len(members) == len(lines)


def test_keys_are_fields(card: Any) -> None:
    for records in card["recordSet"]:
        assert records["key"]["@id"] in {field["@id"] for field in records["field"]}


@pytest.mark.filterwarnings("ignore")  # of the package and of what it needs
def test_the_reference_reader_loads_the_records(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROISSANT_CACHE", str(tmp_path))
    monkeypatch.chdir(folder)
    croissant = pytest.importorskip("mlcroissant", reason="needs mlcroissant")
    dataset = croissant.Dataset(jsonld="croissant.json")
    assert not dataset.metadata.issues.errors
    images = list(dataset.records("images"))
    files = list(dataset.records("dialogues"))
    lines = [line for each in files for line in each["dialogues/content"].splitlines()]
    assert len(images) == len(files)
    assert sum(each["images/dialogues"] for each in images) == len(lines) == 30
    assert {json.loads(line)["image"].encode() for line in lines} <= {
        each["images/key"] for each in images
    }
