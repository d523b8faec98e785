"""The whole chain, small: build, train two stages, evaluate three ways, compare, report.

    python -m benchmarks.results_small --out out/small

Every step is the command that a person would type, and is printed as such. The images are those
of $MEDIROUND_SHARED/data where that is set, else painted phantoms. The model is small and random
at the start (recipes/small.toml): what it shows is that the chain works, not how good it is.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import phantoms

RECIPE = Path("recipes/small.toml")
FOLDERS = ("phantoms", "images", "dialogues", "run", "trained", "untrained")
SETS = ("Dataset001_AbdomenCT", "Dataset002_CardiacMR")


class Chain:
    """Runs commands one after the other, and remembers what each took."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.done: list[tuple[str, float]] = []

    def run(self, *words: str) -> None:
        """One command of ``mediround``; stops the program where it fails."""
        shown = shlex.join(["mediround", *words])
        print(f"\n$ {shown}", flush=True)
        begun = time.monotonic()
        found = subprocess.run([sys.executable, "-m", "mediround", *words], check=False)
        if found.returncode:
            raise SystemExit(found.returncode)
        self.done.append((shown, time.monotonic() - begun))


def images(out: Path) -> Path:
    """Where labelled images are: real ones, else phantoms."""
    shared = os.environ.get("MEDIROUND_SHARED")  # noqa: TID251  # a program, not the library
    if not shared:
        return phantoms.write(out, 160)
    folder = out / "images"
    folder.mkdir(parents=True, exist_ok=True)
    for name in SETS:
        link = folder / name
        if not link.exists():
            link.symlink_to(Path(shared).resolve() / "data" / name)
    return folder


def report(chain: Chain, steps: int) -> str:
    """Markdown: what was run, how long it took, and what came out."""
    trained = _read(chain.out / "trained" / "report.json")
    untrained = _read(chain.out / "untrained" / "report.json")
    lines = [
        "# Small results",
        "",
        f"{trained['rounds']['all']['n']} masks of patients that took no part in training, after "
        f"{steps} steps. A chain that works, not a model that does.",
        "",
        "| round | trained: Dice | untrained: Dice |",
        "|---|---|---|",
    ]
    for number, each in trained["rounds"].items():
        before = untrained["rounds"].get(number, {}).get("dice")
        lines.append(f"| {number} | {_number(each['dice'])} | {_number(before)} |")
    lines += ["", "| setting | Dice |", "|---|---|"]
    for name, each in trained.get("curves", {}).items():
        lines.append(f"| {name} | {_number(each['rounds']['all']['dice'])} |")
    lines += ["", "| command | seconds |", "|---|---|"]
    lines += [f"| `{shown}` | {seconds:.0f} |" for shown, seconds in chain.done]
    lines.append(f"| all | {sum(seconds for _, seconds in chain.done):.0f} |")
    lines += ["", "![Stage 1](run/stage1/curves.png)", "![Stage 2](run/stage2/curves.png)", ""]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the chain; ``results.md`` in the output folder says what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/small"))
    parser.add_argument("--dialogues", type=int, default=480)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--limit", type=int, default=12, help="images of a data set to evaluate")
    parser.add_argument("--again", action="store_true", help="replace an earlier run")
    chosen = parser.parse_args(arguments)
    out: Path = chosen.out
    if chosen.again:
        for name in FOLDERS:
            shutil.rmtree(out / name, ignore_errors=True)
    left = [name for name in FOLDERS if (out / name).exists()]
    if left:
        raise SystemExit(
            f"error: {out} already holds {', '.join(left)}; add --again to replace them"
        )
    chain = Chain(out)
    data, run = str(out / "dialogues"), str(out / "run")
    source = images(out)
    chain.run(
        "data", "build", str(source), "--out", data, "--dialogues", str(chosen.dialogues),
        "--max-rounds", "4", "--workers", "2",
    )  # fmt: skip
    for stage in ("1", "2"):
        chain.run("train", str(chosen.recipe), "--data", data, "--out", run, "--stage", stage)
    common = ("--data", data, "--limit", str(chosen.limit), "--no-boundary", "--curves")
    model = str(out / "run" / "stage2" / "model")
    chain.run("evaluate", "--model", model, "--out", str(out / "trained"), *common)
    chain.run("evaluate", "--model", "tiny", "--out", str(out / "untrained"), *common)
    chain.run(
        "compare", str(out / "untrained"), str(out / "trained"),
        "--name", "untrained", "--name", "trained",
    )  # fmt: skip
    text = report(chain, _steps(out / "run"))
    (out / "results.md").write_text(text)
    print(f"\n{text}\nresults: {out / 'results.md'}")


def _steps(run: Path) -> int:
    lines = (run / "stage1" / "log.jsonl").read_text().splitlines()
    return 1 + max(event["step"] for event in map(json.loads, lines) if "loss" in event)


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
