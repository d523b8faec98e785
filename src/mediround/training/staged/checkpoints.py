"""A stage's memory: one file to resume from, and checkpoints that are kept. Safetensors only.

``state.safetensors`` holds step, trained tensors and the optimiser's, by the parameters' names.
All randomness is seeded by (seed, step, process), so the step is the random state as well.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from mediround.errors import ConfigError
from mediround.imaging.output import ensure_folder
from mediround.model.checkpoint import read_tensors, write_tensors

STATE_FILE, BEST_FILE, LAST_FILE = "state.safetensors", "best.safetensors", "last.safetensors"


@dataclass
class Progress:
    """How far a stage is.

    Attributes:
        step: steps done.
        best: lowest validation loss; None before the first look.
        stale: looks since then.
        micro_batch, micro_tokens: limits of a pass, which a lack of memory may have lowered.
    """

    step: int
    micro_batch: int
    micro_tokens: int
    best: float | None = None
    stale: int = 0


class Checkpoints:
    """The files of one stage. Every process must call every method: parameters may be shared out.

    Args:
        folder: of the stage.
        about: what to say in the head of each file besides numbers.
        writes: whether this process writes; one of all does.
    """

    def __init__(self, folder: Path, about: Mapping[str, str], *, writes: bool) -> None:
        self.folder, self.about, self.writes = folder, dict(about), writes

    @property
    def state(self) -> Path:
        """What a run is resumed from."""
        return self.folder / STATE_FILE

    def save(
        self, objective: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress
    ) -> None:
        """Write the state."""
        tensors: dict[str, Tensor] = {}
        for name, parameter in trained(objective):
            tensors[f"model.{name}"] = _whole(parameter)
            for field, value in optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser.{name}:{field}"] = _whole(value)
        self._write(self.state, tensors, progress)

    def keep(self, name: str, objective: nn.Module, progress: Progress) -> None:
        """Write trained tensors alone under ``name``."""
        tensors = {name: _whole(parameter) for name, parameter in trained(objective)}
        self._write(self.folder / name, tensors, progress)

    def resume(self, objective: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
        """Restore what :meth:`save` wrote.

        Raises:
            ConfigError: it is the state of another model or recipe.
            WeightsError: the file is damaged.
        """
        tensors = read_tensors(self.state)
        with safe_open(self.state, "pt") as file:
            about = file.metadata() or {}
        parameters = dict(trained(objective))
        held = {key.removeprefix("model.") for key in tensors if key.startswith("model.")}
        if held != set(parameters) or about.get("config") != self.about.get("config"):
            raise ConfigError(
                f"{self.state} is of another model, or of a recipe that trains other parts",
                expected="the recipe that the run was begun with",
                remedy="choose another folder for the run",
            )
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(_like(tensors[f"model.{name}"], parameter))
        for key, value in tensors.items():
            if key.startswith("optimiser."):
                name, field = key.removeprefix("optimiser.").split(":")
                parameter = parameters[name]
                scalar = value.ndim == 0 and parameter.ndim > 0
                own = value.clone() if scalar else _like(value, parameter)
                optimiser.state[parameter][field] = own
        return Progress(**json.loads(about["progress"]))

    def load(self, name: str, objective: nn.Module) -> None:
        """Put the tensors that :meth:`keep` wrote in place.

        Raises:
            WeightsError: the file is missing or damaged.
        """
        tensors = read_tensors(self.folder / name)
        with torch.no_grad():
            for own, parameter in trained(objective):
                parameter.copy_(_like(tensors[own], parameter))

    def _write(self, path: Path, tensors: Mapping[str, Tensor], progress: Progress) -> None:
        if self.writes:
            ensure_folder(path.parent)
            about = self.about | {"progress": json.dumps(asdict(progress))}
            write_tensors(path, tensors, about)


def trained(objective: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The model's trained parameters by name, whatever wraps it."""
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            yield name.removeprefix("module.").removeprefix("model."), parameter


def _whole(tensor: Tensor) -> Tensor:
    """On the CPU, put together where it is shared out."""
    if isinstance(tensor, DTensor):
        tensor = tensor.full_tensor()
    return tensor.detach().cpu()


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    """``value`` where ``parameter`` is, shared out as it is."""
    if isinstance(parameter, DTensor):
        moved = value.to(parameter.device_mesh.device_type)
        return distribute_tensor(moved, parameter.device_mesh, parameter.placements)
    return value.to(parameter.device, copy=True)  # a file's tensors are not aligned
