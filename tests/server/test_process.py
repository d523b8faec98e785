"""A real process: killed and started again, it has lost nothing that it acknowledged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.server.conftest import png

from mediround.client import Client, RemoteSession, ServerError
from mediround.errors import QueryError, UnknownReferenceError

START_SECONDS = 120


@contextmanager
def serving(data: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Address and process of a server; killed at the end."""
    command = [sys.executable, "-m", "benchmarks.talkative", "--data-dir", str(data)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http"), "the server did not start"
        yield address, process
    finally:
        process.kill()
        process.communicate()


def state(session: RemoteSession) -> str:
    return session.dialogue.model_dump_json()


def test_killed_in_the_middle_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(3))
    acknowledged: dict[str, str] = {}
    with serving(tmp_path / "data") as (address, process):
        client = Client(address)
        image = client.upload(tmp_path / "a.png")
        sessions = [client.open_uploaded(image, title=f"{n}") for n in range(3)]

        def talk(session: RemoteSession, number: int) -> None:
            try:
                for turn in range(60):
                    session.ask(f"Segment the liver, please ({number}-{turn}).")
                    acknowledged[session.id] = state(session)
                    if turn == 5 and number == 0:
                        os.kill(process.pid, signal.SIGKILL)
            except ServerError:
                return  # cut off: that round was not acknowledged

        threads = [threading.Thread(target=talk, args=(each, n)) for n, each in enumerate(sessions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert acknowledged
    with serving(tmp_path / "data") as (address, process), Client(address) as client:
        for session in sessions:
            resumed = client.resume(session.id)
            stored = state(resumed)
            if session.id not in acknowledged:
                continue
            # A round may have been stored whose answer did not arrive any more; none is missing.
            while len(resumed.dialogue.rounds) > len(session.dialogue.rounds):
                assert resumed.undo()
            assert state(resumed) == acknowledged[session.id], stored
        # It goes on as if nothing had been: same answer as in a session that never stopped.
        fresh = client.open(tmp_path / "a.png")
        for each in resumed.turns:
            fresh.ask(each.query)
        assert fresh.ask("And now?").text == resumed.ask("And now?").text
        # Reading a dialogue at once rounds otherwise than reading it round by round.
        for one, other in zip(fresh.dialogue.entities(), resumed.dialogue.entities(), strict=True):
            assert one.mask == other.mask
            assert one.score == pytest.approx(other.score, abs=1e-4)
        process.send_signal(signal.SIGTERM)
        # Having ended in good order, it lets the signal take its usual effect.
        assert process.wait(60) in (0, -signal.SIGTERM)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(tmp_path_factory.mktemp("data")) as (address, _), Client(address) as client:
        yield client


def test_the_client_has_the_surface_of_a_session(client: Client, tmp_path: Path) -> None:
    pixels = np.random.default_rng(8).integers(0, 255, (60, 72), dtype=np.uint8)
    session = client.open(pixels, title="of an array")
    heard: list[str] = []
    turn = session.ask("Segment the liver.", told=heard.append)
    assert heard[-1] == turn.text
    mask = np.zeros((60, 72), dtype=bool)
    mask[10:20, 30:50] = True
    given = session.add_mask(mask, "mine")
    assert given.mask is not None
    assert np.array_equal(given.mask, mask)
    session.entities[given.id].replace(~mask)
    assert given.mask is not None
    assert given.mask.sum() == (~mask).sum()
    assert session.undo()
    assert np.array_equal(given.mask, mask)
    assert session.redo()
    assert not session.redo()
    session.rename(given.id, "yours")
    assert given.name == "yours"
    with pytest.raises(UnknownReferenceError):
        session.ask("like [99]")
    with pytest.raises(QueryError):
        session.ask(" ")
    session.save(tmp_path / "case.mediround")
    image = tmp_path / "image.png"
    from mediround.imaging.png import encode_png

    image.write_bytes(encode_png(pixels))
    resumed = client.resume(tmp_path / "case.mediround", image=image)
    assert state(resumed) == state(session)
    assert session.id in {each["id"] for each in client.sessions()}
    session.delete()
    with pytest.raises(ServerError):
        session.refresh()


def test_nobody_there() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(ServerError, match="not answer"):
        client.sessions()


def test_the_client_needs_no_torch() -> None:
    code = "import sys, mediround; mediround.Client; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
