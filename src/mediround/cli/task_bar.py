"""A bar for long work of several parts, with the time that remains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def task_bar() -> Iterator[Callable[[str, int, int], None] | None]:
    """Show parts of work as bars on standard error; None where that is no terminal.

    The yielded function takes what is being done, how much of it is done, and of how much.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("starting", total=None)
        current = ""

        def advance(what: str, done: int, total: int) -> None:
            nonlocal current
            if what != current:
                bar.reset(task)  # the time that remains is that of this part
                current = what
            bar.update(task, description=what, completed=done, total=total)

        yield advance
