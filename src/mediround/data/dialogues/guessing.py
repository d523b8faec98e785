"""What an ideal reader of the words could know: which number may be which structure.

A reader who sees the words, the history and the list of structures of the image, but no mask,
knows a number when the text has said its name, or when it follows from what the text has said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations, product

from mediround.data.dialogues import enquiries
from mediround.data.dialogues.repertoire import AnyLink, Repertoire
from mediround.data.scene.link import RESEGMENTING
from mediround.data.scene.relations import Scene
from mediround.data.scene.relations_wide import RANKING

GUESSABLE = 0.5  # from this share of right guesses on, a reference is not needed


class Reader:
    """Who reads the words of a dialogue and sees none of its masks.

    Attributes:
        known: number -> name, as far as the text tells.
    """

    def __init__(self, repertoire: Repertoire, known: dict[int, str]) -> None:
        self.repertoire, self.known = repertoire, known
        self.copies: set[int] = set()
        self._facts: list[tuple[object, int, int]] = []

    def note(self, link: AnyLink, numbers: tuple[int, ...], target: int) -> None:
        """Remember an answered question, so that names said later tell about it too."""
        if link.kind in RESEGMENTING or link.kind in RANKING:
            self.copies.add(target)
        if len(numbers) == 1:
            self._facts.append((link.question, numbers[0], target))
        self.deduce()

    def deduce(self) -> None:
        """Name numbers that follow from named ones through answered questions."""
        found = True
        while found:
            found = False
            for question, number, target in self._facts:
                if (number in self.known) == (target in self.known):
                    continue
                fitting = self.repertoire.by_question[question]
                if number in self.known:
                    names = {x.target for x in fitting if x.references[0] == self.known[number]}
                    missing = target
                else:
                    names = {x.references[0] for x in fitting if x.target == self.known[target]}
                    missing = number
                if len(names) == 1:
                    self.known[missing] = names.pop()
                    found = True

    def possible(self, number: int) -> frozenset[str]:
        """The structures that ``number`` may be."""
        if number in self.known:
            return frozenset({self.known[number]})
        if number in self.copies:
            return frozenset(self.repertoire.usable)
        taken = {name for other, name in self.known.items() if other not in self.copies}
        return frozenset(self.repertoire.usable) - taken

    def guess_link(self, link: AnyLink, numbers: Sequence[int]) -> float:
        """How often the commonest answer to the words of ``link`` is right, 0..1."""
        options = [self.possible(number) for number in numbers]
        if link.kind in RANKING:
            open_ = sum(len(names) > 1 for names in options)
            return 1.0 if open_ < 2 else 1 / open_
        shown = set(self.known.values())
        again = link.kind in RESEGMENTING
        return _commonest(
            other.target
            for other in self.repertoire.by_question[link.question]
            if (again or other.target not in shown)
            and any(
                all(name in names for name, names in zip(order, options, strict=True))
                for order in permutations(other.references)
            )
        )

    def guess_enquiry(self, scene: Scene, kind: str, numbers: Sequence[int]) -> float:
        """How often the commonest answer to a question of this kind is right, 0..1."""
        if kind in enquiries.UNGUESSABLE:
            return 0.0
        options = [sorted(self.possible(number)) for number in numbers]
        answers = (
            enquiries.answer(scene, kind, names)
            for names in product(*options)
            if len(set(names)) == len(names)
        )
        return _commonest(answer for answer in answers if answer is not None)


def _commonest(answers: Iterable[str]) -> float:
    counts = Counter(answers)
    return max(counts.values()) / counts.total() if counts else 1.0


def evidence_of(guess: float, measured: Mapping[str, float]) -> dict[str, float]:
    """The evidence of a round: what was measured, the guess, and whether a reference is needed."""
    needed = float(guess <= GUESSABLE)
    return {**measured, "guess": round(guess, 3), "needs_reference": needed}
