"""Many sessions at once on one server: no cross-talk, latency, memory, throughput.

    python -m benchmarks.serve --sessions 50 --rounds 20
    python -m benchmarks.serve --model nano --sessions 10 --rounds 4
    python -m benchmarks.serve --model nano --first-rounds 16 --at-once 1 2

Starts a real server process on loopback, talks in all sessions at once, each in a thread of its
own, then holds every dialogue again, one after another: words and masks must be equal, scores to
four decimals (a processor may round otherwise in another order of work).

``--first-rounds N`` measures something else: N new images, each with one question, asked all at
once of servers that answer 1, 2, … questions at the same time, side by side.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.record import about, write

from mediround.client import Client, RemoteSession
from mediround.dialogue import Dialogue

QUESTIONS = (
    "Segment the liver.",
    "Now what lies beside it?",
    "Show me the left kidney and the spleen.",
    "The counterpart of the last mask.",
)
UNHURRIED = ("--work-rate", "1000")
RESULTS = Path(__file__).with_name("results")


@contextmanager
def serving(
    data: Path, model: str, live: int, at_once: int = 4, together: int = 0
) -> Iterator[tuple[str, int]]:
    """Address and process id of a server."""
    command = ["-m", "mediround", "serve", "--port", "0", "--model", model, *UNHURRIED]
    if model == "talkative":
        command = ["-m", "benchmarks.talkative"]
    bounds = ["--live-sessions", str(live), "--data-dir", str(data)]
    bounds += ["--at-once", str(at_once), "--together", str(together)]
    process = subprocess.Popen(
        [sys.executable, *command, *bounds], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise SystemExit("the server did not start; its own words are above")
        yield address, process.pid
    finally:
        process.terminate()
        process.communicate(timeout=60)


def question(session: int, number: int) -> str:
    """Differs from session to session and round to round."""
    return f"{QUESTIONS[(session + number) % len(QUESTIONS)]} ({session}.{number})"


def talk(session: RemoteSession, which: int, rounds: int, seconds: list[list[float]]) -> None:
    """Hold one dialogue; ``seconds[n]`` gets the time of round n."""
    for number in range(rounds):
        began = time.perf_counter()
        session.ask(question(which, number))
        seconds[number].append(time.perf_counter() - began)


def resident(process: int) -> float:
    """Memory of a process in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def same(one: Dialogue, other: Dialogue) -> bool:
    """Equal words and masks, scores to four decimals."""
    if [(r.query, r.text) for r in one.rounds] != [(r.query, r.text) for r in other.rounds]:
        return False
    pairs = list(zip(one.entities(), other.entities(), strict=True))
    return all(
        a.model_dump(exclude={"score"}) == b.model_dump(exclude={"score"})
        and abs((a.score or 0) - (b.score or 0)) < 1e-4
        for a, b in pairs
    )


def first_rounds(model: str, count: int, lanes: tuple[int, int], folder: Path) -> dict[str, float]:
    """``count`` new images with one question each, all asked at the same time.

    ``lanes``: questions answered at once, and images computed together.
    """
    random = np.random.default_rng(0)
    with serving(folder, model, count, *lanes) as (address, process), Client(address) as client:
        warm = client.open(random.integers(0, 255, (256, 256), dtype=np.uint8))
        warm.ask(QUESTIONS[0])
        uploads = [
            client.upload(random.integers(0, 255, (256, 256), dtype=np.uint8)) for _ in range(count)
        ]
        seconds: list[float] = []
        began = time.perf_counter()

        def work(upload: Any) -> None:
            client.open_uploaded(upload).ask(QUESTIONS[0])
            seconds.append(time.perf_counter() - began)

        threads = [threading.Thread(target=work, args=(each,)) for each in uploads]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(seconds) == count
        return {
            "at_once": lanes[0],
            "together": lanes[1],
            "first_rounds_per_second": count / max(seconds),
            "seconds_p50": float(np.median(seconds)),
            "server_mib": resident(process),
        }


