"""Which dialogues belong to a step, and which of them go through the model together.

A step's dialogues are fixed by seed and step alone. How they are shared out over processes and
passes changes nothing but rounding, since every sum is divided by what the *step* holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mediround.training.staged.examples import Size


@dataclass(frozen=True)
class Drawn:
    """A dialogue of a step: its number among all, and which view of its image."""

    number: int
    view: int
    size: Size


class Plan:
    """Endless steps over a set of dialogues.

    In every round over the set each dialogue comes once, in random order. Windows of
    ``bucket_steps`` steps are sorted by length, so that a step's dialogues are of like length;
    the steps of a window come in random order.

    Args:
        sizes: of the dialogues, in their order.
        dialogues: of a step.
        views: of each image, one of them drawn at random each time.
        bucket_steps: see above.
        seed: of everything random.
    """

    def __init__(
        self, sizes: Sequence[Size], *, dialogues: int, views: int, bucket_steps: int, seed: int
    ) -> None:
        self.sizes, self.dialogues, self.views, self.seed = sizes, dialogues, views, seed
        self.window = bucket_steps * dialogues
        self.bucket_steps = bucket_steps
        # No more state than this: two threads ask for steps.
        self._order = lru_cache(maxsize=4)(self._permute)
        self._window = lru_cache(maxsize=4)(self._sort)

    def step(self, number: int) -> list[Drawn]:
        """The dialogues of a step, shortest first."""
        window, place = divmod(number, self.bucket_steps)
        held = self._window(window)
        order = np.random.default_rng((self.seed, 11, window)).permutation(self.bucket_steps)
        first = int(order[place]) * self.dialogues
        return held[first : first + self.dialogues]

    def _sort(self, window: int) -> list[Drawn]:
        held = [self._draw(window * self.window + offset) for offset in range(self.window)]
        return sorted(held, key=lambda drawn: (drawn.size.length, drawn.number, drawn.view))

    def _draw(self, place: int) -> Drawn:
        turn, rest = divmod(place, len(self.sizes))
        number = int(self._order(turn)[rest])
        view = int(np.random.default_rng((self.seed, 12, place)).integers(self.views))
        return Drawn(number, view, self.sizes[number])

    def _permute(self, turn: int) -> NDArray[np.int64]:
        return np.random.default_rng((self.seed, 10, turn)).permutation(len(self.sizes))


def share(step: Sequence[Drawn], process: int, processes: int) -> list[Drawn]:
    """One process' part of a step: every ``processes``-th, so that all are of like length."""
    return list(step[process::processes])


def passes(
    step: Sequence[Drawn], process: int, processes: int, *, most: int, tokens: int
) -> list[list[Drawn]]:
    """One process' passes over its part of a step; all processes make equally many.

    Args:
        step: shortest first; a multiple of ``processes``.
        process: which one, from 0.
        processes: how many.
        most: dialogues of a pass.
        tokens: positions of a pass, padding included.
    """
    shares = [share(step, each, processes) for each in range(processes)]
    least = max(len(cut(each, most=most, tokens=tokens)) for each in shares)
    return cut(shares[process], most=most, tokens=tokens, at_least=least)


def cut(held: Sequence[Drawn], *, most: int, tokens: int, at_least: int = 1) -> list[list[Drawn]]:
    """Passes of at most ``most`` dialogues and ``tokens`` positions, padding included.

    Args:
        held: shortest first.
        most: dialogues of a pass.
        tokens: positions of a pass; a single dialogue may have more.
        at_least: make no fewer passes than this, where there are enough dialogues.

    Returns:
        Passes, the longest first, so that memory runs out early if at all.
    """
    passes: list[list[Drawn]] = []
    for each in held:
        fits = (
            passes
            and len(passes[-1]) < most
            and ((len(passes[-1]) + 1) * each.size.length <= tokens)
        )
        if fits:
            passes[-1].append(each)
        else:
            passes.append([each])
    while len(passes) < min(at_least, len(held)):
        widest = max(range(len(passes)), key=lambda place: len(passes[place]))
        half = len(passes[widest]) // 2
        passes[widest : widest + 1] = [passes[widest][:half], passes[widest][half:]]
    return passes[::-1]


def padding(passes: Sequence[Sequence[Drawn]]) -> float:
    """Share (0..1) of the positions that are padding."""
    lengths = [[each.size.length for each in one] for one in passes]
    full = sum(max(one) * len(one) for one in lengths)
    return 1 - sum(map(sum, lengths)) / full if full else 0.0
