"""Runs a child process to its end, reporting now and then, never leaving it behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SOURCE_ROOT = Path(__file__).resolve().parents[2]
_TICK_SECONDS = 0.5


@dataclass(frozen=True)
class Outcome:
    """How a child process ended: its exit status and what it wrote, both streams together."""

    returncode: int
    output: str

    @property
    def last_line(self) -> str:
        """The last non-empty line, which for Python programs is the error."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1] if lines else f"no output, exit status {self.returncode}"


def run_module(
    module: str,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    tick: Callable[[], None] | None = None,
) -> Outcome:
    """Run ``python -m module arguments…`` with this interpreter and wait for it.

    Args:
        module: an importable module; this package is importable in the child too.
        arguments: handed over as they are, no shell.
        environment: added to the caller's environment.
        tick: called about twice a second while the child runs.
    """
    merged = {**os.environ, **environment}
    inherited = merged.get("PYTHONPATH")
    merged["PYTHONPATH"] = os.pathsep.join([str(_SOURCE_ROOT), *([inherited] if inherited else [])])
    # -P: a module that happens to lie in the current folder must not stand in for a real one.
    command = [sys.executable, "-P", "-m", module, *arguments]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=merged
        )
        try:
            while True:
                try:
                    returncode = process.wait(timeout=_TICK_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    if tick is not None:
                        tick()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        output.seek(0)
        return Outcome(returncode, output.read().decode("utf-8", errors="replace"))
