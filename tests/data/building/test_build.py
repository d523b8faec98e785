"""Builds: equal bytes whatever the workers and interruptions, and what is left out is told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from mediround.data.building.build import build
from mediround.data.building.scale import Inline, Processes
from mediround.data.building.settings import BuildSettings
from mediround.data.shards import DialogueFolder, Record
from mediround.data.sources import NnunetSource, Source
from mediround.errors import DatasetError, OutputError


class Killed(BaseException):
    """Stands for a signal: nothing catches it on purpose."""


@pytest.fixture
def sources(labelled_folder: Path) -> list[Source]:
    return [NnunetSource(folder) for folder in sorted(labelled_folder.iterdir())]


def settings(**changes: Any) -> BuildSettings:
    return BuildSettings(**{"dialogues": 90, "seed": 3, "shard_dialogues": 12, **changes})


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture
def reference(sources: list[Source], tmp_path: Path) -> dict[str, str]:
    build(sources, tmp_path / "reference", settings())
    return digest(tmp_path / "reference")


def test_workers_change_no_byte(
    sources: list[Source], reference: dict[str, str], tmp_path: Path
) -> None:
    build(sources, tmp_path / "two", settings(), pool=Processes(2))
    assert digest(tmp_path / "two") == reference
    assert {"README.md", "croissant.json", "dataset.json", "index.jsonl", "report.json"} < set(
        reference
    )
    assert not any(".build" in name for name in reference)


@pytest.mark.parametrize(
    ("what", "at"), [("reading cases", 3), ("reading cases", 9), ("writing dialogues", 30)]
)
def test_a_killed_build_goes_on(
    sources: list[Source], reference: dict[str, str], tmp_path: Path, what: str, at: int
) -> None:
    out = tmp_path / "killed"

    def kill(doing: str, done: int, _total: int) -> None:
        if doing == what and done >= at:
            raise Killed

    with pytest.raises(Killed):
        build(sources, out, settings(), progress=kill)
    assert not (out / "dataset.json").exists()
    for journal in (out / ".build").iterdir():
        if journal.name != "settings.json":
            with journal.open("ab") as file:  # what a kill leaves of a write
                file.write(b'{"half a li')
    work: list[tuple[str, int]] = []
    build(sources, out, settings(), progress=lambda doing, done, _: work.append((doing, done)))
    assert dict(reversed(work))[what] > 0, "finished work is not done again"
    assert digest(out) == reference


def test_a_shard_that_was_damaged_is_written_again(
    sources: list[Source], reference: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "damaged"

    def kill(doing: str, done: int, _total: int) -> None:
        if doing == "writing dialogues" and done >= 40:
            raise Killed

    with pytest.raises(Killed):
        build(sources, out, settings(), progress=kill)
    shard = next(out.glob("*/*.tar"))
    shard.write_bytes(shard.read_bytes().replace(b"liver", b"river").replace(b"cavity", b"kavity"))
    build(sources, out, settings())
    assert digest(out) == reference


def test_a_finished_build_is_not_repeated_and_not_overwritten(
    sources: list[Source], tmp_path: Path
) -> None:
    first = build(sources, tmp_path / "out", settings(dialogues=20))
    said: list[str] = []
    again = build(
        sources,
        tmp_path / "out",
        settings(dialogues=20),
        progress=lambda doing, _done, _total: said.append(doing),
    )
    assert again == first
    assert said == []
    with pytest.raises(OutputError, match="other settings or sources"):
        build(sources, tmp_path / "out", settings(dialogues=21))


def test_an_unfinished_build_is_not_mixed_with_another(
    sources: list[Source], tmp_path: Path
) -> None:
    def kill(*_: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        build(sources, tmp_path / "out", settings(), progress=kill)
    with pytest.raises(OutputError, match="unfinished build with other settings"):
        build(sources, tmp_path / "out", settings(seed=4))


def test_a_folder_with_other_files_is_left_alone(sources: list[Source], tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(OutputError, match="is not empty"):
        build(sources, tmp_path, settings())


def test_what_is_left_out_is_told(sources: list[Source], tmp_path: Path) -> None:
    manifest = build(sources, tmp_path / "out", settings())
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    (bad,) = report["bad_cases"]
    assert (bad["dataset"], bad["case"]) == ("Dataset901_Abdomen", "ABD_005_7")
    assert "ABD_005_7" in bad["reason"]
    assert manifest.sources["Dataset901_Abdomen"]["bad_cases"] == 1
    assert manifest.sources["Dataset902_Heart"]["bad_cases"] == 0


def test_what_is_written_can_be_read(sources: list[Source], tmp_path: Path) -> None:
    manifest = build(sources, tmp_path / "out", settings())
    folder = DialogueFolder(tmp_path / "out")
    records = list(folder.records())
    assert len(records) == 90
    assert len({record.id for record in records}) == 90
    assert {len(record.dialogue.rounds) > 0 for record in records} == {True}
    samples = {sample.key: sample for sample in folder.samples()}
    for entry in folder.index():
        assert folder.fetch(entry) == samples[entry.key]
        sample = samples[entry.key]
        assert sample.image().content_hash == sample.facts.sha256
        assert len(sample.records) == entry.dialogues
    by_split = {split: len(list(folder.records(split))) for split in manifest.splits}
    assert by_split == {split: n["dialogues"] for split, n in manifest.splits.items()}
    with pytest.raises(DatasetError, match="no split 'dev'"):
        next(folder.samples("dev"))


def test_pixels_are_those_of_the_source(sources: list[Source], tmp_path: Path) -> None:
    build(sources, tmp_path / "out", settings())
    originals = {
        (each.dataset, each.name): each
        for source in sources
        for case in source.cases()
        if case.name != "ABD_005_7"
        for each in case.slices()
    }
    for sample in DialogueFolder(tmp_path / "out").samples():
        original = originals[sample.facts.dataset, sample.facts.slice]
        assert sample.image().content_hash == original.image.content_hash
        masks = original.masks()
        assert {name: mask.sum() for name, mask in sample.facts.masks().items()} == {
            name: mask.sum() for name, mask in masks.items()
        }
        for record in sample.records:
            for entity in record.dialogue.entities():
                if entity.mask is not None:
                    assert entity.name is not None
                    assert (entity.mask.decode() == masks[entity.name]).all()


def test_other_seeds_give_other_dialogues(sources: list[Source], tmp_path: Path) -> None:
    for seed in (1, 2):
        build(sources, tmp_path / str(seed), settings(seed=seed, split={"train": 1.0}))
    told = [
        {each.query for r in DialogueFolder(tmp_path / s).records() for each in r.dialogue.rounds}
        for s in ("1", "2")
    ]
    assert len(told[0] & told[1]) < 0.5 * len(told[0])


def test_twins_know_each_other(sources: list[Source], tmp_path: Path) -> None:
    build(sources, tmp_path / "out", settings(dialogues=300))
    records = {record.id: record for record in DialogueFolder(tmp_path / "out").records()}
    pairs = [(r, records[r.twin]) for r in records.values() if r.twin is not None]
    assert pairs
    for one, other in pairs:
        assert other.twin == one.id
        assert one.image == other.image
        queries = [[each.query for each in r.dialogue.rounds] for r in (one, other)]
        assert queries[0] == queries[1]
        assert one.dialogue != other.dialogue


def test_two_sources_of_one_name_are_refused(sources: list[Source], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="two data sets are called 'Dataset902_Heart'"):
        build([*sources, sources[1]], tmp_path / "out", settings())


def shouted(records: Sequence[Record]) -> list[Record]:
    loud = []
    for record in records:
        rounds = tuple(
            each.model_copy(update={"query": each.query.upper()}) for each in record.dialogue.rounds
        )
        dialogue = record.dialogue.model_copy(update={"rounds": rounds})
        loud.append(record.model_copy(update={"dialogue": dialogue}))
    return loud


def test_questions_can_be_rewritten(sources: list[Source], tmp_path: Path) -> None:
    rewrite: Callable[[Sequence[Record]], list[Record]] = shouted
    wanted = settings(rewritten_by="a loud model")
    build(sources, tmp_path / "out", wanted, pool=Inline(), rewrite=rewrite)
    build(sources, tmp_path / "plain", settings())
    loud = list(DialogueFolder(tmp_path / "out").records())
    assert loud == shouted(list(DialogueFolder(tmp_path / "plain").records()))
    assert json.loads((tmp_path / "out/dataset.json").read_text())["settings"]["rewritten_by"]
