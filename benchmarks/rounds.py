"""Time and memory of a dialogue round by round: kept across rounds against computed anew.

    python benchmarks/rounds.py --model nano

Three loops over the same ten questions take turns within each round, so that whatever else the
machine does falls on all of them:

- kept: the session as it is shipped;
- anew: everything is computed again in every round: image, earlier masks, the dialogue so far;
  within a round it keeps keys and values, which flatters it;
- parts: only what nobody can avoid, without a session round it: one encoding of the image in the
  first round, the language model over the new tokens, one mask decoded a round.

The official loop reads the *whole* dialogue in each of its rounds and draws all its masks, later
rounds too: each costs what the last one costs here, or more. The speed-up of the total is against
so many last rounds; that against the sum of *anew*, a loop that does not know what comes, stands
beside it.

With ``--model paper-135m`` or ``paper-7b`` the network has the paper's dimensions and random
weights (``paper_sizes.py``); ``--anew-at`` leaves out rounds of the slow loop, which then goes on
from what the first one said. Pixels by which the masks of both differ are counted, and how often
images and earlier masks were encoded. ``--bandwidth`` and ``--tflops`` derive a floor.

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

from floor import floor
from mediround.dialogue import Dialogue
from mediround.training.pace import peak_bytes
from record import about, write
from round_loops import Anew, Encodings, Kept, Parts, Plan, differing

BARS = {
    "speed-up of the total": 5.0,
    "speed-up of round 5": 8.0,
    "speed-up of round 10": 15.0,
    "last round / second": 1.3,
    "kept / parts": 1.5,
}
"""Of the speed-ups of one round, which later ones of the paper's model must reach, the least."""


