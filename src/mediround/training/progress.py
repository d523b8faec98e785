"""A training part's memory: checkpoints that survive a kill, and a log that can be plotted."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mediround.model.checkpoint import read_tensors, write_tensors
from mediround.training.run_log import Bar, RunLog


class Ledger:
    """Checkpoint, log and loop of one part of a run, in one folder.

    ``state.safetensors`` holds model and optimiser tensors by name; ``log.jsonl`` one line an
    event, and ``tensorboard`` the same as curves. All randomness of a part is seeded by (recipe
    seed, step), so the step is all that a resumed run needs besides the tensors.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.seconds = folder, seconds
        self._log = RunLog(folder, tensorboard=True)
        self._saved = time.monotonic()
        self._shown: dict[str, float] = {}

    @property
    def path(self) -> Path:
        """The checkpoint."""
        return self.folder / "state.safetensors"

    def due(self) -> bool:
        """Whether the last checkpoint is old enough for another."""
        return time.monotonic() - self._saved > self.seconds

    def save(
        self, step: int, modules: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer
    ) -> None:
        """Write step, trainable parameters of ``modules`` by name, and optimiser state."""
        tensors: dict[str, Tensor] = {"step": torch.tensor(step)}
        for name, module in modules.items():
            tensors |= {f"model.{name}.{k}": v for k, v in trained(module).items()}
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{k}": v for k, v in state.items()}
        write_tensors(self.path, tensors, {})
        self._saved = time.monotonic()

    def load(self, modules: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer) -> int:
        """Restore what :meth:`save` wrote; the number of steps done, 0 without checkpoint."""
        if not self.path.exists():
            return 0
        tensors = read_tensors(self.path)
        for name, module in modules.items():
            restore(module, tensors, f"model.{name}.")
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimiser."):
                _, index, field = key.split(".", 2)
                state.setdefault(int(index), {})[field] = value
        packed = optimiser.state_dict()
        packed["state"] = state
        optimiser.load_state_dict(packed)
        return int(tensors["step"])

    def steps(
        self,
        what: str,
        total: int,
        modules: Mapping[str, nn.Module],
        optimiser: torch.optim.Optimizer,
    ) -> Iterator[int]:
        """The steps that are still to be done, with a checkpoint now and then and at the end.

        Args:
            what: is going on, for the terminal.
            total: steps in all.
            modules: restored before the first step, where an earlier run left something.
            optimiser: likewise.
        """
        first = self.load(modules, optimiser)
        bar = Bar(what, first, total)
        for step in range(first, total):
            yield step
            bar.advance(numbers=self._shown)
            if self.due():
                self.save(step + 1, modules, optimiser)
        bar.close()
        self.save(total, modules, optimiser)

    def show(self, **numbers: float) -> None:
        """What the terminal shows beside the progress."""
        self._shown = numbers

    def log(self, **event: Any) -> None:
        """Append one event to the log."""
        self._log.log(**event)


def trained(module: nn.Module) -> dict[str, Tensor]:
    """Trainable parameters by name."""
    return {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}


def restore(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str = "") -> None:
    """Copy tensors named ``prefix`` + name into the module's trainable parameters."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(tensors[prefix + name])


def cosine(step: int, steps: int, warmup: int) -> float:
    """Factor of the learning rate: linear warm-up, then half a cosine to 2 %."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 0.02 + 0.98 * 0.5 * (1 + float(torch.cos(torch.tensor(done * torch.pi))))