def measure(sessions: int, rounds: int, model: str, live: int, folder: Path) -> dict[str, Any]:
    """Everything that the record says."""
    images = [
        np.random.default_rng(seed).integers(0, 255, (96, 96), dtype=np.uint8)
        for seed in range(min(sessions, 10))
    ]
    with serving(folder, model, live) as (address, process), Client(address) as client:
        uploads = [client.upload(image) for image in images]

        def opened() -> list[RemoteSession]:
            return [client.open_uploaded(uploads[n % len(uploads)]) for n in range(sessions)]

        together = opened()
        memory, done = [resident(process)], threading.Event()

        def watch() -> None:
            while not done.wait(1):
                memory.append(resident(process))

        seconds: list[list[float]] = [[] for _ in range(rounds)]
        threads = [
            threading.Thread(target=talk, args=(each, n, rounds, seconds))
            for n, each in enumerate(together)
        ]
        watcher = threading.Thread(target=watch)
        watcher.start()
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wall = time.perf_counter() - began
        done.set()
        watcher.join()
        alone: list[list[float]] = [[] for _ in range(rounds)]
        began = time.perf_counter()
        apart = opened()
        for which, session in enumerate(apart):
            talk(session, which, rounds, alone)
        serial = time.perf_counter() - began
        pairs = [(one.dialogue, two.dialogue) for one, two in zip(together, apart, strict=True)]
        equal = [same(one, two) for one, two in pairs]
        identical = [one == two for one, two in pairs]
        masks = sum(1 for each in together for _ in each.entities)
    later = [second for each in seconds[1:] for second in each]
    half = memory[len(memory) // 2 :]
    return {
        "model": model,
        "sessions": sessions,
        "rounds": rounds,
        "live_sessions": live,
        "equal_to_serial": sum(equal),
        "equal_to_the_last_bit": sum(identical),
        "masks": masks,
        "rounds_per_second": {
            "together": sessions * rounds / wall,
            "one_after_another": sessions * rounds / serial,
        },
        "seconds": {
            "first_round_p95": float(np.percentile(seconds[0], 95)),
            "later_rounds_p50": float(np.percentile(later, 50)),
            "later_rounds_p95": float(np.percentile(later, 95)),
            "alone_later_rounds_p50": float(np.percentile(np.concatenate(alone[1:]), 50)),
        },
        "server_mib": {
            "start": memory[0],
            "middle": memory[len(memory) // 2],
            "end": memory[-1],
            "growth_in_second_half": max(half) / half[0] - 1,
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table, write the record; 1 where an answer differs from its serial one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--model", default="talkative", help="a preset, or the tiny one that talks")
    parser.add_argument("--live-sessions", type=int, default=64)
    parser.add_argument("--first-rounds", type=int, metavar="N")
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--together", type=int, nargs="*", default=[], help="and so many as one")
    parser.add_argument("--repeat", type=int, default=3, help="of --first-rounds, interleaved")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    if chosen.first_rounds is not None:
        return _compare(chosen)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(
            chosen.sessions, chosen.rounds, chosen.model, chosen.live_sessions, Path(folder)
        )
    record = about("serve") | found
    for name, value in found.items():
        print(f"{name:24} {value}")
    print(write(chosen.out, f"serve-{chosen.model}", record))
    return 0 if found["equal_to_serial"] == chosen.sessions else 1


def _compare(chosen: argparse.Namespace) -> int:
    """Servers of several settings in turn, so that all meet the same weather."""
    settings = [(at_once, 1) for at_once in chosen.at_once]
    settings += [(at_once, at_once) for at_once in chosen.together]
    rows: dict[tuple[int, int], list[dict[str, float]]] = {each: [] for each in settings}
    for _ in range(chosen.repeat):
        for lanes, measured in rows.items():
            with tempfile.TemporaryDirectory() as folder:
                measured.append(
                    first_rounds(chosen.model, chosen.first_rounds, lanes, Path(folder))
                )
            print(*(f"{name} {value:.3g}" for name, value in measured[-1].items()), flush=True)
    speeds = {
        f"at once {lanes[0]}, together {lanes[1]}": float(
            np.median([row["first_rounds_per_second"] for row in measured])
        )
        for lanes, measured in rows.items()
    }
    slowest = next(iter(speeds.values()))
    ratios = {name: round(speed / slowest, 3) for name, speed in speeds.items()}
    print(ratios)
    runs = [row for measured in rows.values() for row in measured]
    content = {"model": chosen.model, "images": chosen.first_rounds, "runs": runs, "ratio": ratios}
    print(write(chosen.out, f"serve-first-{chosen.model}", about("serve") | content))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
