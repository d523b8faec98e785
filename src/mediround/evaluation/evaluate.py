"""The whole evaluation: choose slices, hold dialogues, swap references, write the results."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mediround import __version__
from mediround.errors import ConfigError
from mediround.evaluation import report, swapped, swapped_report, writing
from mediround.evaluation.cases import Case
from mediround.evaluation.gallery import contact_sheet
from mediround.evaluation.hold import Held, hold
from mediround.evaluation.journal import Journal, fingerprint
from mediround.evaluation.location import LocationPriors, learn
from mediround.evaluation.material import Material, find_material
from mediround.evaluation.plan import EvaluationSettings
from mediround.evaluation.pool import ModelSource
from mediround.evaluation.selection import Chosen, spread
from mediround.evaluation.settings import BASELINES
from mediround.evaluation.surface import Surface
from mediround.imaging.output import ensure_folder

logger = logging.getLogger(__name__)

JOURNAL, SWAPPED = "journal.jsonl", "swapped"
MOST_TWINS = 40
"""Images of a data set from which the small swapped-reference test of every report is drawn."""

Progress = Callable[[str, int, int], None]
"""Told what is going on, and how much of how much is done."""


def evaluate(
    source: ModelSource,
    data: Path,
    out: Path,
    settings: EvaluationSettings,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure a model on annotated images and write what was found into ``out``.

    Written are ``report.json``, ``report.md``, ``cases.parquet``, ``cases.csv`` and plots for the
    dialogues, and ``swapped.json`` for swapped references. Every number is the same for any
    ``workers``, and after any interruption: finished parts stand in ``journal.jsonl`` until the
    report is written, and are not done again.

    Args:
        source: the model, loaded once by every worker.
        data: labelled images (an nnU-Net raw folder, or a folder that holds several), or
            annotated dialogues (see :func:`mediround.evaluation.material.find_material`).
        out: created when missing; files of an earlier evaluation are replaced.
        settings: what is measured.
        workers: processes.
        progress: called after every case.

    Returns:
        What ``report.json`` holds, and under "swapped" what ``swapped.json`` holds.

    Raises:
        ConfigError: fewer than one worker or thread.
        DatasetError: no usable data set, or a part of one without labelled slices.
        OutputError: ``out`` cannot be written.
    """
    if workers < 1 or source.threads < 1:
        raise ConfigError(
            f"{workers} workers with {source.threads} threads", expected="at least 1 of each"
        )
    folder = ensure_folder(out)
    material = find_material(data, settings, partial(_tell, progress, "choosing slices"))
    identity = _identify(source, data, material, settings)
    found: dict[str, Any] = {}
    pairs: dict[str, Any] | None = None
    key = fingerprint([identity, dataclasses.asdict(source), repr(material.chosen), _age(source)])
    journal = Journal(folder / JOURNAL, key)
    if settings.twins is not None:
        if SWAPPED not in journal.done:
            chosen = material.chosen if settings.swapped is not None else _few(material.chosen)
            journal.add(SWAPPED, _swap(chosen, source, settings.twins, workers, progress))
        pairs = identity | journal.done[SWAPPED]
    if settings.dialogues:
        held = hold(
            material.chosen,
            source,
            settings,
            priors=_priors(material, settings, progress),
            journal=journal,
            workers=workers,
            progress=_named(progress, "dialogues"),
        )
        cases = _outlined(held.cases, progress) if settings.boundary else held.cases
        found = _report(identity, held, cases, settings, pairs)
        writing.write_dialogues(folder, found, cases, settings.setting)
        own = [case for case in cases if case.setting == settings.setting]
        contact_sheet(own, material.chosen, folder / "cases.png")
    if pairs is not None:
        writing.write_json(folder / "swapped.json", pairs)
    writing.write_markdown(folder / "report.md", found, pairs)
    journal.close()
    return (found or identity) | ({"swapped": pairs} if pairs is not None else {})


def _report(
    identity: dict[str, Any],
    held: Held,
    cases: Sequence[Case],
    settings: EvaluationSettings,
    pairs: Mapping[str, Any] | None,
) -> dict[str, Any]:
    built = report.build(
        cases,
        settings.setting,
        settings.held,
        settings.seed,
        baselines=[BASELINES[name] for name in settings.baselines],
    )
    if pairs is not None:
        built["ablations"]["swapped"] = swapped_report.summary(pairs)
    return identity | {"weights_sha256": held.weights_sha256} | built


def _outlined(cases: Sequence[Case], progress: Progress | None) -> list[Case]:
    """The cases with their outlines measured, here and once: MONAI is slow to start."""
    found = []
    for place, case in enumerate(cases, start=1):
        if case.truth is None:
            found.append(case)
        else:
            mask = None if case.mask is None else case.mask.decode()
            surface = Surface.of(mask, case.truth.decode(), case.spacing)
            found.append(dataclasses.replace(case, surface=surface))
        _tell(progress, "outlines", place, len(cases))
    return found


def _priors(
    material: Material, settings: EvaluationSettings, progress: Progress | None
) -> dict[str, LocationPriors]:
    if all(BASELINES[name].masks == "model" for name in settings.baselines):
        return {}
    found: dict[str, LocationPriors] = {}
    for place, (name, training) in enumerate(sorted(material.training().items())):
        _tell(progress, "usual places", place, len(material.chosen))
        found[name] = learn(training)
    return found


def _swap(
    chosen: Sequence[Chosen],
    source: ModelSource,
    settings: swapped.SwappedSettings,
    workers: int,
    progress: Progress | None,
) -> dict[str, Any]:
    _tell(progress, "choosing twins", 0, 1)
    pairs = swapped.plan(chosen, settings)
    named = _named(progress, "twins")
    return swapped_report.build(
        swapped.ask(pairs, settings, source, workers=workers, progress=named), settings
    )


def _few(chosen: Sequence[Chosen]) -> list[Chosen]:
    groups: dict[str, list[Chosen]] = {}
    for case in chosen:
        groups.setdefault(case.dataset, []).append(case)
    return [case for own in groups.values() for case in spread(own, MOST_TWINS)]


def _age(source: ModelSource) -> list[int]:
    """Sizes and times of a model folder's files: other files do not continue a journal."""
    folder = Path(source.name)
    if not folder.is_dir():
        return []
    found = [path.stat() for path in sorted(folder.iterdir()) if path.is_file()]
    return [number for each in found for number in (each.st_size, each.st_mtime_ns)]


def _identify(
    source: ModelSource, data: Path, material: Material, settings: EvaluationSettings
) -> dict[str, Any]:
    """What was measured on what: the head of every file of results."""
    slices = Counter[str]()
    for case in material.chosen:
        slices[case.dataset] += len(case.slices)
    return {
        "model": source.name,
        "mediround": __version__,
        "data": {
            "folder": data.name,
            "kind": material.kind,
            "slices": dict(slices),
            "left_out": dict(material.left_out),
        },
        "settings": dataclasses.asdict(settings)
        | {"threads": source.threads, "low_bit": source.low_bit},
    }


def _named(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    return None if progress is None else partial(progress, what)


def _tell(progress: Progress | None, what: str, done: int, total: int) -> None:
    if progress is not None:
        progress(what, done, total)
