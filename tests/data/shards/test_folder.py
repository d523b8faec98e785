"""Shards are plain tars with offsets; what is read is what was written."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediround.data.shards.folder import (
    MEMBERS,
    TAR_END,
    DialogueFolder,
    Record,
    read_shard,
    record_line,
    tar_sample,
)
from mediround.dialogue import Dialogue, Round
from mediround.errors import DatasetError

PARTS = st.tuples(*(st.binary(max_size=1500) for _ in MEMBERS))
KEY = "0123456789abcdef0123456789abcdef"


def a_tar(samples: list[tuple[bytes, ...]]) -> tuple[bytes, list[dict[str, tuple[int, int]]]]:
    data, places = b"", []
    for number, parts in enumerate(samples):
        sample, place = tar_sample(f"{KEY[:-2]}{number:02d}", parts, len(data))
        data += sample
        places.append(place)
    return data + TAR_END, places


@given(st.lists(PARTS, max_size=4))
def test_any_tar_reader_finds_the_members_where_the_index_says(
    samples: list[tuple[bytes, ...]],
) -> None:
    data, places = a_tar(samples)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        read = [(member.name, tar.extractfile(member)) for member in tar]
    wanted = [
        (f"{KEY[:-2]}{number:02d}.{ending}", part)
        for number, parts in enumerate(samples)
        for ending, part in zip(MEMBERS, parts, strict=True)
    ]
    assert [name for name, _ in read] == [name for name, _ in wanted]
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member, (_, part) in zip(tar, wanted, strict=True):
            held = tar.extractfile(member)
            assert held is not None
            assert held.read() == part
            assert (member.mtime, member.uid, member.uname) == (0, 0, "")
    for parts, place in zip(samples, places, strict=True):
        for ending, part in zip(MEMBERS, parts, strict=True):
            start, length = place[ending]
            assert data[start : start + length] == part


def test_samples_come_back(tmp_path: Path) -> None:
    samples = [(b"png", b"facts", b"lines"), (b"", b"x" * 512, b"y" * 513)]
    path = tmp_path / "shard.tar"
    path.write_bytes(a_tar(list(samples))[0])
    read = list(read_shard(path, "train"))
    assert [(s.png, s.facts_json, s.dialogues_jsonl) for s in read] == samples
    assert {sample.split for sample in read} == {"train"}


def test_damaged_shards_are_refused(tmp_path: Path) -> None:
    data, places = a_tar([(b"png", b"facts", b"lines" * 200)])
    path = tmp_path / "shard.tar"
    for bad, message in (
        (b"no tar at all" * 90, "cannot be read as a tar"),
        (data[: places[0]["dialogues.jsonl"][0] + 5], "cannot be read as a tar"),
        (data[: places[0]["dialogues.jsonl"][0] - 512] + TAR_END, "has only png, image.json"),
    ):
        path.write_bytes(bad)
        with pytest.raises(DatasetError, match=message):
            list(read_shard(path, "train"))


def test_a_foreign_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shard.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo("../../etc/passwd"))
    with pytest.raises(DatasetError, match="holds the member '../../etc/passwd'"):
        list(read_shard(path, "train"))


def test_a_record_is_one_line() -> None:
    dialogue = Dialogue(rounds=(Round(query="one\ntwo", text="three"),))
    record = Record(
        id="a-0000",
        image="a",
        dataset="d",
        patient="p",
        slice="s",
        split="train",
        wording="train",
        dialogue=dialogue,
    )
    line = record_line(record)
    assert line.count(b"\n") == 1
    assert Record.model_validate_json(line) == record


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no dataset.json.*mediround data build"):
        DialogueFolder(tmp_path)
    (tmp_path / "dataset.json").write_text('{"format": "other"}')
    with pytest.raises(DatasetError, match="dataset.json is not valid: format"):
        DialogueFolder(tmp_path)
