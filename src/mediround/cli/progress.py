"""One moving line on a terminal for work that takes a while; nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console


@contextmanager
def moving_line(start: str) -> Iterator[Callable[[str], None]]:
    """Show ``start`` beside a spinner on standard error; the yielded function replaces the text.

    Standard output stays clean for results. Where standard error is no terminal nothing is
    written, so that logs do not fill with progress.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status(start) as status:
        yield status.update
