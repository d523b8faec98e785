"""Configuration of a model: frozen dataclasses; a preset is a function that returns one.

Sizes differ by configuration alone. ``ModelConfig.to_json`` and ``from_json`` are inverse;
unknown keys are errors.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from mediround.errors import ConfigError

T = TypeVar("T")

DTYPES = ("float32", "bfloat16", "float16")
"""In which a model may compute."""


@dataclass(frozen=True, kw_only=True)
class TinyVitConfig:
    """Image encoder: stages of windowed attention at 1, 1/2, 1/4 and 1/4 of the canvas' side."""

    widths: tuple[int, ...] = (64, 128, 160, 320)
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (2, 4, 5, 10)
    windows: tuple[int, ...] = (7, 7, 14, 7)
    expand: int = 4
    out: int = 256

    def __post_init__(self) -> None:
        if not len(self.widths) == len(self.depths) == len(self.heads) == len(self.windows) == 4:
            raise ConfigError(
                "widths, depths, heads and windows differ in length", expected="4 of each"
            )


@dataclass(frozen=True, kw_only=True)
class MaskDecoderConfig:
    """Two-way decoder; ``width`` equals the image encoder's ``out``."""

    width: int = 256
    depth: int = 2
    heads: int = 8
    mlp: int = 2048
    prompt_tokens: int = 3  # sparse tokens projected from one [SEG] state


@dataclass(frozen=True, kw_only=True)
class LanguageConfig:
    """Causal language model of the Llama family.

    ``source`` names a weights entry that holds config, tokenizer and tensors; without one the
    sizes below are built with random weights and a byte tokenizer.
    """

    source: str | None = None
    width: int = 64
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    inner: int = 128
    context: int = 2048
    lora_rank: int = 16
    lora_alpha: int = 32


@dataclass(frozen=True, kw_only=True)
class PerceptionConfig:
    """What the language model sees of images and masks.

    ``image_grid`` squared tokens stand for the image; ``reference_tokens`` for an earlier mask,
    made from ``pool`` x ``pool`` mean features inside its box, its box and its centre.
    """

    image_grid: int = 8
    reference_tokens: int = 4
    pool: int = 2
    inner: int = 512


@dataclass(frozen=True, kw_only=True)
class NormalisationConfig:
    """How stored pixels become the canvas' values 0..1, by modality.

    CT with Hounsfield units is windowed to ``ct_window`` (centre, width in HU). CT without units
    is first calibrated on its two commonest materials, air (-1000 HU) and soft tissue (+50 HU).
    Everything else is stretched between two percentiles of its foreground. ``margin`` is left
    round the foreground crop, as a fraction of its longer side.
    """

    canvas: int = 256
    ct_window: tuple[float, float] = (40.0, 400.0)
    percentiles: tuple[float, float] = (0.5, 99.5)
    margin: float = 0.02


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """One composition: encoder, language model, decoder, judge.

    ``unsure_below`` is the judge's score (0..1) under which an answer is marked "unsure".
    ``vision_source`` names the weights entry of encoder and decoder; None means random.
    ``entities`` are the structures that the model was trained on, where that is known; an answer
    that names any other is marked "unsure" whatever its score.
    """

    name: str
    vision_source: str | None = None
    vision: TinyVitConfig = field(default_factory=TinyVitConfig)
    decoder: MaskDecoderConfig = field(default_factory=MaskDecoderConfig)
    language: LanguageConfig = field(default_factory=LanguageConfig)
    perception: PerceptionConfig = field(default_factory=PerceptionConfig)
    normalisation: NormalisationConfig = field(default_factory=NormalisationConfig)
    dtype: str = "bfloat16"
    unsure_below: float = 0.4
    entities: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.decoder.width != self.vision.out:
            raise ConfigError(
                f"decoder.width is {self.decoder.width} and vision.out is {self.vision.out}",
                expected="the same number",
            )
        if self.dtype not in DTYPES:
            raise ConfigError(f"dtype is {self.dtype!r}", expected=f"one of {', '.join(DTYPES)}")

    def to_json(self) -> str:
        """A JSON object with every field."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of :meth:`to_json`.

        Raises:
            ConfigError: not JSON, unknown or missing keys, values of another type, contradictions.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"the configuration is not JSON ({error})") from error
        return from_mapping(cls, values)


def from_mapping(kind: type[T], values: Mapping[str, Any], where: str = "config") -> T:
    """Build the dataclass ``kind`` from nested plain values; unknown keys are errors."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} is {values!r}", expected="a table of settings")
    hints = typing.get_type_hints(kind)
    known = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]  # any dataclass
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(
            f"{where} has the unknown keys {unknown}", expected=f"some of {sorted(known)}"
        )
    made = {key: _value(hints[key], value, f"{where}.{key}") for key, value in values.items()}
    try:
        return kind(**made)
    except TypeError as error:
        raise ConfigError(f"{where} is incomplete: {error}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_mapping(hint, value, where)
    if typing.get_origin(hint) is tuple:
        return _items(typing.get_args(hint), value, where)
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if float in options and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, options) or (isinstance(value, bool) and bool not in options):
        names = " or ".join("nothing" if o is types.NoneType else o.__name__ for o in options)
        raise ConfigError(f"{where} is {value!r}", expected=names)
    return value


def _items(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    """``value`` as ``tuple[kind, ...]`` or ``tuple[kind, kind]``."""
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where} is {value!r}", expected="a list")
    if kinds[-1] is not Ellipsis and len(value) != len(kinds):
        raise ConfigError(f"{where} has {len(value)} values", expected=f"{len(kinds)}")
    return tuple(_value(kinds[0], item, f"{where}[{n}]") for n, item in enumerate(value))


def tiny() -> ModelConfig:
    """Random weights, milliseconds: for tests."""
    return ModelConfig(
        name="tiny",
        vision=TinyVitConfig(
            widths=(8, 8, 16, 16), depths=(1, 1, 1, 1), heads=(1, 1, 2, 2), expand=2, out=16
        ),
        decoder=MaskDecoderConfig(width=16, heads=2, mlp=32),
        perception=PerceptionConfig(image_grid=4, inner=32),
        normalisation=NormalisationConfig(canvas=64),
        dtype="float32",
    )


def nano() -> ModelConfig:
    """The embedded default: SmolLM2-135M-Instruct and LiteMedSAM, trained by this project."""
    return ModelConfig(
        name="nano",
        vision_source="lite-medsam",
        language=LanguageConfig(
            source="smollm2-135m-instruct", width=576, layers=30, heads=9, kv_heads=3, inner=1536
        ),
    )


PRESETS: Mapping[str, Callable[[], ModelConfig]] = {"tiny": tiny, "nano": nano}
