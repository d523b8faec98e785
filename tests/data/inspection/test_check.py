"""A sound data set passes; each kind of damage is found."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mediround.data.building.build import build
from mediround.data.building.settings import BuildSettings
from mediround.data.inspection.check import check
from mediround.data.inspection.findings import Findings
from mediround.data.inspection.necessity import OracleReport, Told
from mediround.data.shards.folder import (
    MEMBERS,
    TAR_END,
    DialogueFolder,
    Manifest,
    ShardEntry,
    read_shard,
    tar_sample,
)
from mediround.data.sources import NnunetSource
from mediround.errors import DatasetError
from mediround.geometry import encode_rle


@pytest.fixture(scope="module")
def sound(labelled_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sound") / "out"
    sources = [NnunetSource(folder) for folder in sorted(labelled_folder.iterdir())]
    build(
        sources,
        out,
        BuildSettings(dialogues=120, seed=1, shard_dialogues=30, split={"train": 0.5, "test": 0.5}),
    )
    return out


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "copy")
    return tmp_path / "copy"


def rewrite(folder: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Change the first sample of the first shard, and put manifest and index right again."""
    dataset = DialogueFolder(folder)
    first = dataset.manifest.shards[0]
    path = folder / first.path
    data, places = b"", {}
    for number, sample in enumerate(read_shard(path, first.split)):
        members = (sample.png, sample.facts_json, sample.dialogues_jsonl)
        parts = dict(zip(MEMBERS, members, strict=True))
        if number == 0:
            change(parts)
        block, places[sample.key] = tar_sample(sample.key, [*parts.values()], len(data))
        data += block
    path.write_bytes(data + TAR_END)
    _declare(folder, path, dataset.manifest)
    entries = [entry.model_dump(mode="json") for entry in dataset.index()]
    for entry in entries:
        entry["members"] = places.get(entry["key"], entry["members"])
    (folder / "index.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def _declare(folder: Path, path: Path, manifest: Manifest) -> None:
    data = path.read_bytes()
    first, *others = manifest.shards
    told = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    shards = (ShardEntry(**{**first.model_dump(), **told}), *others)
    changed = manifest.model_copy(update={"shards": shards})
    (folder / "dataset.json").write_text(changed.model_dump_json())


def record(parts: dict[str, bytes], change: Callable[[dict[str, Any]], None]) -> None:
    """Change the first record that has a mask in its last round."""
    lines = [json.loads(line) for line in parts["dialogues.jsonl"].splitlines()]
    chosen = next(
        line for line in lines if any(r.get("entities") for r in line["dialogue"]["rounds"])
    )
    change(chosen)
    parts["dialogues.jsonl"] = "".join(json.dumps(line) + "\n" for line in lines).encode()


def answered(line: dict[str, Any]) -> dict[str, Any]:
    """The last entity that an answer brings."""
    entities = [e for each in line["dialogue"]["rounds"] for e in each["entities"]]
    found: dict[str, Any] = entities[-1]
    return found


def kinds(found: Findings) -> set[str]:
    return set(found.counts)


def test_a_sound_data_set_passes(sound: Path) -> None:
    found = check(sound, oracle=False)
    assert found.counts == {}
    assert found.passed
    assert (found.dialogues, found.images > 10) == (120, True)
    assert found.oracle is None


@pytest.mark.parametrize(
    ("answered", "marked", "structures", "wrong", "warning"),
    [
        (390, 1000, 9, False, None),
        (400, 1000, 9, True, None),
        (200, 500, 5, True, None),
        (400, 1000, 4, False, "or fewer do not allow"),
        (400, 499, 9, False, "500 rounds are needed for a verdict"),
    ],
)
def test_the_oracle_decides_whether_references_are_needed(
    copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    answered: int,
    marked: int,
    structures: int,
    wrong: bool,
    warning: str | None,
) -> None:
    manifest = DialogueFolder(copy).manifest
    name = min(manifest.sources)
    sources: dict[str, Any] = dict(manifest.sources)
    sources[name]["entities"] = ["liver"] * structures
    (copy / "dataset.json").write_text(manifest.model_dump_json())
    heard: list[Told] = []

    def oracle(told: Iterable[Told]) -> OracleReport:
        heard.extend(told)
        return OracleReport(
            rounds=100, marked_later=50, marked=marked, answered=answered, guessed=30.0,
            kinds={}, datasets={name: (marked, answered)},
        )  # fmt: skip

    monkeypatch.setattr("mediround.data.inspection.check.text_only_oracle", oracle)
    found = check(copy)
    assert len(heard) == 120
    assert ("necessity" in found.counts) == wrong
    assert found.passed != wrong
    assert "50% of the rounds after the first" in found.warnings[-1]
    told_before = [] if warning is None else [warning]
    assert [each for each in told_before if each in found.warnings[0]] == told_before
    assert len(found.warnings) == 1 + len(told_before)
    told = json.loads(json.dumps(found.as_json()))
    assert told["oracle"]["answered_share"] == answered / marked


def test_files_are_compared_with_the_manifest(copy: Path) -> None:
    first, second, *_ = DialogueFolder(copy).manifest.shards
    (copy / first.path).unlink()
    data = bytearray((copy / second.path).read_bytes())
    data[600] ^= 1
    (copy / second.path).write_bytes(data)
    (copy / "train" / "more.tar").write_bytes(TAR_END)
    assert {"missing file", "checksum", "unknown file", "count"} <= kinds(check(copy, oracle=False))


def test_a_shard_that_is_no_tar_is_told(copy: Path) -> None:
    path = copy / DialogueFolder(copy).manifest.shards[0].path
    path.write_bytes(b"nothing" * 2000)
    found = check(copy, oracle=False)
    assert {"shard", "checksum"} <= kinds(found)


def _other_name(line: dict[str, Any]) -> None:
    answered(line)["name"] = "flux capacitor"


def _other_size(line: dict[str, Any]) -> None:
    answered(line)["mask"] = {"size": [3, 3], "counts": "09"}


def _broken_mask(line: dict[str, Any]) -> None:
    answered(line)["mask"]["counts"] += "1"


def _empty_mask(line: dict[str, Any]) -> None:
    size = answered(line)["mask"]["size"]

    answered(line)["mask"] = encode_rle(np.zeros(size, dtype=bool))


def _box_outside(line: dict[str, Any]) -> None:
    answered(line)["box"] = [0.0, 0.0, 10_000.0, 5.0]


def _future_reference(line: dict[str, Any]) -> None:
    answered(line)["refers_to"] = [99]


def _other_split(line: dict[str, Any]) -> None:
    line["split"] = "elsewhere"


def _lonely_twin(line: dict[str, Any]) -> None:
    line["twin"] = "nobody"


def _unknown_field(line: dict[str, Any]) -> None:
    line["mood"] = "good"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (_other_name, "mask"),
        (_other_size, "mask"),
        (_broken_mask, "mask"),
        (_empty_mask, "mask"),
        (_box_outside, "box"),
        (_future_reference, "reference"),
        (_other_split, "origin"),
        (_lonely_twin, "twin"),
        (_unknown_field, "schema"),
    ],
)
def test_damage_to_a_record_is_found(
    copy: Path, change: Callable[[dict[str, Any]], None], kind: str
) -> None:
    rewrite(copy, lambda parts: record(parts, change))
    found = check(copy, oracle=False)
    assert kind in kinds(found)
    assert not {"checksum", "shard"} & kinds(found)


