"""The swapped-reference test: the same words, another referenced mask, another right answer.

A model that ignores its references can answer one of two such twins at best. The references are
given as masks without any text before them, and the question asks not to name the answer, so
nothing but the mask can lead to it. As a control the same questions are asked about random other
structures.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

import numpy as np

from mediround import anatomy
from mediround.data.dialogues.builder import DialogueSettings, twins
from mediround.data.scene.relations import RelationKind, Scene
from mediround.data.words.wording import Split as Words
from mediround.dialogue import Dialogue
from mediround.evaluation.conduct import stand_in
from mediround.evaluation.metrics import Overlap
from mediround.evaluation.pool import ModelSource, Progress, run
from mediround.evaluation.selection import Chosen, Labelled, generator
from mediround.geometry import BoolMask
from mediround.session import Model

KINDS = (
    RelationKind.IDENTITY,
    RelationKind.COUNTERPART,
    RelationKind.SIBLING,
    RelationKind.LARGER_OF,
    RelationKind.SMALLER_OF,
    RelationKind.LEFT_OF,
    RelationKind.RIGHT_OF,
    RelationKind.IN_FRONT_OF,
    RelationKind.BEHIND,
    RelationKind.BETWEEN,
)
LEAST_DICE = 0.1


@dataclass(frozen=True, kw_only=True)
class SwappedSettings:
    """How much is asked.

    Attributes:
        kinds: of relations.
        pairs: most pairs of a kind over all data sets; they are taken from the data sets in
            turn, and within each from one slice after the other.
        per_slice: most pairs of a kind on one slice; on the same structures they differ in their
            words.
        words: in which they are asked.
        control: ask everything again about random other structures.
        seed: of the choice, the words and the random structures.
    """

    kinds: tuple[RelationKind, ...] = KINDS
    pairs: int = 120
    per_slice: int = 8
    words: Words = "heldout"
    control: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Pair:
    """Two one-round dialogues that differ in their given masks and their targets."""

    source: Chosen
    patient: str
    slice: str
    kind: RelationKind
    number: int
    twins: tuple[Dialogue, Dialogue]


@dataclass(frozen=True)
class Reply:
    """The answer to one twin.

    Attributes:
        right: exactly one mask, nearer to the target than to any other labelled structure, and
            with a Dice above ``LEAST_DICE``.
        unnamed: the text names no structure, as was asked.
        dice: of the first mask with the target, 0 without one.
    """

    right: bool
    unnamed: bool
    dice: float


@dataclass(frozen=True)
class PairResult:
    """The answers to both twins, and to their controls where these were asked."""

    dataset: str
    patient: str
    slice: str
    kind: str
    replies: tuple[Reply, Reply]
    control: tuple[Reply, Reply] | None


def plan(chosen: Sequence[Chosen], settings: SwappedSettings) -> list[Pair]:
    """The pairs to ask, the same for equal arguments.

    Slices come in random order and each gives one pair before any gives a second; data sets take
    turns. Pairs of one slice differ in their structures or in their words.
    """
    stocks = [
        _Stock(list(group), settings) for _, group in groupby(chosen, key=lambda c: c.dataset)
    ]
    pairs: list[Pair] = []
    for kind in settings.kinds:
        streams = [stock.pairs(kind) for stock in stocks]
        left = settings.pairs
        while streams and left:
            for stream in list(streams):
                pair = next(stream, None)
                if pair is None:
                    streams.remove(stream)
                elif left:
                    pairs.append(pair)
                    left -= 1
    return pairs


def ask(
    pairs: Sequence[Pair],
    settings: SwappedSettings,
    source: ModelSource,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[PairResult]:
    """Ask every pair, case by case."""
    order: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        order.setdefault((pair.source.dataset, pair.source.case), []).append(pair)
    work = partial(_ask_case, settings=settings)
    found = run(work, list(order.values()), source, workers=workers, progress=progress)
    return [result for results in found for result in results]


@dataclass
class _Stock:
    """The slices of one data set, measured once."""

    chosen: list[Chosen]
    settings: SwappedSettings
    slices: list[tuple[Chosen, Labelled, Scene]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for case in self.chosen:
            for each in case.read():
                masks = each.masks()
                ordered = {name: masks[name] for name in sorted(masks)}
                scene = Scene(ordered, anatomy.load(), oriented=each.oriented)
                self.slices.append((case, each, scene))
        rng = generator(self.settings.seed, "order", self.chosen[0].dataset)
        self.slices = [self.slices[place] for place in rng.permutation(len(self.slices))]

    def pairs(self, kind: RelationKind) -> Iterator[Pair]:
        """Pairs of ``kind``, as spread over the slices as they can be."""
        asked: dict[str, set[tuple[str, frozenset[str]]]] = {}
        barren: set[str] = set()
        for turn in range(self.settings.per_slice):
            for case, each, scene in self.slices:
                if each.name in barren:
                    continue
                rng = generator(self.settings.seed, each.dataset, each.name, kind, turn)
                offered = twins(
                    each.masks(),
                    kind,
                    rng,
                    settings=DialogueSettings(wording_split=self.settings.words),
                    modality=each.image.modality.value,
                    oriented=each.oriented,
                    scene=scene,
                )
                if not offered:
                    barren.add(each.name)
                before = asked.setdefault(each.name, set())
                fresh = [pair for pair in offered if _content(pair) not in before]
                if fresh:
                    before.add(_content(fresh[0]))
                    yield Pair(case, each.patient, each.name, kind, turn, fresh[0])


def _content(pair: tuple[Dialogue, Dialogue]) -> tuple[str, frozenset[str]]:
    targets = frozenset(str(each.rounds[0].entities[0].name) for each in pair)
    return pair[0].rounds[0].query, targets


def _ask_case(model: Model, pairs: Sequence[Pair], settings: SwappedSettings) -> list[PairResult]:
    slices = {each.name: each for each in pairs[0].source.read()}
    return [_ask_pair(model, slices[pair.slice], pair, settings) for pair in pairs]


def _ask_pair(model: Model, where: Labelled, pair: Pair, settings: SwappedSettings) -> PairResult:
    masks = where.masks()
    names = where.dataset, where.name, pair.kind, pair.number
    rng = generator(settings.seed, "control", *names)
    replies, controls = [], []
    for twin in pair.twins:
        shown = [entity.mask.decode() for entity in twin.given if entity.mask is not None]
        replies.append(_reply(model, where, twin, masks, shown))
        if settings.control:
            controls.append(_reply(model, where, twin, masks, _others(twin, masks, rng)))
    control = (controls[0], controls[1]) if settings.control else None
    both = replies[0], replies[1]
    return PairResult(where.dataset, where.patient, where.name, pair.kind.value, both, control)


def _others(
    twin: Dialogue, masks: Mapping[str, BoolMask], rng: np.random.Generator
) -> list[BoolMask]:
    """A random other structure for each given mask, none of them twice where there are enough."""
    taken: list[str] = []
    shown = []
    for entity in twin.given:
        assert entity.name is not None  # twins are made from labelled structures
        unwanted: Collection[str] = [entity.name, *(e.name or "" for e in twin.given), *taken]
        mask = stand_in(masks, unwanted, rng)
        taken += [name for name, own in masks.items() if own is mask]
        shown.append(mask)
    return shown


def _reply(
    model: Model,
    where: Labelled,
    twin: Dialogue,
    masks: Mapping[str, BoolMask],
    shown: Sequence[BoolMask],
) -> Reply:
    session = model.open(where.image)
    for mask in shown:
        session.add_mask(mask)
    turn = session.ask(twin.rounds[0].query)
    drawn = [entity.mask for entity in turn.entities if entity.mask is not None]
    named = anatomy.load().recognise(turn.text)
    target = twin.rounds[0].entities[0].name
    assert target is not None
    return verdict(drawn, target, masks, unnamed=not named)


def verdict(
    drawn: Sequence[BoolMask], target: str, masks: Mapping[str, BoolMask], *, unnamed: bool
) -> Reply:
    """Judge the masks of one answer against all labelled structures of its image."""
    if not drawn:
        return Reply(False, unnamed, 0.0)
    dice = {name: Overlap.of(drawn[0], mask).dice for name, mask in masks.items()}
    own = dice.pop(target)
    nearest = all(own > other for other in dice.values())
    return Reply(len(drawn) == 1 and own > LEAST_DICE and nearest, unnamed, own)
