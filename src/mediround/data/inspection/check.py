"""Whether a data set of dialogues is what ``docs/format.md`` says, and as honest as it claims."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mediround.data.building.splits import leaks
from mediround.data.inspection.findings import Findings
from mediround.data.inspection.necessity import LIMIT, OracleReport, Told, text_only_oracle
from mediround.data.shards import (
    DialogueFolder,
    IndexEntry,
    Manifest,
    Record,
    Sample,
    StoredImage,
    read_shard,
)
from mediround.dialogue import Entity, Rle
from mediround.errors import DatasetError, MediRoundError

NECESSARY_SHARE: Final = 0.6
"""Smallest share of the rounds after the first that are marked."""
FEW: Final = 4
"""Of so few structures the commonest answer is right too often, whatever is asked."""
ENOUGH: Final = 500
"""Of fewer marked rounds the oracle's share is chance as much as anything: a warning."""
_ORACLE_DIALOGUES: Final = 40_000

Progress = Callable[[int, int], None]
"""Called with images done and all images."""


def check(folder: Path, *, oracle: bool = True, progress: Progress | None = None) -> Findings:
    """Check a data set: files and checksums, schema, images, masks, references, leaks, necessity.

    Args:
        folder: what ``mediround data build``, or another program, wrote.
        oracle: also measure how well words alone answer.
        progress: is told how far the work is.

    Raises:
        DatasetError: there is no manifest to begin with.
    """
    dataset = DialogueFolder(folder)
    findings = Findings()
    seen = _Seen()
    _check_shards(dataset, findings)
    told = _checked(dataset, findings, seen, progress or (lambda *_: None))
    if oracle:
        _check_necessity(text_only_oracle(told), _names(dataset.manifest), findings)
    else:
        for _ in told:
            pass
    _check_index(dataset, findings, seen)
    _check_counts(dataset, findings)
    for key, twin in seen.twins.items():
        if seen.twins.get(twin) != key:
            findings.add("twin", f"{key} calls {twin} its twin, which does not agree")
    for leak in leaks(seen.origins):
        findings.add("leak", str(leak))
    return findings


@dataclass
class _Seen:
    """What can be judged only when everything was seen."""

    keys: dict[str, tuple[str, int]] = field(default_factory=dict)
    origins: list[tuple[str, str, str]] = field(default_factory=list)
    twins: dict[str, str] = field(default_factory=dict)


