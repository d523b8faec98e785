"""How hard a round is to answer, from how it was made.

One point each: for what the kind asks of the reader (0 to 2: a name is said; a description, a
size or a well-known fact; a place in the picture or two structures at once), for a second
reference, for a third, for a reference that is older than the last round, and for a reference
whose name was never said. Six points make a difficulty of 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Level = Literal["easy", "medium", "hard"]

POINTS = 6
_EFFORT: Mapping[str, int] = {
    "name": 0,
    "talk": 0,
    "pair": 0,
    "ask_total": 0,
    "describe": 1,
    "secretes": 1,
    "several": 1,
    "absent": 1,
    "identity": 1,
    "counterpart": 1,
    "sibling": 1,
    "larger_of": 1,
    "smaller_of": 1,
    "correction": 1,
    "premise": 1,
    "either": 0,
    "ask_name": 1,
    "ask_side": 1,
}
_OTHERWISE = 2


def difficulty(kind: str, *, references: int, rounds_back: int, anonymous: int) -> float:
    """The difficulty of a round, 0..1.

    Args:
        kind: of its relation; kinds that are not listed take the most effort.
        references: how many masks it refers to.
        rounds_back: how many rounds ago the oldest of them was introduced.
        anonymous: how many of them the text has never named.
    """
    points = _EFFORT.get(kind, _OTHERWISE) + min(2, max(0, references - 1))
    points += int(rounds_back > 1) + int(anonymous > 0)
    return points / POINTS


def level(value: float) -> Level:
    """Name the difficulty: "easy" below a third, "hard" from two thirds."""
    return "easy" if value < 1 / 3 else "medium" if value < 2 / 3 else "hard"
