"""The sandbox survives whatever a task does, and says what became of it."""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mediround.errors import ImageFileError, InputError, SessionFileError
from mediround.imaging import warden
from mediround.imaging.decoded_apart import decode_mask
from mediround.imaging.png import encode_png
from mediround.imaging.sandbox import DecodingLimits, Sandbox

HERE = "tests.imaging.test_sandbox"


# Tasks, done in a fork of the warden. It finds them because the tests' folder is on its path.
def crash(_order: dict[str, Any]) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(_order: dict[str, Any]) -> None:
    time.sleep(60)


def swell(_order: dict[str, Any]) -> None:
    bytearray(2**31)


def chatter(_order: dict[str, Any]) -> dict[str, Any]:
    """Writes to whatever is open."""
    reached = []
    for number in range(64):
        with suppress(OSError):
            if not stat.S_ISCHR(os.fstat(number).st_mode):
                reached.append(number)
                os.set_blocking(number, False)
                os.write(number, b'{"done": {"forged": true}}\n')
    return {"reached": reached}


def flood(_order: dict[str, Any]) -> dict[str, str]:
    return {"text": "a" * 2**22}


def blunder(_order: dict[str, Any]) -> None:
    raise KeyError("Doe^Jane")


def refuse(order: dict[str, Any]) -> None:
    raise SessionFileError(f"{order['folder']}/upload is none", remedy="try another")


def look_round(_order: dict[str, Any]) -> dict[str, Any]:
    remembered = globals().setdefault("remembered", [])
    remembered.append(1)
    return {"seen": len(remembered), "process": os.getpid(), "environment": sorted(os.environ)}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    limits = DecodingLimits(seconds=2, memory=2**30)
    with (
        pytest.MonkeyPatch.context() as patch,
        Sandbox(limits=limits) as found,
    ):
        root = Path(__file__).parents[2]
        patch.setattr("mediround.imaging.sandbox._SOURCE_ROOT", f"{root / 'src'}:{root}")
        assert do(found, "look_round")["seen"] == 1
        yield found


def do(sandbox: Sandbox, task: str, **order: Any) -> Any:
    return sandbox.run(f"{HERE}:{task}", order, private=(Path("/secret/place"),))


@pytest.mark.parametrize("task", ["crash", "swell", "blunder", "flood"])
def test_what_goes_wrong_there_is_refused_here(sandbox: Sandbox, task: str) -> None:
    with pytest.raises(ImageFileError, match="memory|decoder") as refusal:
        do(sandbox, task)
    assert "Doe" not in str(refusal.value)
    assert do(sandbox, "look_round")["seen"] == 1


def test_a_hanging_task_is_ended(sandbox: Sandbox) -> None:
    began = time.monotonic()
    with pytest.raises(ImageFileError, match="longer than 2 s"):
        do(sandbox, "hang")
    assert time.monotonic() - began < 10


def test_a_refusal_keeps_its_class_and_loses_its_folder(sandbox: Sandbox) -> None:
    with pytest.raises(SessionFileError, match="try another") as refusal:
        do(sandbox, "refuse", folder="/secret/place")
    assert "/secret" not in str(refusal.value)


def test_nothing_is_left_of_a_task_and_nothing_is_known_to_it(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIROUND_TOKEN", "secret")
    first, second = do(sandbox, "look_round"), do(sandbox, "look_round")
    assert first["seen"] == second["seen"] == 1
    assert first["process"] != second["process"]
    assert "MEDIROUND_TOKEN" not in first["environment"]


def test_a_task_cannot_speak_for_the_warden(sandbox: Sandbox) -> None:
    # One is its own way to answer, spoilt by what it wrote there.
    with pytest.raises(ImageFileError):
        do(sandbox, "chatter")
    assert do(sandbox, "look_round")["seen"] == 1


def test_memory_is_measured(sandbox: Sandbox) -> None:
    do(sandbox, "look_round")
    assert 2**20 < sandbox.peak < 2**31


def test_a_warden_that_dies_is_replaced(sandbox: Sandbox) -> None:
    warden_process = sandbox._idle.queue[0]
    assert warden_process is not None
    warden_process._process.kill()
    warden_process._process.wait()
    assert do(sandbox, "look_round")["seen"] == 1


def test_many_threads_share_few_wardens() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[3:9, 4:20] = True
    data = encode_png(mask.astype(np.uint8) * np.uint8(255))
    with Sandbox(at_once=2) as sandbox:
        same: list[bool] = []

        def work() -> None:
            same.extend(np.array_equal(decode_mask(sandbox, data), mask) for _ in range(5))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert same == [True] * 20
        with pytest.raises(InputError, match="colour"):
            decode_mask(sandbox, encode_png(np.arange(243, dtype=np.uint8).reshape(9, 9, 3)))


def test_where_processes_cannot_fork_each_serves_one_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mediround.imaging.sandbox.FORKS", False)
    mask = np.eye(20, dtype=bool)
    data = encode_png(mask.astype(np.uint8) * np.uint8(255))
    with Sandbox(limits=DecodingLimits(memory=2**30)) as sandbox:
        for _ in range(2):
            assert np.array_equal(decode_mask(sandbox, data), mask)
        with pytest.raises(ImageFileError):
            decode_mask(sandbox, data[:40])


def test_what_a_task_says_has_one_form() -> None:
    assert warden._outcome(look_round, {"private": []})["done"]["seen"] >= 1
    assert warden._outcome(blunder, {"private": []}) == {"failed": "KeyError"}
