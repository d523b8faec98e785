"""Holding all dialogues of all chosen slices with a model, under every setting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mediround.dialogue import Dialogue
from mediround.errors import ConfigError
from mediround.evaluation.cases import Case, pack, unpack
from mediround.evaluation.conduct import Prior, conduct
from mediround.evaluation.journal import Journal
from mediround.evaluation.location import LocationPriors, placement_of
from mediround.evaluation.plan import EvaluationSettings
from mediround.evaluation.pool import ModelSource, Progress, run
from mediround.evaluation.selection import Chosen, Labelled, generator
from mediround.evaluation.settings import Setting
from mediround.evaluation.switches import corrected, corrects, deducing
from mediround.session import Model


@dataclass(frozen=True)
class Held:
    """What all dialogues gave, and which weights gave it (None: nothing was held)."""

    cases: list[Case]
    weights_sha256: str | None


def hold(
    chosen: Sequence[Chosen],
    source: ModelSource,
    settings: EvaluationSettings,
    *,
    priors: Mapping[str, LocationPriors] | None = None,
    journal: Journal | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Held:
    """Hold the dialogues; the cases are the same for any number of workers and interruptions.

    Args:
        chosen: the slices.
        source: the model.
        settings: what is measured.
        priors: data set -> usual places, for the baselines that need them.
        journal: holds what an earlier run finished, and takes what this one finishes.
        workers: processes.
        progress: called after every part.

    Raises:
        ConfigError: the journal's results come from other weights.
    """
    done = {} if journal is None else journal.done
    keys = [_key(place, each) for place, each in enumerate(chosen)]
    waiting = [place for place, key in enumerate(keys) if key not in done]
    results = {key: _unpacked(done[key]) for key in keys if key in done}

    def arrived(place: int, result: tuple[str, list[Case]]) -> None:
        key = keys[waiting[place]]
        results[key] = result
        shas = {sha for sha, _ in results.values()}
        if len(shas) > 1:
            raise ConfigError(
                "the weights have changed since this evaluation was begun",
                remedy="choose another --out, or remove its journal",
            )
        if journal is not None:
            journal.add(key, {"weights": result[0], "cases": [pack(case) for case in result[1]]})

    before = len(chosen) - len(waiting)
    run(
        partial(_hold_case, settings=settings, priors=priors or {}),
        [chosen[place] for place in waiting],
        source,
        workers=workers,
        progress=None if progress is None else _shifted(progress, before, len(chosen)),
        arrived=arrived,
    )
    cases = [case for key in keys for case in results[key][1]]
    return Held(cases, next((sha for sha, _ in results.values()), None))


def _hold_case(
    model: Model,
    chosen: Chosen,
    settings: EvaluationSettings,
    priors: Mapping[str, LocationPriors],
) -> tuple[str, list[Case]]:
    found = [
        case
        for each in chosen.read()
        for case in _hold_slice(model, chosen, each, settings, priors.get(chosen.dataset))
    ]
    return model.weights_sha256, found


def _hold_slice(
    model: Model,
    chosen: Chosen,
    each: Labelled,
    settings: EvaluationSettings,
    priors: LocationPriors | None,
) -> Iterator[Case]:
    masks = each.masks()
    dialogues = chosen.dialogues(
        each, settings.mixture, per_slice=settings.per_slice, seed=settings.seed
    )
    for number, dialogue in enumerate(dialogues):
        place = each.dataset, each.patient, each.name, number
        for setting in settings.settings:
            if setting.references == "random" and not _refers(dialogue):
                continue  # nothing would change
            if setting.baseline and setting.correction == "on" and not corrects(model):
                continue  # a baseline that this model cannot be
            rng = generator(settings.seed, "references", *place)
            prior = _prior(setting, each, priors)
            with corrected(model, setting.correction), deducing(model, setting.deduction):
                session = model.open(each.image)
                yield from conduct(session, dialogue, masks, setting, place, rng, prior)


def _refers(dialogue: Dialogue) -> bool:
    return any(each.references for each in dialogue.rounds)


def _prior(setting: Setting, each: Labelled, priors: LocationPriors | None) -> Prior | None:
    if setting.masks == "model":
        return None
    if priors is None:
        raise ConfigError(
            f"the baseline {setting.baseline!r} needs labelled training patients",
            expected="a data set with a training part",
        )
    placement, named = placement_of(each.image), setting.masks == "named-location"
    return lambda name: priors.draw(name, placement, named=named)


def _key(place: int, chosen: Chosen) -> str:
    return f"{place} {chosen.dataset} {chosen.case} {len(chosen.slices)}"


def _unpacked(result: Mapping[str, object]) -> tuple[str, list[Case]]:
    cases = result["cases"]
    assert isinstance(cases, list)
    return str(result["weights"]), [unpack(case) for case in cases]


def _shifted(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _: progress(before + done, total)
