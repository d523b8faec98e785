"""Dialogues a second of the trainer and of a naive loop, side by side in one run.

    python -m benchmarks.train --model nano
    python -m benchmarks.train --model paper-135m --device cuda

The naive loop takes one dialogue at a time, computes the features of the image and of every crop
again in each step, sorts nothing, prepares nothing beforehand and leaves adapter and attention to
peft and torch; model, losses, optimiser and dialogues are the same. Steps of both alternate, so
that both have the same share of a busy machine; as the trainer sorts the dialogues of several steps
by length, so many steps are compared, and both have carried out the same dialogues in the end.
``--rounds`` and ``--sides`` show how a step grows with a dialogue's length and a picture's size.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

import torch
from benchmarks import record
from benchmarks.painted import write_talks
from benchmarks.paper_sizes import SIZES

from mediround.config import MistralConfig, ModelConfig
from mediround.presets import PRESETS
from mediround.training.pace import peak_bytes
from mediround.training.staged.devices import accelerator
from mediround.training.staged.optimiser_step import OptimiserStep
from mediround.training.staged.recipe import (
    DataSettings,
    DialogueRecipe,
    Execution,
    StageSettings,
)
from mediround.training.staged.talks import find_talks
from mediround.training.staged.trainer import Trainer

BAR = 4.0
"""How many times the dialogues a second of the naive loop, on two cores."""

Precision = Literal["float32", "bfloat16"]


def model_config(name: str) -> ModelConfig:
    """A preset, or the paper's dimensions with an adapter of rank 16."""
    if name in PRESETS:
        return PRESETS[name]()
    config = SIZES[name]()
    assert isinstance(config.language, MistralConfig)
    return dataclasses.replace(
        config, language=dataclasses.replace(config.language, lora_rank=16, lora_alpha=32)
    )


class Lane:
    """One way to train, step by step.

    Args:
        config: of the model.
        talks: file of dialogues.
        folder: of the run.
        device: "auto", "cpu" or "cuda".
        naive: see above.
        precision: of products.
        dialogues: of a step.
        window: steps whose dialogues the trainer sorts.
    """

    def __init__(
        self,
        config: ModelConfig,
        talks: Path,
        folder: Path,
        device: str,
        *,
        naive: bool,
        precision: Precision,
        dialogues: int,
        window: int = 8,
    ) -> None:
        execution = Execution(
            precision=precision, frozen=precision, micro_batch=dialogues, bucket_steps=window
        )
        if naive:
            execution = dataclasses.replace(
                execution, micro_batch=1, bucket_steps=1, prefetch=False, fused=False
            )
        recipe = DialogueRecipe(
            model=config,
            data=DataSettings(sources=(str(talks),), held_out=0.0, cache=not naive),
            stage1=StageSettings(dialogues=dialogues),
            execution=execution,
        )
        made = accelerator(recipe.execution, device)
        found = find_talks([talks], recipe.data)
        self.trainer = Trainer(recipe, 1, found, folder, made, data={}, before=None)
        wrapped, optimiser = self.trainer.prepare()
        self.step = OptimiserStep(made, wrapped, optimiser, self.trainer.progress, 1.0, None)
        self.supply = self.trainer.supply()
        self.number = 0

    def fill(self) -> float:
        """Seconds to compute the features of all pictures once."""
        begun = time.perf_counter()
        with self.trainer.made.autocast():
            for talk in self.trainer.talks:
                self.trainer.examples.make(talk)
        return time.perf_counter() - begun

    def advance(self) -> tuple[float, float]:
        """Seconds of one step, the optimiser included: of the clock, and of the processor."""
        begun, used = time.perf_counter(), time.process_time()
        held = self.supply.take(self.number, 10**6)
        loss = self.step.carry_out(self.trainer.plan.step(self.number), held, 1e-4)
        assert torch.isfinite(loss).all()
        self.number += 1
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - begun, time.process_time() - used

    def close(self) -> None:
        """Stop what runs in the background."""
        self.supply.close()


