"""Which reference belongs to which round, as the official evaluation counts them.

The official code keeps the crops and boxes of a dialogue in one list, its slots. After a round it
replaces those slots whose question refers to this round by the model's own output.
"""

from __future__ import annotations

from mediround.data.official.brackets import Bracket, split
from mediround.data.official.record import OfficialRecord
from mediround.quirks import OfficialQuirks

NONE = -1


def reference_slots(
    record: OfficialRecord, quirks: OfficialQuirks | None = None
) -> list[tuple[int, int]]:
    """For every question (round that it refers to, its slot), both from 0 and -1 for none.

    A mask that no round has drawn has the round -1 and a slot. With the quirk ``slots_by_ind``
    the key ``ind`` alone decides: a question that encodes a mask without it is given no slot, so
    that the slots of later questions are one too low.
    """
    by_ind = quirks is not None and quirks.slots_by_ind
    found: list[tuple[int, int]] = []
    targets: list[str] = []
    slots = 0
    for question, answer in record.rounds:
        path = _path(question.value, "MASK-ENCODE")
        if question.ind is not None:
            found.append((question.ind, slots))
        elif path is not None and not by_ind:
            meant = [place for place, target in enumerate(targets) if target == path]
            found.append((meant[-1] if meant else NONE, slots))
        else:
            found.append((NONE, NONE))
        slots += found[-1][1] != NONE
        targets.append(_path(answer.value, "MASK-DECODE") or "")
    return found


def _path(value: str, kind: str) -> str | None:
    brackets = (part for part in split(value) if isinstance(part, Bracket))
    return next((bracket.path for bracket in brackets if bracket.kind == kind), None)
