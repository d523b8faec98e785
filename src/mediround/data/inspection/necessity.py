"""Whether references are needed: an oracle that reads every word and sees no mask.

It answers the rounds that a data set marks as reference-necessary from the text alone: the words
of the question, what the history has told, the data set and its modality. It learns how often
which answer follows which words from the other dialogues of the same data set (never from the
patients on whom it is asked), and combines its contexts from the most to the least specific, so
that a rare context falls back on a commoner one. Whatever it answers right did not need the
masks; a data set whose marked rounds it answers often does not teach anybody to look.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import log

from mediround import anatomy
from mediround.data.scene.relations_wide import RANKING
from mediround.data.words import chinese
from mediround.data.words.phrasebook import term
from mediround.dialogue import MARKER, Dialogue, Round

LIMIT = 0.4
"""Share of marked rounds from which words alone give too much away."""
_BACKOFF = 2.0  # how many observations the next less specific context is worth
_AGAIN = frozenset({"larger_of", "smaller_of", "correction", "premise", *RANKING})
_IDENTIFYING = frozenset({"identity", "ask_name", "premise"})
_FIGURE = re.compile(r"\d+(?:\.\d+)?")
_CLOSE = log(1.5)  # sizes within one such step of each other count as the same answer

Context = tuple[object, ...]


@dataclass(frozen=True)
class Told:
    """A dialogue and where it comes from.

    Attributes:
        dataset: its data set.
        group: whose image it is about; what the oracle has learned from a group it does not use
            for that group (the patient, or the image where patients are unknown).
        dialogue: with its relations, which say what is marked.
    """

    dataset: str
    group: str
    dialogue: Dialogue


@dataclass(frozen=True)
class OracleReport:
    """How often the words alone gave the answer away.

    Attributes:
        rounds: rounds after the first of their dialogue.
        marked_later: of these, marked as reference-necessary.
        marked: all marked rounds, first rounds included.
        answered: of these, answered right by the oracle.
        guessed: right answers to expect of somebody who knows which structures the image shows
            and guesses the commonest.
        kinds: kind -> (marked, answered).
        datasets: data set -> (marked, answered).
    """

    rounds: int
    marked_later: int
    marked: int
    answered: int
    guessed: float
    kinds: Mapping[str, tuple[int, int]]
    datasets: Mapping[str, tuple[int, int]]

    @property
    def necessary_share(self) -> float:
        """Share of the rounds after the first that are marked, 0..1."""
        return self.marked_later / self.rounds if self.rounds else 0.0

    @property
    def answered_share(self) -> float:
        """Share of the marked rounds that the oracle answered right, 0..1."""
        return self.answered / self.marked if self.marked else 0.0

    @property
    def guessed_share(self) -> float:
        """What guessing among the structures of the image would reach, 0..1."""
        return self.guessed / self.marked if self.marked else 0.0

    def passed(self, limit: float = LIMIT) -> bool:
        """Whether there are marked rounds and the oracle answered less than ``limit`` of them."""
        return self.marked > 0 and self.answered_share < limit


@dataclass(frozen=True, slots=True)
class _Question:
    """One marked round as the oracle meets it.

    Attributes:
        fold: part of the data that is answered together.
        dataset, kind: for the report.
        contexts: hashes, from the most to the least specific.
        answer: what would be right.
        excluded: answers that the history rules out.
    """

    fold: int
    dataset: str
    kind: str
    contexts: tuple[int, ...]
    answer: str
    excluded: frozenset[str]


def text_only_oracle(dialogues: Iterable[Told], *, folds: int = 5) -> OracleReport:
    """Let the oracle answer every marked round.

    Args:
        dialogues: read once; some hundred bytes are kept for each marked round.
        folds: the groups are divided into this many parts, each answered from the others.
    """
    questions: list[_Question] = []
    rounds = marked_later = 0
    guessed = 0.0
    for told in dialogues:
        fold = int(hashlib.sha256(told.group.encode()).hexdigest()[:8], 16) % folds
        rounds += max(0, len(told.dialogue.rounds) - 1)
        for number, question, guess in _questions(told, fold):
            questions.append(question)
            marked_later += number > 0
            guessed += guess
    kinds: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    datasets: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    counts = _Counts(questions)
    for question in questions:
        right = counts.best(question) == question.answer
        for tally in (kinds[question.kind], datasets[question.dataset]):
            tally[0] += 1
            tally[1] += right
    return OracleReport(
        rounds=rounds,
        marked_later=marked_later,
        marked=len(questions),
        answered=sum(answered for _, answered in kinds.values()),
        guessed=guessed,
        kinds={kind: (n, k) for kind, (n, k) in sorted(kinds.items())},
        datasets={name: (n, k) for name, (n, k) in sorted(datasets.items())},
    )


class _Counts:
    """Answers by context, over all questions and by fold."""

    def __init__(self, questions: Sequence[_Question]) -> None:
        self.all: dict[int, Counter[str]] = defaultdict(Counter)
        self.of_fold: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
        for each in questions:
            for context in each.contexts:
                self.all[context][each.answer] += 1
                self.of_fold[each.fold, context][each.answer] += 1
        self._likely: dict[tuple[int, int], Mapping[str, float]] = {}

    def best(self, question: _Question) -> str | None:
        """The likeliest answer to ``question``, from the other folds."""
        likely = self._combined(question.fold, question.contexts)
        # In the order of their names, so that equal chances give the same report every time.
        allowed = sorted(name for name in likely if name not in question.excluded)
        return max(allowed, key=lambda name: likely[name], default=None)

    def _combined(self, fold: int, contexts: tuple[int, ...]) -> Mapping[str, float]:
        """Answer -> chance; a context without experience has the chances of the next one."""
        if not contexts:
            return {}
        key = (fold, contexts[0])
        if key not in self._likely:
            general = self._combined(fold, contexts[1:])
            seen, own = self.all[contexts[0]], self.of_fold[key]
            total = seen.total() - own.total() + _BACKOFF
            self._likely[key] = {
                name: (seen[name] - own[name] + _BACKOFF * general.get(name, 0.0)) / total
                for name in general.keys() | seen.keys()
            }
        return self._likely[key]


def _questions(told: Told, fold: int) -> Iterator[tuple[int, _Question, float]]:
    """The marked rounds of a dialogue, with their place and the guess that was recorded."""
    known: dict[int, str] = {}
    for place, each in enumerate(told.dialogue.rounds):
        relation = each.relation
        if relation is not None and relation.evidence.get("needs_reference"):
            question = _Question(
                fold=fold,
                dataset=told.dataset,
                kind=relation.kind,
                contexts=tuple(hash(context) for context in _contexts(told, each, known)),
                answer=_answer(each),
                excluded=_excluded(relation.kind, known),
            )
            yield place, question, relation.evidence.get("guess", 0.0)
        _learn(each, known)


def _contexts(told: Told, each: Round, known: Mapping[int, str]) -> Iterator[Context]:
    """What the text says, from everything to hardly anything."""
    relation = each.relation
    assert relation is not None  # callers ask about marked rounds only
    words = _content(each.query)
    told_names = tuple(sorted(set(known.values())))
    references = tuple(sorted(known.get(number, "?") for number in relation.references))
    modality = told.dialogue.modality
    question: Context = (relation.kind, words)
    yield (told.dataset, modality, question, references, told_names, len(told.dialogue.given))
    yield (told.dataset, modality, question, references, told_names)
    yield (told.dataset, modality, question, references)
    yield (told.dataset, modality, question)
    yield (told.dataset, question)
    yield question


def _content(query: str) -> frozenset[str]:
    """The words of a question that may bear on its answer: its wording without the numbers.

    The relation itself is given to the oracle by its kind; what is left are nouns of the atlas
    ("vein"), substances and ordinals.
    """
    if chinese.is_chinese(query):
        return frozenset(word for word in _telling_terms() if word in query)
    found = re.findall(r"[a-z]+", MARKER.sub(" ", query.lower()))
    return frozenset(found) & _telling_words()


@cache
def _telling_words() -> frozenset[str]:
    words = {"first", "second", "third", "other"}
    for entity in anatomy.load():
        words.update(entity.noun.split())
        words.update(word for media in entity.media.values() for m in media for word in m.split())
    return frozenset(words - {"structure", "part", "region", "of", "the"})


@cache
def _telling_terms() -> frozenset[str]:
    """The same in Chinese, which is not divided into words."""
    nouns = {entity.noun for entity in anatomy.load()} - {"structure", "part", "region"}
    media = {m for e in anatomy.load() for media in e.media.values() for m in media}
    terms = {term(word, "zh") for word in nouns | media}
    return frozenset(terms | {"第一", "第二", "第三", "另一"})


def _answer(each: Round) -> str:
    """What a right answer is: the names of the masks in order, or what the words come down to."""
    drawn = [entity.name or "?" for entity in each.entities if entity.mask is not None]
    if drawn:
        return " + ".join(drawn)
    kind = "" if each.relation is None else each.relation.kind
    figure = _FIGURE.search(each.text)
    if kind == "ask_size" and figure is not None and float(figure.group()) > 0:
        return str(round(log(float(figure.group())) / _CLOSE))
    if kind in ("ask_name", "ask_larger"):
        return next(iter(_mentioned(each.text)), each.text)
    return each.text


def _excluded(kind: str, known: Mapping[int, str]) -> frozenset[str]:
    """Structures that the text has named are no answer to a question for something else."""
    is_free = kind in _AGAIN or (kind.startswith("ask_") and kind not in _IDENTIFYING)
    return frozenset() if is_free else frozenset(known.values())


def _learn(each: Round, known: dict[int, str]) -> None:
    """Remember what the answer says: names of its own masks, and of what was asked about."""
    said = _mentioned(each.text)
    for entity in each.entities:
        if entity.name is not None and entity.name in said:
            known[entity.id] = entity.name
    relation = each.relation
    if relation is None or relation.kind not in _IDENTIFYING:
        return
    names = said or tuple(known[e.id] for e in each.entities if e.id in known)
    if names:
        known[relation.references[0]] = names[0]


@lru_cache(maxsize=50_000)
def _mentioned(text: str) -> tuple[str, ...]:
    return chinese.recognise(text) if chinese.is_chinese(text) else anatomy.load().recognise(text)
