"""What a run says about its memory."""

import subprocess
import sys

import numpy as np

SAY_PEAK = "from mediround.training.pace import peak_bytes; print(peak_bytes())"


def test_the_peak_is_that_of_the_process_itself() -> None:
    """Of a child of a large parent too, to which the system's own count adds the parent's."""
    ballast = np.ones(2**26)  # 512 MiB, all of it touched
    said = subprocess.run(
        [sys.executable, "-c", SAY_PEAK], capture_output=True, text=True, check=True
    ).stdout
    assert 2**26 < int(said) < ballast.nbytes
