"""The whole evaluation: choose slices, hold dialogues, swap references, write the results."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mediround import __version__, anatomy
from mediround.data.builder import DialogueSettings, build_dialogue
from mediround.data.relations import Scene
from mediround.data.sources import LabelledSlice
from mediround.errors import ConfigError
from mediround.evaluation import report, swapped, swapped_report, writing
from mediround.evaluation.cases import CURVES, Case, References, Setting, Text
from mediround.evaluation.conduct import conduct
from mediround.evaluation.pool import ModelSource, run
from mediround.evaluation.selection import ChosenCase, Part, choose, find_datasets, generator
from mediround.imaging.output import ensure_folder
from mediround.session import Model

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""Told what is going on, and how much of how much is done."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """What is measured.

    Attributes:
        text: whose words the answers are, see :class:`Setting`.
        references: what later rounds see, see :class:`Setting`.
        curves: measure the settings of :data:`CURVES` besides.
        split: which patients.
        limit: most slices of each data set, evenly spread; None for all.
        only: names of the data sets to use; all when empty.
        per_slice: dialogues on each slice.
        dialogues: hold dialogues at all.
        swapped: ask swapped-reference twins, and how.
        seed: of all choices.
        mixture: of the dialogues.
    """

    text: Text = "free"
    references: References = "predicted"
    curves: bool = True
    split: Part = "validation"
    limit: int | None = None
    only: tuple[str, ...] = ()
    per_slice: int = 1
    dialogues: bool = True
    swapped: swapped.SwappedSettings | None = None
    seed: int = 0
    mixture: DialogueSettings = field(
        default_factory=lambda: DialogueSettings(wording_split="heldout", max_rounds=5)
    )

    def __post_init__(self) -> None:
        if not self.dialogues and self.swapped is None:
            raise ConfigError(
                "neither dialogues nor swapped references are asked for",
                expected="at least one of them",
            )
        for name in ("limit", "per_slice"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}", expected="at least 1")

    @property
    def setting(self) -> Setting:
        """The setting that the report is about."""
        return Setting(self.text, self.references)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """All settings to measure, the report's first."""
        others = CURVES if self.curves else ()
        return tuple(dict.fromkeys((self.setting, *others)))


def evaluate(
    source: ModelSource,
    data: Path,
    out: Path,
    settings: EvaluationSettings,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure a model on labelled slices and write what was found into ``out``.

    Written are ``report.json``, ``report.md``, ``cases.csv`` and plots for the dialogues, and
    ``swapped.json`` for swapped references. Every number is the same for any ``workers``.

    Args:
        source: the model, loaded once by every worker.
        data: an nnU-Net raw folder, or a folder that holds several.
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
    folders, left_out = find_datasets(data, settings.only)
    chosen: list[ChosenCase] = []
    for place, each in enumerate(folders):
        _tell(progress, "choosing slices", place, len(folders))
        chosen += choose(each, settings.split, settings.limit, settings.mixture.min_pixels)
    identity = _identify(source, data, chosen, left_out, settings)
    found: dict[str, Any] = {}
    pairs: dict[str, Any] | None = None
    if settings.dialogues:
        cases = hold(chosen, source, settings, workers=workers, progress=progress)
        found = identity | report.build(cases, settings.setting, settings.settings, settings.seed)
        writing.write_dialogues(folder, found, cases, settings.setting)
    if settings.swapped is not None:
        pairs = identity | _swap(chosen, source, settings.swapped, workers, progress)
        writing.write_json(folder / "swapped.json", pairs)
    writing.write_markdown(folder / "report.md", found, pairs)
    return (found or identity) | ({"swapped": pairs} if pairs is not None else {})


def hold(
    chosen: Sequence[ChosenCase],
    source: ModelSource,
    settings: EvaluationSettings,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[Case]:
    """Hold the dialogues of all chosen slices under every setting."""
    return [
        case
        for cases in run(
            partial(_hold_case, settings=settings),
            chosen,
            source,
            workers=workers,
            progress=_named(progress, "dialogues"),
        )
        for case in cases
    ]


def _swap(
    chosen: Sequence[ChosenCase],
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


def _hold_case(model: Model, chosen: ChosenCase, settings: EvaluationSettings) -> list[Case]:
    return [case for each in chosen.read() for case in _hold_slice(model, each, settings)]


def _hold_slice(model: Model, each: LabelledSlice, settings: EvaluationSettings) -> list[Case]:
    masks: Mapping[str, Any] = each.masks()
    ordered = {name: masks[name] for name in sorted(masks)}
    scene = Scene(ordered, anatomy.load(), oriented=each.oriented)
    cases: list[Case] = []
    for number in range(settings.per_slice):
        dialogue = build_dialogue(
            masks,
            generator(settings.seed, each.dataset, each.name, number),
            settings=settings.mixture,
            modality=each.image.modality.value,
            oriented=each.oriented,
            region_names=tuple(each.names.values()),
            scene=scene,
        )
        place = each.dataset, each.patient, each.name, number
        for setting in settings.settings:
            rng = generator(settings.seed, "references", *place)
            session = model.open(each.image)
            cases += conduct(session, dialogue, masks, setting, place, rng)
    return cases


def _identify(
    source: ModelSource,
    data: Path,
    chosen: Sequence[ChosenCase],
    left_out: Mapping[str, str],
    settings: EvaluationSettings,
) -> dict[str, Any]:
    """What was measured on what: the head of every file of results."""
    slices = Counter[str]()
    for case in chosen:
        slices[case.dataset] += len(case.slices)
    return {
        "model": source.name,
        "mediround": __version__,
        "data": {"folder": data.name, "slices": dict(slices), "left_out": dict(left_out)},
        "settings": dataclasses.asdict(settings) | {"threads": source.threads},
    }


def _named(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    return None if progress is None else partial(progress, what)


def _tell(progress: Progress | None, what: str, done: int, total: int) -> None:
    if progress is not None:
        progress(what, done, total)
