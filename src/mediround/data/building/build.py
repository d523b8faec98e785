"""Labelled images to a data set of dialogues on disk, with any number of workers, resumable.

First every slice is decoded and kept (``images``, ``journal``), then it is decided what is made of
them (``plan``), then each shard is written (``dialogues``), and last what describes them all
(``completion``). Workers compute; this process alone writes. Equal settings over equal sources
give equal bytes: no clock, no order of completion and no path enters a file.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from mediround.data.building.completion import complete
from mediround.data.building.dialogues import (
    ShardTask,
    SourceFacts,
    WrittenShard,
    write_shard,
)
from mediround.data.building.images import case_tasks, prepare
from mediround.data.building.journal import FOLDER, Journal, SpoolReader
from mediround.data.building.origins import origins
from mediround.data.building.plan import Plan, PlannedShard, plan
from mediround.data.building.scale import Inline, Pool
from mediround.data.building.settings import BuildSettings
from mediround.data.shards.folder import (
    MANIFEST,
    TAR_END,
    DialogueFolder,
    IndexEntry,
    Manifest,
    Record,
    record_line,
    tar_sample,
)
from mediround.data.sources import Source
from mediround.errors import DatasetError, OutputError
from mediround.imaging.output import ensure_folder, replacing

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""

Rewrite = Callable[[Sequence[Record]], Sequence[Record]]
"""Changes the questions of records; equal records must give equal records."""


def build(
    sources: Sequence[Source],
    out: Path,
    settings: BuildSettings,
    *,
    pool: Pool | None = None,
    rewrite: Rewrite | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Build a data set of dialogues, or go on with one that was interrupted.

    Cases that cannot be used are left out and listed in ``report.json``.

    Args:
        sources: labelled data sets with different names.
        out: a new folder, or one that holds this very build, unfinished or finished.
        settings: what to build.
        pool: where the work is done; this process by default. It changes no byte.
        rewrite: applied to the dialogues of a shard before they are written; what it is must be
            told in ``settings.rewritten_by``.
        progress: is told how far the work is.

    Raises:
        DatasetError: two sources of one name, or nothing to ask for in any of them.
        OutputError: ``out`` cannot be written, or holds something else.
    """
    if (finished := _finished(sources, out, settings)) is not None:
        return finished
    journal = Journal(out, _identity(sources, settings))
    workers = pool or Inline()
    told = progress or (lambda *_: None)
    _read_cases(sources, journal, settings, workers, told)
    images, refused = journal.images()
    laid_out = plan(images, settings)
    _write_shards(laid_out, sources, journal, out, settings, workers, rewrite, told)
    manifest = complete(laid_out, refused, sources, journal, out, settings)
    journal.remove()
    return manifest


def _identity(sources: Sequence[Source], settings: BuildSettings) -> dict[str, Any]:
    names = [source.name for source in sources]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise DatasetError(f"two data sets are called {twice[0]!r}", remedy="rename one folder")
    described = [
        [type(s).__name__, s.name, s.modality.value, s.licence, list(s.entities)] for s in sources
    ]
    return {"settings": settings.described(), "sources": described}


def _finished(sources: Sequence[Source], out: Path, settings: BuildSettings) -> Manifest | None:
    if not (out / MANIFEST).is_file() or (out / FOLDER).is_dir():
        return None
    manifest = DialogueFolder(out).manifest
    wanted = json.loads(json.dumps(settings.described()))
    if manifest.settings != wanted or _held(manifest) != {s.name for s in sources}:
        raise OutputError(
            f"{str(out)!r} holds a data set built with other settings or sources",
            remedy="choose a new folder, or remove this one",
        )
    return manifest


def _held(manifest: Manifest) -> set[str]:
    """The sources of a build, which may hold several data sets each."""
    return {str(facts.get("source", name)) for name, facts in manifest.sources.items()}


