"""Where a run says how it goes: JSON lines, TensorBoard, Weights & Biases, and the terminal."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard.writer import SummaryWriter
from tqdm import tqdm

from mediround.errors import DependencyError
from mediround.imaging.output import ensure_folder

LOG_FILE = "log.jsonl"


class RunLog:
    """Events of one part of a run; each goes to every place that was asked for.

    Args:
        folder: of the part; ``log.jsonl`` grows in it, event files lie in ``tensorboard``.
        tensorboard: write event files too.
        wandb: project at Weights & Biases; None for none.
        wandb_mode: "online" or "offline".
        settings: what Weights & Biases shows beside the curves.

    Raises:
        DependencyError: ``wandb`` is asked for and not installed.
        OutputError: the folder cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tensorboard: bool = False,
        wandb: str | None = None,
        wandb_mode: str = "online",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = ensure_folder(folder) / LOG_FILE
        _mend(self.path)
        self._events = SummaryWriter(str(folder / "tensorboard")) if tensorboard else None
        self._wandb = None
        if wandb is not None:
            self._wandb = _wandb_run(wandb, wandb_mode, folder, dict(settings or {}))

    def log(self, **event: Any) -> None:
        """Append one event; with a ``step``, its numbers are points of curves."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": round(time.time(), 1), **event}) + "\n")
        step = event.get("step")
        if step is None:
            return
        points = dict(_points(event))
        if self._events is not None:
            for name, value in points.items():
                self._events.add_scalar(name, value, step)
        if self._wandb is not None and points:
            self._wandb.log(points, step=step)

    def events(self) -> list[dict[str, Any]]:
        """All events so far, those of earlier runs in this folder too."""
        return read_events(self.path.parent)

    def close(self) -> None:
        """Write what is waiting."""
        if self._events is not None:
            self._events.close()
        if self._wandb is not None:
            self._wandb.finish()


def _mend(path: Path) -> None:
    """Cut off the line that a kill has left unfinished, so that the next one stands alone."""
    if path.exists():
        whole = path.read_bytes()
        kept = whole[: whole.rfind(b"\n") + 1]
        if kept != whole:
            path.write_bytes(kept)


def read_events(folder: Path) -> list[dict[str, Any]]:
    """The events in ``folder``; none where nothing has been logged.

    A line that a kill has cut off is the last one, and is left out.
    """
    path = folder / LOG_FILE
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


class Bar:
    """A progress bar with throughput and time left; shown in terminals only.

    Args:
        what: is going on.
        first: steps that are done already.
        total: steps.
        unit: of throughput.
        shown: whether at all.
    """

    def __init__(
        self, what: str, first: int, total: int, unit: str = "step", *, shown: bool = True
    ) -> None:
        # None: off where standard error is no terminal.
        off = None if shown else True
        self._bar = tqdm(desc=what, initial=first, total=total, unit=unit, disable=off)

    def advance(self, count: int = 1, numbers: Mapping[str, float] | None = None) -> None:
        """``count`` more are done; show the newest ``numbers``."""
        if numbers:
            shown = {name: f"{value:.3g}" for name, value in numbers.items()}
            self._bar.set_postfix(shown, refresh=False)
        self._bar.update(count)

    def close(self) -> None:
        """Leave the terminal."""
        self._bar.close()


def _points(event: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in event.items():
        if isinstance(value, Mapping):
            yield from _points(value, f"{prefix}{name}/")
        elif name not in ("step", "time") and isinstance(value, int | float):
            yield f"{prefix}{name}", float(value)


def _wandb_run(project: str, mode: str, folder: Path, settings: dict[str, Any]) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise DependencyError(
            "log.wandb needs the package wandb",
            expected="wandb 0.20 or later",
            remedy="pip install 'mediround[wandb]'",
        ) from error
    return wandb.init(
        project=project, mode=mode, dir=str(folder), name=folder.name, config=settings, resume=None
    )