def compare(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Alternating steps of both loops."""
    talks = write_talks(
        folder / "talks", images=chosen.images, side=chosen.side, rounds=(1, chosen.most_rounds)
    )
    config = model_config(chosen.model)
    lanes = {
        name: Lane(
            config,
            talks,
            folder / name,
            chosen.device,
            naive=name == "naive",
            precision=chosen.precision,
            dialogues=chosen.dialogues,
            window=chosen.steps,
        )
        for name in ("naive", "trainer")
    }
    filled = lanes["trainer"].fill()
    for lane in lanes.values():
        lane.advance()  # a first step makes optimiser states
        lane.number = chosen.steps  # where the next window begins, of the same dialogues for both
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in lanes}
    for _ in range(chosen.steps):
        for name, lane in lanes.items():
            spent[name].append(lane.advance())
    for lane in lanes.values():
        lane.close()
    count = chosen.dialogues * chosen.steps
    rate = {name: count / sum(wall for wall, _ in each) for name, each in spent.items()}
    used = {name: sum(own for _, own in each) / count for name, each in spent.items()}
    return {
        "seconds": spent,
        "dialogues a second": rate,
        "processor seconds a dialogue": used,
        "ratio": rate["trainer"] / rate["naive"],
        "processor ratio": used["naive"] / used["trainer"],
        "seconds to fill the cache": filled,
        "pictures": chosen.images,
        "padding": lanes["trainer"].step.padding,
    }


def growth(chosen: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Seconds of a dialogue by rounds and by the picture's side, of the trainer alone."""
    config = model_config(chosen.model)
    cases = [(rounds, chosen.side) for rounds in chosen.rounds]
    cases += [(2, side) for side in chosen.sides]
    found = []
    for rounds, side in cases:
        name = f"{rounds}-{side}"
        talks = write_talks(folder / f"t{name}", images=4, side=side, rounds=(rounds, rounds))
        lane = Lane(
            config,
            talks,
            folder / name,
            chosen.device,
            naive=False,
            precision=chosen.precision,
            dialogues=4,
        )
        lane.fill()
        lane.advance()
        spent = [lane.advance() for _ in range(2)]
        lane.close()
        length = max(drawn.size.length for drawn in lane.trainer.plan.step(0))
        found.append(
            {
                "rounds": rounds,
                "side": side,
                "positions": length,
                "seconds": min(wall for wall, _ in spent) / 4,
            }
        )
    return found


def memory(chosen: argparse.Namespace) -> dict[str, float]:
    """Peak memory in MB of two steps of each loop, in a process of its own."""
    found = {}
    for name in ("naive", "trainer"):
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            found[name] = pool.apply(_peak, (chosen, name == "naive"))
    return found


def _peak(chosen: argparse.Namespace, naive: bool) -> float:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        talks = write_talks(
            folder / "talks", images=4, side=chosen.side, rounds=(1, chosen.most_rounds)
        )
        lane = Lane(
            model_config(chosen.model),
            talks,
            folder,
            chosen.device,
            naive=naive,
            precision=chosen.precision,
            dialogues=chosen.dialogues,
        )
        for _ in range(2):
            lane.advance()
        lane.close()
        return peak_bytes() / 2**20


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano", choices=[*PRESETS, *SIZES])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="bfloat16", choices=["float32", "bfloat16"])
    parser.add_argument("--dialogues", type=int, default=8, help="of a step")
    parser.add_argument("--steps", type=int, default=8, help="a window of the trainer's")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--side", type=int, default=256, help="of a picture")
    parser.add_argument("--most-rounds", type=int, default=5)
    parser.add_argument("--rounds", type=int, nargs="*", default=[])
    parser.add_argument("--sides", type=int, nargs="*", default=[])
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    with tempfile.TemporaryDirectory() as place:
        found = compare(chosen, Path(place))
        found["growth"] = growth(chosen, Path(place) / "growth")
    found["peak MB"] = memory(chosen) if chosen.memory else {}
    _tell(found, chosen)
    settings = {key: value for key, value in vars(chosen).items() if key != "out"}
    name = f"train-{chosen.model}"
    print(record.write(chosen.out, name, record.about("train") | {"settings": settings} | found))


def _tell(found: dict[str, Any], chosen: argparse.Namespace) -> None:
    rate = cast("dict[str, float]", found["dialogues a second"])
    used = cast("dict[str, float]", found["processor seconds a dialogue"])
    print("| loop | dialogues a second | processor seconds each | peak MB |\n|---|---|---|---|")
    for name in ("naive", "trainer"):
        peak = found["peak MB"].get(name)
        shown = "" if peak is None else round(peak)
        print(f"| {name} | {rate[name]:.3f} | {used[name]:.3f} | {shown} |")
    print(f"by processor seconds, whatever else runs: {found['processor ratio']:.2f}")
    print(f"ratio {found['ratio']:.2f}, bar {BAR}: {'yes' if found['ratio'] >= BAR else 'no'}")
    print(f"cache filled in {found['seconds to fill the cache']:.1f} s ({chosen.images} pictures)")
    if found["growth"]:
        print("| rounds | side | positions | seconds a dialogue |\n|---|---|---|---|")
        for each in found["growth"]:
            print("| {rounds} | {side} | {positions} | {seconds:.3f} |".format(**each))


if __name__ == "__main__":
    main()
