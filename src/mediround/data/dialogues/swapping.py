"""Twins of several rounds: the same words about other masks, so that every answer differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mediround.data.dialogues import enquiries
from mediround.data.dialogues.difficulty import difficulty
from mediround.data.dialogues.draft import measured_entity
from mediround.data.dialogues.draft_referring import WEIGHTS
from mediround.data.dialogues.repertoire import AnyLink, Repertoire
from mediround.data.dialogues.settings import DialogueSettings
from mediround.data.scene.link import Link
from mediround.data.scene.relations import Scene
from mediround.data.scene.relations_wide import RANKING, rankings
from mediround.data.words import wording
from mediround.data.words.questions import Asker
from mediround.data.words.wording import Speaker, Voice, draw_voice
from mediround.dialogue import Dialogue, Entity, Relation, Round

ENQUIRY_SHARE = 0.3
TRIES = 4
_INDEX = "links by their references"


@dataclass(frozen=True)
class _Step:
    """One question and its two answers."""

    numbers: tuple[int, ...]
    one: AnyLink
    other: AnyLink


def twin_dialogues(
    scene: Scene,
    rng: np.random.Generator,
    *,
    settings: DialogueSettings,
    modality: str | None,
) -> tuple[Dialogue, Dialogue] | None:
    """Two dialogues with the same words, other references, and another answer in every round.

    Both begin with masks without text and never name a structure before their last round, so
    nothing but the masks leads to the answers. None where the scene has no such pair.
    """
    language = draw_voice(rng, chinese_share=settings.chinese_share).language
    repertoire = Repertoire.of(scene, settings, language)
    for _ in range(TRIES):
        writer = _TwinWriter(scene, repertoire, settings, rng)
        if writer.begin():
            for _ in range(int(rng.integers(1, settings.max_rounds + 1))):
                if not writer.add_round():
                    break
            if writer.rounds[0]:
                return writer.dialogue(0, modality), writer.dialogue(1, modality)
    return None


class _TwinWriter:
    def __init__(
        self,
        scene: Scene,
        repertoire: Repertoire,
        settings: DialogueSettings,
        rng: np.random.Generator,
    ) -> None:
        self.scene, self.repertoire, self.rng = scene, repertoire, rng
        self.language = repertoire.language
        voice = Voice(language=self.language)
        self.speaker = Speaker(settings.wording_split, rng, scene.atlas, voice)
        self.asker = Asker(settings.wording_split, rng, language=self.language)
        self.names: tuple[list[str], list[str]] = ([], [])
        self.given = 0
        self.born: list[int] = []
        self.rounds: tuple[list[Round], list[Round]] = ([], [])
        self.asked: set[tuple[object, tuple[int, ...]]] = set()
        self.is_over = False

    def begin(self) -> bool:
        """Supply the masks of a first question that has two answers."""
        questions = [
            links
            for links in self.repertoire.by_question.values()
            if len({link.target for link in links}) > 1
        ]
        if not questions:
            return False
        weights = np.array([WEIGHTS[links[0].kind] for links in questions])
        links = questions[int(self.rng.choice(len(questions), p=weights / weights.sum()))]
        targets = sorted({link.target for link in links})
        chosen = self.rng.permutation(len(targets))[:2]
        for side, place in enumerate(chosen):
            fitting = [link for link in links if link.target == targets[place]]
            link = fitting[int(self.rng.integers(len(fitting)))]
            order = self.rng.permutation(len(link.references))
            self.names[side].extend(link.references[n] for n in order)
        self._supply_more({targets[place] for place in chosen})
        self.given = len(self.names[0])
        self.born = [0] * self.given
        return True

    def _supply_more(self, spared: set[str]) -> None:
        """Up to two further masks in both, never the targets of the first question."""
        for _ in range(int(self.rng.integers(0, 3))):
            usable = self.repertoire.usable
            options = [[n for n in usable if n not in {*names, *spared}] for names in self.names]
            if not all(options):
                return
            for names, fresh in zip(self.names, options, strict=True):
                names.append(fresh[int(self.rng.integers(len(fresh)))])

    def add_round(self) -> bool:
        """Ask one question of both; False when none has two answers."""
        if self.is_over:
            return False
        if self.rounds[0] and self.rng.random() < ENQUIRY_SHARE and self._enquire():
            return True
        steps = list(self._steps())
        if not steps:
            return self._enquire()
        kinds = sorted({step.one.kind for step in steps})
        weights = np.array([WEIGHTS[kind] for kind in kinds])
        kind = kinds[int(self.rng.choice(len(kinds), p=weights / weights.sum()))]
        steps = [step for step in steps if step.one.kind is kind]
        self._ask(steps[int(self.rng.integers(len(steps)))])
        return True

    def _links(self, side: int, numbers: tuple[int, ...]) -> dict[object, AnyLink]:
        """Question -> link about these numbers; nothing is drawn more than twice."""
        names = self.names[side]
        refs = frozenset(names[number - 1] for number in numbers)
        first = all(names.index(names[number - 1]) == number - 1 for number in numbers)
        if len(refs) < len(numbers) or not first:
            return {}
        found = list(_by_references(self.repertoire).get(refs, ()))
        if len(refs) == 3:
            found += rankings(self.scene, sorted(refs))
        return {
            link.question: link
            for link in found
            if names.count(link.target) == (link.target in refs)
        }

    def _steps(self) -> Iterator[_Step]:
        everyone = range(1, len(self.names[0]) + 1)
        for count in (1, 2, 3):
            for numbers in combinations(everyone, count):
                one, other = self._links(0, numbers), self._links(1, numbers)
                for question in one:  # in order: a set of keys has another one in each process
                    if question not in other:
                        continue
                    differs = one[question].target != other[question].target
                    if differs and (question, numbers) not in self.asked:
                        yield _Step(numbers, one[question], other[question])

    def _ask(self, step: _Step) -> None:
        self.asked.add((step.one.question, step.numbers))
        order = tuple(step.numbers[place] for place in self.rng.permutation(len(step.numbers)))
        markers = self.speaker.references(order)
        if isinstance(step.one, Link):
            template = self.speaker.relation_template(step.one, named=False)
            query = wording.fill(template, markers)
        else:
            query = self.asker.framed(self.asker.phrase(step.one), markers, named=False)
        number = len(self.names[0]) + 1
        for side, link in enumerate((step.one, step.other)):
            entity = measured_entity(self.scene, link.target, number, refers_to=order)
            evidence = {
                **link.evidence,
                "needs_reference": 1.0,
                "guess": round(self._guess(link), 3),
            }
            text = self.speaker.answer_unnamed(number)
            self._record(side, query, text, (entity,), link.label, order, evidence)
            self.names[side].append(link.target)
        self.born.append(len(self.rounds[0]))

    def _enquire(self) -> bool:
        """A question in words as the last round: its answers may name structures."""
        kinds, weights = list(enquiries.WEIGHTS), np.array(list(enquiries.WEIGHTS.values()))
        places = self.rng.choice(len(kinds), len(kinds), replace=False, p=weights / weights.sum())
        for kind in (kinds[place] for place in places):
            if kind == "ask_size" and any(kind in asked for asked in self.asked):
                continue
            count = 1 if kind in enquiries.ONE else 2
            everyone = range(1, len(self.names[0]) + 1)
            options = list(combinations(everyone, count))
            for place in self.rng.permutation(len(options)):
                numbers = options[place]
                answers = [self._answer(side, kind, numbers) for side in (0, 1)]
                if None in answers or answers[0] == answers[1] or (kind, numbers) in self.asked:
                    continue
                self._enquired(kind, numbers, [str(each) for each in answers])
                return True
        return False

    def _enquired(self, kind: str, numbers: tuple[int, ...], answers: list[str]) -> None:
        self.asked.add((kind, numbers))
        self.is_over = kind in enquiries.TELLING
        unit = enquiries.unit_of(self.scene, self.language)
        query = self.asker.enquiry(kind, self.speaker.references(numbers), where=unit)
        evidence = {"needs_reference": 1.0, "guess": 0.0 if kind in enquiries.UNGUESSABLE else 0.5}
        for side, said in enumerate(answers):
            self._record(side, query, said, (), kind, numbers, evidence)

    def _answer(self, side: int, kind: str, numbers: tuple[int, ...]) -> str | None:
        names = tuple(self.names[side][number - 1] for number in numbers)
        return (
            None
            if len(set(names)) < len(names)
            else enquiries.answer(self.scene, kind, names, self.language)
        )

    def _guess(self, link: AnyLink) -> float:
        if link.kind in RANKING:
            return 1 / 3
        links = self.repertoire.by_question[link.question]
        counts = [sum(o.target == name for o in links) for name in {o.target for o in links}]
        return min(0.5, max(counts) / len(links))

    def _record(
        self,
        side: int,
        query: str,
        text: str,
        entities: tuple[Entity, ...],
        kind: str,
        references: tuple[int, ...],
        evidence: dict[str, float],
    ) -> None:
        rounds = self.rounds[side]
        rated = difficulty(
            kind,
            references=len(references),
            rounds_back=max(len(rounds) - self.born[number - 1] for number in references),
            anonymous=len(references),
        )
        relation = Relation(kind=kind, references=references, evidence=evidence, difficulty=rated)
        rounds.append(Round(query=query, text=text, entities=entities, relation=relation))

    def dialogue(self, side: int, modality: str | None) -> Dialogue:
        """One of the two."""
        given = tuple(
            measured_entity(self.scene, name, number, status="given")
            for number, name in enumerate(self.names[side][: self.given], start=1)
        )
        return Dialogue(modality=modality, given=given, rounds=tuple(self.rounds[side]))


def _by_references(repertoire: Repertoire) -> dict[frozenset[str], list[AnyLink]]:
    """The links of a scene by the names of their references, kept with the scene."""
    key = (_INDEX, repertoire.split, repertoire.usable, repertoire.language)
    kept = repertoire.scene.kept
    if key not in kept:
        index: dict[frozenset[str], list[AnyLink]] = {}
        for link in repertoire.all_links:
            if link.kind != "identity":
                index.setdefault(frozenset(link.references), []).append(link)
        kept[key] = index
    found: dict[frozenset[str], list[AnyLink]] = kept[key]
    return found