def test_other_pixels_are_found(copy: Path) -> None:
    dataset = DialogueFolder(copy)
    first, second = list(dataset.samples())[:2]
    rewrite(copy, lambda parts: parts.update(png=second.png))
    assert first.png != second.png
    assert kinds(check(copy, oracle=False)) & {"hash", "image"}


def test_a_patient_in_two_splits_is_found(copy: Path) -> None:
    dataset = DialogueFolder(copy)
    samples = list(dataset.samples())
    here = samples[0]
    there = next(s for s in samples if s.split != here.split and
                 s.facts.dataset == here.facts.dataset)  # fmt: skip
    patient = there.facts.patient

    def change(parts: dict[str, bytes]) -> None:
        for name in ("image.json", "dialogues.jsonl"):
            own = f'"patient":"{here.facts.patient}"'.encode()
            assert own in parts[name]
            parts[name] = parts[name].replace(own, f'"patient":"{patient}"'.encode())

    rewrite(copy, change)
    assert kinds(check(copy, oracle=False)) == {"leak"}


def test_an_index_that_leads_astray_is_found(copy: Path) -> None:
    index = copy / "index.jsonl"
    lines = index.read_text().splitlines()
    entry = json.loads(lines[0])
    entry["members"]["image.json"][0] += 3
    index.write_text("\n".join([json.dumps(entry), *lines[2:]]) + "\n")
    found = check(copy, oracle=False)
    assert found.counts["index"] == 2


def test_without_a_manifest_there_is_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no dataset.json"):
        check(tmp_path)
