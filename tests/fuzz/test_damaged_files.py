"""Thousands of damaged files: no reader dies, hangs, or raises what is not typed.

Each batch is read in a process of the sandbox that uploads are decoded in; a death there loses
the batch, which the test then names. One input alone:

    python -c "from tests.fuzz.readers import *; open('x','wb').write(damaged('dicom', 17))"
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mediround.errors import ImageFileError
from mediround.imaging.sandbox import DecodingLimits, Sandbox

INPUTS = {
    "dicom": 1200,
    "nifti": 900,
    "raster": 1200,
    "mask": 300,
    "zip": 300,
    "session": 400,
    "rle": 500,
    "coco": 400,
    "official": 300,
    "stored": 100,
}
FRAGILE = ("rle", "stored")
"""Hardly any damage leaves these readable."""
BATCH = 100


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    root = Path(__file__).parents[2]
    limits = DecodingLimits(seconds=100, memory=3 * 2**30)
    with pytest.MonkeyPatch.context() as patch, Sandbox(limits=limits) as found:
        patch.setattr("mediround.imaging.sandbox._SOURCE_ROOT", f"{root / 'src'}:{root}")
        found.run("tests.fuzz.readers:seeds_task", {}, private=())
        yield found


def test_there_are_enough() -> None:
    assert sum(INPUTS.values()) >= 5000


@pytest.mark.parametrize("kind", INPUTS)
def test_damaged_files_are_read_or_refused(sandbox: Sandbox, tmp_path: Path, kind: str) -> None:
    outcomes = {"read": 0, "refused": 0}
    for first in range(0, INPUTS[kind], BATCH):
        last = min(first + BATCH, INPUTS[kind])
        order = {"kind": kind, "first": first, "last": last, "folder": str(tmp_path)}
        try:
            found = sandbox.run("tests.fuzz.readers:batch_task", order, private=(tmp_path,))
        except ImageFileError as error:
            pytest.fail(f"{kind} {first} to {last - 1} killed its process: {error}")
        assert found["untyped"] == []
        assert found["slow"] == []
        for name, count in found["outcomes"].items():
            outcomes[name] += count
    assert sum(outcomes.values()) == INPUTS[kind]
    # Damage that nobody notices, or that nothing survives, would test little.
    assert kind in FRAGILE or outcomes["read"] > 0
    assert outcomes["refused"] > 0
