"""Training on dialogues, as one frozen file: data, model, both stages, how it is carried out."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from mediround.config import ModelConfig
from mediround.errors import ConfigError
from mediround.mapping import from_mapping
from mediround.presets import PRESETS
from mediround.training.augment import Augmentation
from mediround.training.staged.objective import LossWeights

STAGES = (1, 2)


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which dialogues.

    Attributes:
        sources: folders that ``mediround data build`` wrote, files of typed dialogues, files of
            the official bracket JSON; relative to the recipe.
        train, validation: splits of built folders.
        held_out: of a source without splits, the share of patients that is kept for validation.
        limit: most dialogues of each split, evenly spread.
        views: of every training image; the first is plain, the others are random.
        augmentation: ranges of the random views.
        cache: keep the features of frozen parts on disk.
    """

    sources: tuple[str, ...] = ()
    train: str = "train"
    validation: str = "validation"
    held_out: float = 0.1
    limit: int | None = None
    views: int = 1
    augmentation: Augmentation = field(default_factory=Augmentation)
    cache: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.held_out < 1:
            raise ConfigError(f"data.held_out is {self.held_out}", expected="0 to below 1")
        _at_least("data", 1, views=self.views, limit=1 if self.limit is None else self.limit)


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """One of the two stages.

    Attributes:
        steps: of the optimiser.
        dialogues: of a step, over all processes and passes; the result does not depend on how
            they are shared out.
        rate: highest learning rate; warmed up, then half a cosine down to 2 %.
        warmup: steps.
        decay: of weights.
        clip: largest norm of the gradient.
        trained: names of parameters begin so; empty: what the paper trains in this stage.
        losses: weights of the terms.
        validate_every: steps between two looks at validation dialogues.
        validated: how many of them.
        patience: looks without a better loss until the stage ends early; 0: never.
        keep_every: steps between checkpoints that are kept; 0: none but best and last.
        save_seconds: between checkpoints to resume from.
    """

    steps: int = 1000
    dialogues: int = 16
    rate: float = 3e-4
    warmup: int = 20
    decay: float = 0.0
    clip: float = 1.0
    trained: tuple[str, ...] = ()
    losses: LossWeights = field(default_factory=LossWeights)
    validate_every: int = 100
    validated: int = 64
    patience: int = 0
    keep_every: int = 0
    save_seconds: float = 120.0

    def __post_init__(self) -> None:
        counts = {"steps": self.steps, "dialogues": self.dialogues, "validated": self.validated}
        _at_least("a stage", 1, **counts, validate_every=self.validate_every)
        _at_least("a stage", 0, warmup=self.warmup, patience=self.patience, keep=self.keep_every)


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How it is carried out; no result depends on it beyond rounding.

    Attributes:
        precision: "float32", or mixed "bfloat16" or "float16" (CUDA alone).
        frozen: type in which the language model's frozen parameters are held.
        micro_batch: most dialogues that go through the model together; the gradients of a step's
            passes are accumulated.
        micro_tokens: most positions that go through it together, padding included.
        bucket_steps: dialogues of so many steps are sorted by length before they are shared out.
        checkpointing: compute the language model's activations again instead of keeping them.
        sharding: "ddp" (every process holds all) or "fsdp2" (parameters are shared out).
        prefetch: prepare the next step's dialogues while this one is computed.
        fused: the language model's adapter in fewer passes over memory; on a CPU also attention
            as plain products, which are quicker backwards, where no dialogue is long.
    """

    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    frozen: Literal["float32", "bfloat16"] = "float32"
    micro_batch: int = 8
    micro_tokens: int = 8192
    bucket_steps: int = 8
    checkpointing: bool = False
    sharding: Literal["ddp", "fsdp2"] = "ddp"
    prefetch: bool = True
    fused: bool = True

    def __post_init__(self) -> None:
        counts = {"micro_batch": self.micro_batch, "micro_tokens": self.micro_tokens}
        _at_least("execution", 1, **counts, bucket_steps=self.bucket_steps)
        if self.frozen != "float32" and self.precision != self.frozen:
            raise ConfigError(
                f"execution.frozen is {self.frozen!r} and execution.precision {self.precision!r}",
                expected="the same type, so that products need no conversion",
            )
        if self.sharding == "fsdp2" and self.frozen != "float32":
            raise ConfigError(
                "execution.sharding is 'fsdp2' and execution.frozen is not float32",
                expected="one type for all parameters that are shared out",
            )


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """Where losses go besides ``log.jsonl``.

    Attributes:
        every: steps between two lines.
        tensorboard: write event files.
        plot: draw ``curves.png`` when a stage ends.
        wandb: project at Weights & Biases; None for none.
        wandb_mode: "offline" writes files that ``wandb sync`` sends.
    """

    every: int = 1
    tensorboard: bool = True
    plot: bool = True
    wandb: str | None = None
    wandb_mode: Literal["online", "offline"] = "online"

    def __post_init__(self) -> None:
        _at_least("log", 1, every=self.every)


@dataclass(frozen=True, kw_only=True)
class DialogueRecipe:
    """A whole run of both stages. Read from TOML; unknown keys are errors.

    Attributes:
        model: what is trained.
        start: model folder or preset whose weights it starts from; None: pretrained where the
            configuration names sources, else random.
        folder: to which relative paths refer; not part of the file.
    """

    model: ModelConfig
    start: str | None = None
    seed: int = 0
    data: DataSettings = field(default_factory=DataSettings)
    stage1: StageSettings = field(default_factory=StageSettings)
    stage2: StageSettings = field(default_factory=StageSettings)
    execution: Execution = field(default_factory=Execution)
    log: LogSettings = field(default_factory=LogSettings)
    folder: str = ""

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str, folder: Path) -> Self:
        """What a TOML file says.

        Args:
            values: its content; ``preset`` names the model, the table ``model`` changes it.
            where: the file's name, for messages.
            folder: its folder.

        Raises:
            ConfigError: unknown or missing keys, values of another type, contradictions.
        """
        own = {key: value for key, value in values.items() if key not in ("kind", "preset")}
        if "folder" in own:
            raise ConfigError(f"{where} has the unknown key 'folder'")
        name = str(values.get("preset"))
        if name not in PRESETS:
            raise ConfigError(f"{where}: preset is {name!r}", expected=f"one of {sorted(PRESETS)}")
        changes = own.pop("model", {})
        own["model"] = _merged(asdict(PRESETS[name]()), changes, f"{where}.model")
        return from_mapping(cls, own | {"folder": str(folder)}, where)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a TOML file; see :meth:`parse`."""
        return cls.parse(read_toml(path), path.name, path.parent)

    def stage(self, number: int) -> StageSettings:
        """Settings of stage 1 or 2."""
        return self.stage1 if number == 1 else self.stage2


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        ConfigError: unreadable, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", expected="a TOML file") from error


def _merged(known: Mapping[str, Any], changes: Any, where: str) -> dict[str, Any]:
    """``known`` with nested ``changes``; another ``kind`` starts from that kind's defaults."""
    if not isinstance(changes, Mapping):
        raise ConfigError(f"{where} is {changes!r}", expected="a table of settings")
    if "kind" in changes and changes["kind"] != known.get("kind"):
        return dict(changes)
    merged = dict(known)
    for key, value in changes.items():
        if isinstance(merged.get(key), Mapping):
            merged[key] = _merged(merged[key], value, f"{where}.{key}")
        else:
            merged[key] = value
    return merged


def _at_least(where: str, least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise ConfigError(f"{name} of {where} is {value}", expected=f"at least {least}")
