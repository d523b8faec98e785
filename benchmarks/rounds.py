"""Time and memory of a dialogue round by round: kept across rounds against computed anew.

    python benchmarks/rounds.py --model nano

Three loops over the same ten questions take turns within each round, so that whatever else the
machine does falls on all of them:

- kept: the session as it is shipped;
- anew: everything is computed again in every round (image, earlier masks, the whole dialogue), as
  the official loop does; within a round it keeps keys and values, which flatters it;
- parts: only what nobody can avoid, without a session round it: one encoding of the image in the
  first round, the language model over the new tokens, one mask decoded a round.

With ``--text given`` (the default) the model is made to say fixed answers, so that every round
draws one mask and lengths do not depend on the weights. With ``--text free`` it speaks.

Prints a table and writes a dated JSON with hardware, versions and configuration.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from record import about, write
from round_loops import Anew, Kept, Parts, Plan

BARS = {"speed-up of the total": 5.0, "last round / second": 1.3, "kept / parts": 1.5}


@dataclass
class Times:
    """Seconds by loop, round and repetition."""

    seconds: dict[str, list[list[float]]] = field(default_factory=dict)

    def take(self, loop: str, number: int, work: Callable[[], None]) -> None:
        """Time ``work`` as round ``number``, from 1."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        rounds = self.seconds.setdefault(loop, [])
        if len(rounds) < number:
            rounds.append([])
        rounds[number - 1].append(time.perf_counter() - start)

    def medians(self) -> dict[str, list[float]]:
        """Loop -> median seconds of each round."""
        return {
            loop: [statistics.median(each) for each in rounds]
            for loop, rounds in self.seconds.items()
        }


def measure(plan: Plan, repetitions: int) -> tuple[dict[str, list[float]], list[int]]:
    """Median seconds of each round of the three loops, and the tokens new in each."""
    model, image = plan.load()
    warm = Kept(model, image, plan)
    for _ in range(min(3, plan.rounds)):
        warm.ask()
    times = Times()
    new_tokens: list[int] = []
    for _ in range(repetitions):
        kept, anew = Kept(model, image, plan), Anew(model, image, plan)
        parts = Parts(model, image, plan)
        for number in range(1, plan.rounds + 1):
            times.take("kept", number, kept.ask)
            times.take("anew", number, anew.ask)
            assert kept.session is not None
            parts.prepare(kept.session.dialogue)
            times.take("parts", number, parts.ask)
        new_tokens = parts.new_tokens
    return times.medians(), new_tokens


def peaks(plan: Plan, loop: str) -> list[int]:
    """Highest memory of this process, in bytes, after loading and after each round."""
    model, image = plan.load()
    talk = Kept(model, image, plan) if loop == "kept" else Anew(model, image, plan)
    found = [_peak()]
    for _ in range(plan.rounds):
        talk.ask()
        found.append(_peak())
    return found


def _peak() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    # Not getrusage: its maximum is inherited from the parent process.
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def memory(plan: Plan) -> dict[str, list[int]]:
    """:func:`peaks` of both loops, each in a process of its own."""
    found = {}
    for loop in ("kept", "anew"):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            found[loop] = pool.submit(peaks, plan, loop).result()
    return found


def judged(seconds: dict[str, list[float]]) -> dict[str, dict[str, float | bool]]:
    """Ratios against the bars."""
    kept, anew, parts = (sum(seconds[loop]) for loop in ("kept", "anew", "parts"))
    # The second round, not the first: that one encodes the image.
    values = {
        "speed-up of the total": anew / kept,
        "last round / second": seconds["kept"][-1] / seconds["kept"][1],
        "kept / parts": kept / parts,
    }
    return {
        name: {
            "value": value,
            "bar": BARS[name],
            "met": value >= BARS[name] if name.startswith("speed-up") else value <= BARS[name],
        }
        for name, value in values.items()
    }


def show(record: dict[str, Any]) -> None:
    """Print the table."""
    seconds, peak = record["seconds"], record["peak_bytes"]
    print(
        f"{'round':>5} {'tokens':>6}"
        + "".join(f"{loop + ' s':>10}" for loop in seconds)
        + "".join(f"{loop + ' MiB':>12}" for loop in peak)
    )
    for place, tokens in enumerate(record["new_tokens"]):
        row = "".join(f"{rounds[place]:10.4f}" for rounds in seconds.values())
        row += "".join(f"{rounds[place + 1] / 2**20:12.0f}" for rounds in peak.values())
        print(f"{place + 1:5} {tokens:6}{row}")
    print(
        f"{'all':>5} {sum(record['new_tokens']):6}"
        + "".join(f"{sum(rounds):10.4f}" for rounds in seconds.values())
    )
    for name, each in record["bars"].items():
        mark = "met" if each["met"] else "missed"
        print(f"{name}: {each['value']:.2f} (bar {each['bar']}: {mark})")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nano", help="a preset or a model folder")
    parser.add_argument("--image", help="image or volume; by default the sample CT; or 'noise'")
    parser.add_argument("--text", choices=("given", "free"), default="given")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    if options.rounds < 2 or options.repetitions < 1:
        parser.error("at least 2 rounds and 1 repetition")
    plan = Plan(
        options.model,
        options.device,
        options.threads,
        options.rounds,
        options.text == "free",
        options.image,
    )
    seconds, new_tokens = measure(plan, options.repetitions)
    record = {
        **about("rounds"),
        "configuration": {
            "model": Path(options.model).name,
            "image": "sample-ct" if options.image is None else Path(options.image).name,
            "text": options.text,
            "rounds": options.rounds,
            "repetitions": options.repetitions,
            "threads": options.threads,
        },
        "new_tokens": new_tokens,
        "seconds": seconds,
        "peak_bytes": memory(plan),
        "bars": judged(seconds),
    }
    show(record)
    print(write(options.out, f"rounds-{Path(options.model).name}-{options.text}", record))


if __name__ == "__main__":
    main()