@dataclass
class Times:
    """Seconds by loop, round and repetition: on the clock, and of this process alone."""

    clock: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    process: dict[str, dict[int, list[float]]] = field(default_factory=dict)

    def take(self, loop: str, number: int, work: Callable[[], None]) -> None:
        """Time ``work`` as round ``number``, from 1."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        start, own = time.perf_counter(), time.process_time()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        spent = time.perf_counter() - start, time.process_time() - own
        for kind, seconds in zip((self.clock, self.process), spent, strict=True):
            kind.setdefault(loop, {}).setdefault(number, []).append(seconds)


def medians(seconds: dict[str, dict[int, list[float]]], rounds: int) -> dict[str, list[Any]]:
    """Loop -> median seconds of each round; None where it was left out."""
    return {
        loop: [
            statistics.median(taken[number]) if number in taken else None
            for number in range(1, rounds + 1)
        ]
        for loop, taken in seconds.items()
    }


def measure(plan: Plan, repetitions: int, anew_at: set[int]) -> dict[str, Any]:
    """Median seconds of each round of the three loops, what was new in each, and what differed."""
    model, image = plan.load()
    warm = Kept(model, image, plan)
    for _ in range(min(2 if plan.random else 3, plan.rounds)):
        warm.ask()
    times, counted = Times(), Encodings(model)
    new_tokens: list[int] = []
    encodings: list[tuple[int, int]] = []
    pixels: dict[int, list[int]] = {}
    for _ in range(repetitions):
        kept, anew = Kept(model, image, plan), Anew(model, image, plan)
        parts = Parts(model, image, plan)
        encodings = []
        for number in range(1, plan.rounds + 1):
            before = kept.session.dialogue if kept.session is not None else None
            counted.taken()
            times.take("kept", number, kept.ask)
            encodings.append(counted.taken())
            assert kept.session is not None
            if number in anew_at:
                anew.follow(before or Dialogue(modality=image.modality.value))
                times.take("anew", number, anew.ask)
                pixels[number] = differing(kept.session.dialogue, anew.dialogue)
            parts.prepare(kept.session.dialogue)
            times.take("parts", number, parts.ask)
        new_tokens = parts.new_tokens
    return {
        "new_tokens": new_tokens,
        "encodings": encodings,
        "differing_pixels": pixels,
        "seconds": medians(times.clock, plan.rounds),
        "process_seconds": medians(times.process, plan.rounds),
    }


def peaks(plan: Plan, loop: str) -> list[int]:
    """Highest memory of this process, in bytes, after loading and after each round."""
    model, image = plan.load()
    talk = Kept(model, image, plan) if loop == "kept" else Anew(model, image, plan)
    found = [peak_bytes()]
    for _ in range(plan.rounds):
        talk.ask()
        found.append(peak_bytes())
    return found


def memory(plan: Plan) -> dict[str, list[int]]:
    """:func:`peaks` of both loops, each in a process of its own."""
    found = {}
    for loop in ("kept", "anew"):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            found[loop] = pool.submit(peaks, plan, loop).result()
    return found


def judged(seconds: dict[str, list[Any]], *, paper: bool) -> dict[str, dict[str, float | bool]]:
    """Ratios against the bars."""
    kept, anew = seconds["kept"], seconds["anew"]
    # The second round, not the first: that one encodes the image.
    values = {"last round / second": kept[-1] / kept[1], "kept / parts": _over(seconds, "parts")}
    if None not in anew:
        values["speed-up of the total"] = len(anew) * anew[-1] / sum(kept)
    for number in (5, 10) if paper else ():
        if number <= len(anew) and anew[number - 1] is not None:
            # Against the official loop of so many rounds, all of whose rounds cost this.
            later = statistics.median(kept[1:number])
            values[f"speed-up of round {number}"] = anew[number - 1] / later
    if paper:
        values.pop("speed-up of the total", None)  # its bar was set for another model
    return {
        name: {
            "value": value,
            "bar": BARS[name],
            "met": value >= BARS[name] if name.startswith("speed-up") else value <= BARS[name],
        }
        for name, value in values.items()
    }


def _against_growing(seconds: dict[str, list[Any]]) -> float | None:
    """Speed-up against a loop that computes anew what was said so far; None where rounds lack."""
    anew = seconds["anew"]
    return None if None in anew else float(sum(anew) / sum(seconds["kept"]))


def _over(seconds: dict[str, list[Any]], loop: str) -> float:
    return float(sum(seconds["kept"]) / sum(seconds[loop]))


def show(record: dict[str, Any]) -> None:
    """Print the table."""
    seconds, own, peak = record["seconds"], record["process_seconds"], record["peak_bytes"]
    print(
        f"{'round':>5} {'tokens':>6} {'image':>5} {'crops':>5}"
        + "".join(f"{loop + ' s':>10}" for loop in seconds)
        + "".join(f"{loop + ' cpu s':>12}" for loop in own)
        + "".join(f"{loop + ' MiB':>12}" for loop in peak)
        + "   pixels that differ"
    )
    for place, tokens in enumerate(record["new_tokens"]):
        row = "".join(f"{_number(rounds[place]):>10}" for rounds in seconds.values())
        row += "".join(f"{_number(rounds[place]):>12}" for rounds in own.values())
        row += "".join(f"{rounds[place + 1] / 2**20:12.0f}" for rounds in peak.values())
        images, crops = record["encodings"][place]
        pixels = record["differing_pixels"].get(place + 1, "")
        print(f"{place + 1:5} {tokens:6} {images:5} {crops:5}{row}   {pixels}")
    print(f"by {record['bars_of']}:")
    for name, each in record["bars"].items():
        mark = "met" if each["met"] else "missed"
        print(f"{name}: {each['value']:.2f} (bar {each['bar']}: {mark})")
    if record["against_growing"] is not None:
        print(f"against what was said so far, computed anew: {record['against_growing']:.2f}")
    for name, each in record["floor"].items():
        print(f"floor of {name}: {each * 1e3:.1f} ms")


def _number(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.4f}"


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
    parser.add_argument("--dtype", help="float32, bfloat16 or float16; default the model's own")
    parser.add_argument("--low-bit", choices=("int8", "int4"), help="of the language model")
    parser.add_argument("--anew-at", help="rounds of the slow loop, like 1,3,5,10; default all")
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--bandwidth", type=float, help="GB/s of the device's memory, for a floor")
    parser.add_argument("--tflops", type=float, help="TFLOP/s of the device, for a floor")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    if options.rounds < 2 or options.repetitions < 1:
        parser.error("at least 2 rounds and 1 repetition")
    if (options.bandwidth is None) != (options.tflops is None):
        parser.error("--bandwidth and --tflops go together")
    plan = Plan(
        options.model,
        options.device,
        options.threads,
        options.rounds,
        options.text == "free",
        options.image,
        options.dtype,
        options.low_bit,
    )
    every = set(range(1, options.rounds + 1))
    anew_at = {int(each) for each in options.anew_at.split(",")} if options.anew_at else every
    if not anew_at <= every:
        parser.error(f"--anew-at names rounds from 1 to {options.rounds}")
    if options.bandwidth is not None and not plan.random:
        parser.error("a floor is derived for the paper's dimensions alone")
    measured = measure(plan, options.repetitions, anew_at)
    on_cuda = torch.cuda.is_available() and options.device != "cpu"
    # Other programs stretch the clock, and on a processor not the time that this one computes.
    kind = "seconds" if on_cuda or options.threads > 1 else "process_seconds"
    record = {
        **about("rounds"),
        "configuration": {
            "model": Path(options.model).name,
            "dtype": options.dtype,
            "low_bit": options.low_bit,
            "image": "sample-ct" if options.image is None else Path(options.image).name,
            "text": options.text,
            "rounds": options.rounds,
            "repetitions": options.repetitions,
            "threads": options.threads,
        },
        **measured,
        "peak_bytes": memory(plan) if options.memory else {},
        "bars": judged(measured[kind], paper=plan.random),
        "bars_of": kind,
        "against_growing": _against_growing(measured[kind]),
        "floor": {}
        if options.bandwidth is None
        else floor(plan.model, options.bandwidth, options.tflops, measured["new_tokens"]),
    }
    show(record)
    kinds = [options.dtype, options.low_bit]
    name = "-".join([Path(options.model).name, *(kind for kind in kinds if kind), options.text])
    print(write(options.out, f"rounds-{name}", record))


if __name__ == "__main__":
    main()
