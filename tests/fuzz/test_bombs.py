"""Small files that ask for much are refused at once, and cost little memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fuzz.bombs import bombs

from mediround.errors import InputError
from mediround.imaging.sandbox import Sandbox

SECONDS, GROWTH = 2.0, 512 * 2**20
FILES = bombs()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    root = Path(__file__).parents[2]
    with pytest.MonkeyPatch.context() as patch, Sandbox() as found:
        patch.setattr("mediround.imaging.sandbox._SOURCE_ROOT", f"{root / 'src'}:{root}")
        found.run("tests.fuzz.readers:seeds_task", {}, private=())
        yield found


def test_there_are_at_least_a_dozen() -> None:
    assert len(FILES) >= 12


@pytest.mark.parametrize("name", FILES)
def test_a_bomb_is_refused(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    kind, data = FILES[name]
    file = tmp_path / "upload"
    file.write_bytes(data)
    sandbox.peak, sandbox.longest = 0, 0.0
    sandbox.run("tests.fuzz.readers:seeds_task", {}, private=())
    idle, sandbox.peak, sandbox.longest = sandbox.peak, 0, 0.0
    with pytest.raises(InputError) as refusal:
        sandbox.run("tests.fuzz.readers:one_task", {"kind": kind, "file": str(file)}, private=())
    # Told by its reader, not found out when the process was already lost.
    assert "decoder fail" not in str(refusal.value)
    assert "too much memory" not in str(refusal.value)
    assert sandbox.longest < SECONDS  # of the CPU: the machine may have other things to do
    assert sandbox.peak - idle < GROWTH
