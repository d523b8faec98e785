"""A run's logs as one picture."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mediround.training.run_log import read_events

_SMOOTH = 8
_QUALITY = ("Dice", "judge_error")


def draw_curves(folder: Path, path: Path) -> None:
    """Plot the logs of the parts in ``folder`` into a PNG at ``path``.

    Masks: loss and validation Dice by data set. Language: losses of text and code, and how often
    the nearest code was right. Judge: mean absolute error on images it was not trained on.
    """
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    masks, language, judge = figure.subplots(1, 3)
    events = read_events(folder / "masks")
    masks.plot(*_series(events, "loss"), color="0.6", label="loss (smoothed)")
    tested = [event for event in events if "validation" in event]
    for name in tested[0]["validation"] if tested else []:
        dice = [event["validation"][name] for event in tested]
        masks.plot([event["step"] for event in tested], dice, marker="o", label=f"Dice {name}")
    masks.set_ylim(0, 1.5)
    masks.set_title("masks: decoder and encoder's tail")
    events = [event for event in read_events(folder / "language") if "text" in event]
    for key in ("text", "code", "right"):
        language.plot(*_series(events, key), label=key)
    language.set_ylim(0, 1.2)
    language.set_title("language: adapter, references, projection")
    events = read_events(folder / "judge")
    judge.plot([e["step"] for e in events], [e["error"] for e in events], marker="o", label="error")
    judge.set_title("judge: mean absolute error")
    for axes in (masks, language, judge):
        axes.set_xlabel("step")
        axes.legend(fontsize=7)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def draw_stage(folder: Path, path: Path) -> None:
    """Plot the log of one stage on dialogues into a PNG at ``path``.

    Terms of the loss, the same on validation dialogues, Dice or the judge's error, throughput.
    """
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    losses, quality, pace = figure.subplots(1, 3)
    events = read_events(folder)
    looks = [event for event in events if "validation" in event]
    for axes, names in ((losses, ("loss", "text", "bce", "dice", "judge")), (quality, _QUALITY)):
        for name in names:
            steps, values = _series([e for e in events if "validation" not in e], name)
            if steps:
                (line,) = axes.plot(steps, values, label=name, alpha=0.8)
                tested = [(e["step"], e["validation"].get(name)) for e in looks]
                dots = [pair for pair in tested if pair[1] is not None]
                axes.plot(*zip(*dots, strict=True), "o", color=line.get_color())
    losses.set_title("losses (dots: validation)")
    quality.set_title("quality")
    quality.set_ylim(0, 1)
    pace.plot(*_series(events, "dialogues_per_second"), label="dialogues a second")
    pace.set_title("throughput")
    for axes in (losses, quality, pace):
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)


def _series(events: list[dict[str, Any]], key: str) -> tuple[list[int], list[float]]:
    """Steps and running mean of one value."""
    found = [(event["step"], event[key]) for event in events if key in event]
    steps = [step for step, _ in found]
    values = [value for _, value in found]
    windows = [values[max(0, index - _SMOOTH + 1) : index + 1] for index in range(len(values))]
    return steps, [sum(window) / len(window) for window in windows]
