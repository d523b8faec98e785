"""Time and memory of a run: how fast it goes, and when it is time for a checkpoint."""

import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

import torch
from accelerate import Accelerator


class Pace:
    """Measures from one step to the next.

    Args:
        seconds: between checkpoints.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._saved = self._logged = time.monotonic()

    def since(self, dialogues: int) -> dict[str, float]:
        """What a step of ``dialogues`` took, and the most memory so far."""
        now = time.monotonic()
        spent, self._logged = now - self._logged, now
        return {
            "seconds": round(spent, 4),
            "dialogues_per_second": round(dialogues / max(spent, 1e-9), 3),
            "peak_mb": round(peak_bytes() / 2**20, 1),
        }

    def is_due(self, made: Accelerator) -> bool:
        """Whether it is time for a checkpoint; the first process' clock decides for all."""
        due = made.is_main_process and time.monotonic() - self._saved >= self.seconds
        if made.num_processes > 1:
            due = bool(made.reduce(torch.tensor(float(due), device=made.device), "sum") > 0)
        if due:
            self._saved = time.monotonic()
        return due


def peak_bytes() -> int:
    """The most memory that this process has held: of its CUDA device, else of the host."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    with suppress(OSError):  # only Linux has it; there, getrusage's is inherited from the parent
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes but there
