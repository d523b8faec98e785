"""Questions and answers with other numbers, or without any."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from mediround.dialogue import MARKER


def named_query(names: Sequence[str]) -> str:
    """The plainest question for structures: "Segment the liver and the spleen."."""
    return f"Segment {' and '.join(f'the {name}' for name in names)}."


def renumbered(text: str, number: Callable[[int], int | None]) -> str:
    """``text`` with every ``[n]`` as ``[number(n)]``, without it where there is no such number."""

    def marker(found: re.Match[str]) -> str:
        own = number(int(found.group(1)))
        return "" if own is None else f"[{own}]"

    return MARKER.sub(marker, text)