def _checked(
    dataset: DialogueFolder, findings: Findings, seen: _Seen, progress: Progress
) -> Iterator[Told]:
    """Check every image with its dialogues, and pass on what the oracle may hear."""
    # Some ten thousands of dialogues teach the oracle what it can learn; more would fill memory.
    count = sum(shard.dialogues for shard in dataset.manifest.shards)
    stride = max(1, count // _ORACLE_DIALOGUES)
    total = sum(shard.images for shard in dataset.manifest.shards)
    for sample in _samples(dataset, findings):
        findings.images += 1
        for record in _check_sample(sample, findings, seen):
            if findings.dialogues % stride == 0:
                patient = f"{record.dataset}/{record.patient}"
                yield Told(record.dataset, patient, record.dialogue)
            findings.dialogues += 1
        progress(findings.images, total)


def _check_shards(dataset: DialogueFolder, findings: Findings) -> None:
    for shard in dataset.manifest.shards:
        path = dataset.folder / shard.path
        if not path.is_file():
            findings.add("missing file", shard.path)
        elif path.stat().st_size != shard.bytes:
            found = path.stat().st_size
            findings.add("checksum", f"{shard.path} has {found} bytes, not {shard.bytes}")
        else:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != shard.sha256:
                    findings.add("checksum", f"{shard.path} is not what was written")
    known = {shard.path for shard in dataset.manifest.shards}
    for path in sorted(dataset.folder.glob("*/*.tar")):
        relative = path.relative_to(dataset.folder).as_posix()
        if relative not in known:
            findings.add("unknown file", f"{relative} is not in the manifest")


def _samples(dataset: DialogueFolder, findings: Findings) -> Iterator[Sample]:
    for shard in dataset.manifest.shards:
        path = dataset.folder / shard.path
        if path.is_file():
            try:
                yield from read_shard(path, shard.split)
            except DatasetError as error:
                findings.add("shard", str(error))


def _check_sample(sample: Sample, findings: Findings, seen: _Seen) -> Sequence[Record]:
    """The dialogues of a sample, once everything about it has been looked at."""
    try:
        facts, records = sample.facts, sample.records
    except DatasetError as error:
        findings.add("schema", str(error))
        return ()
    if facts.key in seen.keys:
        findings.add("image twice", facts.key)
    seen.keys[facts.key] = (sample.split, len(records))
    seen.origins.append((sample.split, f"{facts.dataset}/{facts.patient}", facts.sha256))
    if facts.key != sample.key or not facts.sha256.startswith(facts.key):
        findings.add("hash", f"{sample.key} is called {facts.key} inside")
    try:
        if sample.image().content_hash != facts.sha256:
            findings.add("hash", f"the pixels of {sample.key} are not those that were hashed")
    except MediRoundError as error:
        findings.add("image", f"{sample.key}: {error}")
    _check_masks(facts, records, findings)
    if len({record.id for record in records}) < len(records):
        findings.add("schema", f"{sample.key} has two dialogues of one id")
    for record in records:
        findings.rounds += len(record.dialogue.rounds)
        _check_record(record, sample, facts, findings)
        if record.twin is not None:
            seen.twins[record.id] = record.twin
    return records


def _check_masks(facts: StoredImage, records: Sequence[Record], findings: Findings) -> None:
    """Each mask once, although many dialogues show it."""
    masks: set[Rle] = {structure.mask for structure in facts.structures}
    labelled = {structure.entity for structure in facts.structures}
    for record in records:
        for entity in record.dialogue.entities():
            if entity.mask is not None:
                masks.add(entity.mask)
                if entity.name is not None and entity.name not in labelled:
                    findings.add("mask", f"{record.id} shows {entity.name}, which has no label")
    for mask in masks:
        if mask.size != facts.size:
            findings.add("mask", f"a mask of {facts.key} has the size {mask.size}")
            continue
        try:
            if not mask.decode().any():
                findings.add("mask", f"a mask of {facts.key} is empty")
        except ValueError as error:
            findings.add("mask", f"a mask of {facts.key}: {error}")


def _check_record(record: Record, sample: Sample, facts: StoredImage, findings: Findings) -> None:
    told = (record.image, record.dataset, record.patient, record.slice, record.split)
    wanted = (facts.key, facts.dataset, facts.patient, facts.slice, sample.split)
    if told != wanted:
        findings.add("origin", f"{record.id} says {told}, its image {wanted}")
    known = {entity.id: entity for entity in record.dialogue.given}
    for number, each in enumerate(record.dialogue.rounds, 1):
        where = f"round {number} of {record.id}"
        relation = each.relation
        if relation is not None and not set(relation.references) <= set(known):
            findings.add("reference", f"{where} refers to what is not there")
        for entity in each.entities:
            _check_entity(entity, known, where, findings)
        known |= {entity.id: entity for entity in each.entities}


def _check_entity(entity: Entity, known: dict[int, Entity], where: str, findings: Findings) -> None:
    absent = sorted(set(entity.refers_to) - set(known))
    if absent:
        findings.add("reference", f"[{entity.id}] in {where} refers to {absent}")
    if entity.mask is not None and entity.box is not None:
        height, width = entity.mask.size
        x0, y0, x1, y1 = entity.box
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            findings.add("box", f"[{entity.id}] in {where} has the box {entity.box}")


def _check_index(dataset: DialogueFolder, findings: Findings, seen: _Seen) -> None:
    listed: set[str] = set()
    try:
        for entry in dataset.index():
            listed.add(entry.key)
            _check_entry(entry, dataset, findings, seen)
    except DatasetError as error:
        findings.add("index", str(error))
        return
    for key in sorted(set(seen.keys) - listed):
        findings.add("index", f"{key} is not in the index")


def _check_entry(
    entry: IndexEntry, dataset: DialogueFolder, findings: Findings, seen: _Seen
) -> None:
    if seen.keys.get(entry.key) != (entry.split, entry.dialogues):
        findings.add("index", f"{entry.key} is listed otherwise than it is stored")
        return
    try:
        facts = dataset.fetch(entry).facts
    except DatasetError as error:
        findings.add("index", str(error))
        return
    if facts.key != entry.key:
        findings.add("index", f"the offsets of {entry.key} lead to {facts.key}")


def _check_counts(dataset: DialogueFolder, findings: Findings) -> None:
    manifest = dataset.manifest
    for name, found in (("images", findings.images), ("dialogues", findings.dialogues)):
        said = sum(counts.get(name, 0) for counts in manifest.splits.values())
        if said != found:
            findings.add("count", f"the manifest counts {said} {name}, there are {found}")


def _names(manifest: Manifest) -> dict[str, int]:
    """Data set -> how many structures it labels, where the manifest says so."""
    listed = {name: facts.get("entities") for name, facts in manifest.sources.items()}
    return {name: len(names) for name, names in listed.items() if names}


def _check_necessity(report: OracleReport, names: Mapping[str, int], findings: Findings) -> None:
    findings.oracle = report
    if report.marked and not report.passed():
        told = (
            f"words alone answer {report.answered_share:.0%} of the {report.marked} rounds that "
            f"are marked as needing their reference; expected less than {LIMIT:.0%}"
        )
        many = [each for name, each in report.datasets.items() if names.get(name, 99) > FEW]
        marked, answered = (sum(each[place] for each in many) for place in (0, 1))
        if marked >= ENOUGH and answered >= LIMIT * marked:
            findings.add("necessity", told)
        elif answered >= LIMIT * marked > 0:
            findings.warnings.append(f"{told}; {ENOUGH} rounds are needed for a verdict")
        else:
            findings.warnings.append(
                f"{told}, which data sets of {FEW} structures or fewer do not allow"
            )
    if report.rounds and report.necessary_share < NECESSARY_SHARE:
        findings.warnings.append(
            f"{report.necessary_share:.0%} of the rounds after the first need their reference; "
            f"usual are {NECESSARY_SHARE:.0%} or more"
        )
