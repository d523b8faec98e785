"""Damage as it happens on disks and in the hands of attackers; the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable

_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_HEAD = 600


def mutated(data: bytes, chance: random.Random) -> bytes:
    """``data`` with one to six changes."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        if changed:
            chance.choice(_CHANGES)(changed, chance)
    return bytes(changed)


def _place(data: bytearray, chance: random.Random) -> int:
    """Half of the time near the beginning, where headers are."""
    most = len(data) if chance.random() < 0.5 else min(len(data), _HEAD)
    return chance.randrange(most)


def _flip(data: bytearray, chance: random.Random) -> None:
    data[_place(data, chance)] ^= 1 << chance.randrange(8)


def _scribble(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    data[at : at + 4] = chance.randbytes(min(4, len(data) - at))


def _number(data: bytearray, chance: random.Random) -> None:
    at, size = _place(data, chance), chance.choice((1, 2, 4, 8))
    value = chance.choice(_NUMBERS) & (256**size - 1)
    order = chance.choice(("little", "big"))
    data[at : at + size] = value.to_bytes(size, "little" if order == "little" else "big")


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[_place(data, chance) :]


def _drop(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    del data[at : at + chance.randint(1, 40)]


def _repeat(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    part = bytes(data[at : at + chance.randint(1, 64)])
    data[at:at] = part * chance.randint(1, 50)


def _swap(data: bytearray, chance: random.Random) -> None:
    one, other = _place(data, chance), _place(data, chance)
    data[one], data[other] = data[other], data[one]


_CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _flip,
    _scribble,
    _number,
    _number,
    _cut,
    _drop,
    _repeat,
    _swap,
)