def _read_cases(
    sources: Sequence[Source],
    journal: Journal,
    settings: BuildSettings,
    pool: Pool,
    progress: Progress,
) -> None:
    done = journal.finished_cases()
    total = sum(1 for source in sources for _ in source.cases())
    count = len(done)
    progress("reading cases", count, total)
    with journal.write_cases() as writer:
        for group in pool.run(prepare, case_tasks(sources, settings.mixture.min_pixels, done)):
            for case in group:
                if case.reason is not None:
                    logger.warning("%s/%s is left out: %s", case.dataset, case.name, case.reason)
                writer.add(case)
            count += len(group)
            progress("reading cases", count, total)


def _write_shards(
    laid_out: Plan,
    sources: Sequence[Source],
    journal: Journal,
    out: Path,
    settings: BuildSettings,
    pool: Pool,
    rewrite: Rewrite | None,
    progress: Progress,
) -> None:
    done = journal.finished_shards()
    waiting = {shard.path: shard for shard in laid_out.shards if shard.path not in done}
    for split in settings.split:
        ensure_folder(out / split)
    total = sum(count for shard in laid_out.shards for _, count in shard.images)
    written = sum(line["dialogues"] for line in done.values())
    progress("writing dialogues", written, total)
    with journal.open_images() as spool:
        tasks = _tasks(waiting.values(), sources, settings, spool)
        for result in pool.run(write_shard, tasks):
            line = _write(waiting[result.path], result, out, spool, rewrite)
            journal.add_shard(line)
            written += line["dialogues"]
            progress("writing dialogues", written, total)


def _tasks(
    shards: Collection[PlannedShard],
    sources: Sequence[Source],
    settings: BuildSettings,
    spool: SpoolReader,
) -> Iterator[ShardTask]:
    drawn = (image for shard in shards for image, _ in shard.images)
    known = origins(sources, drawn)
    facts = {name: SourceFacts(each.entities, each.complete) for name, each in known.items()}
    for shard in shards:
        images = tuple((spool.read(image.facts), count) for image, count in shard.images)
        yield ShardTask(shard.path, shard.split, images, facts, settings)


def _write(
    shard: PlannedShard,
    result: WrittenShard,
    out: Path,
    spool: SpoolReader,
    rewrite: Rewrite | None,
) -> dict[str, Any]:
    """Write one tar; its line for the journal."""
    digest = hashlib.sha256()
    index: list[dict[str, Any]] = []
    size = 0
    with replacing(out / shard.path) as file:
        texts = result.lines if rewrite is None else _rewritten(result.lines, rewrite)
        for (image, count), lines in zip(shard.images, texts, strict=True):
            parts = (spool.read(image.png), spool.read(image.facts), lines)
            sample, members = tar_sample(image.key, parts, size)
            file.write(sample)
            digest.update(sample)
            size += len(sample)
            entry = IndexEntry(
                key=image.key,
                split=shard.split,
                shard=shard.path,
                dataset=image.dataset,
                patient=image.patient,
                slice=image.slice,
                modality=image.modality,
                entities=image.entities,
                dialogues=count,
                members=members,
            )
            index.append(entry.model_dump(mode="json"))
        file.write(TAR_END)
        digest.update(TAR_END)
    return {
        "path": shard.path,
        "split": shard.split,
        "sha256": digest.hexdigest(),
        "bytes": size + len(TAR_END),
        "images": len(index),
        "dialogues": sum(count for _, count in shard.images),
        "tally": result.tally,
        "index": index,
    }


def _rewritten(lines: Sequence[bytes], rewrite: Rewrite) -> list[bytes]:
    """All records of a shard at once, so that requests are full."""
    records = [Record.model_validate_json(line) for each in lines for line in each.splitlines()]
    by_image: dict[str, list[bytes]] = {record.image: [] for record in records}
    for record in rewrite(records):
        by_image[record.image].append(record_line(record))
    return [b"".join(listed) for listed in by_image.values()]
