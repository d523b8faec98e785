"""Sentence patterns with alternatives, expanded into all the sentences that they stand for.

``"the {noun} (that|which) stores (what {a} makes|the product of {a})"`` stands for four phrases.
Groups may nest and an alternative may be empty: ``"(please |)segment {x}"``. Gaps in braces are
left as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import chain


@cache
def expand(pattern: str) -> tuple[str, ...]:
    """All sentences of ``pattern``, the alternatives of the first group varying slowest.

    Raises:
        ValueError: a parenthesis has no partner. Patterns are the program's own data, so this is
            a mistake of ours and not of the user.
    """
    start = pattern.find("(")
    if start < 0:
        if ")" in pattern:
            raise ValueError(f"unopened group in the pattern {pattern!r}")
        return (pattern,)
    if ")" in pattern[:start]:
        raise ValueError(f"unopened group in the pattern {pattern!r}")
    options, end = _alternatives(pattern, start)
    tails = expand(pattern[end:])
    return tuple(
        f"{pattern[:start]}{middle}{tail}"
        for option in options
        for middle in expand(option)
        for tail in tails
    )


def expand_all(patterns: Iterable[str]) -> tuple[str, ...]:
    """The sentences of all patterns in their order, each sentence once."""
    return tuple(dict.fromkeys(chain.from_iterable(expand(each) for each in patterns)))


def _alternatives(pattern: str, start: int) -> tuple[list[str], int]:
    """The options of the group that opens at ``start``, and the place after its end."""
    options, depth, begin = [], 0, start + 1
    for place in range(start, len(pattern)):
        letter = pattern[place]
        depth += (letter == "(") - (letter == ")")
        if letter == "|" and depth == 1:
            options.append(pattern[begin:place])
            begin = place + 1
        if depth == 0:
            options.append(pattern[begin:place])
            return options, place + 1
    raise ValueError(f"unclosed group in the pattern {pattern!r}")
