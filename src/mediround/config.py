"""Configuration of a model: frozen dataclasses.

Sizes differ by configuration alone. ``ModelConfig.to_json`` and ``from_json`` are inverse;
unknown keys are errors.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from mediround.errors import ConfigError
from mediround.mapping import from_mapping
from mediround.quirks import OfficialQuirks

DTYPES = ("float32", "bfloat16", "float16")
"""In which a model may compute."""


@dataclass(frozen=True, kw_only=True)
class TinyVitConfig:
    """Image encoder: stages of windowed attention at 1, 1/2, 1/4 and 1/4 of the canvas' side."""

    kind: Literal["tiny-vit"] = "tiny-vit"
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
class SamVitConfig:
    """SAM's image encoder (Kirillov et al. 2023): ViT-B at 1024 pixels by default.

    ``side`` and ``patch`` in pixels; the layers in ``global_layers`` attend to the whole image,
    the others inside ``window`` x ``window`` patches.
    """

    kind: Literal["sam-vit"] = "sam-vit"
    side: int = 1024
    patch: int = 16
    width: int = 768
    layers: int = 12
    heads: int = 12
    mlp: int = 3072
    window: int = 14
    global_layers: tuple[int, ...] = (2, 5, 8, 11)
    out: int = 256


@dataclass(frozen=True, kw_only=True)
class SceneConfig:
    """What tells what every place shows: attending layers at a sixteenth of the canvas' side."""

    width: int = 192
    layers: int = 3
    heads: int = 6
    expand: int = 2


@dataclass(frozen=True, kw_only=True)
class ParcellationConfig:
    """What tells the structures of a head by its pixels alone; ``entities`` are set by training.

    ``widths`` are the U-Net's, from a quarter of the canvas' side downwards.
    """

    entities: tuple[str, ...] = ()
    widths: tuple[int, ...] = (48, 80, 128, 160)


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
    sizes below are built with random weights of standard deviation ``spread`` and a byte tokenizer.
    """

    kind: Literal["llama"] = "llama"
    source: str | None = None
    width: int = 64
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    inner: int = 128
    context: int = 2048
    spread: float = 0.02
    lora_rank: int = 16
    lora_alpha: int = 32
    lora_targets: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )


@dataclass(frozen=True, kw_only=True)
class MistralConfig:
    """Causal language model of the Mistral family whose table holds the extra tokens.

    ``vocabulary`` counts every row of the table: the tokenizer's pieces, then ``[SEG]``,
    ``[BBOXINPUT]`` and ``[CROPPEDIMAGE]``. ``template`` is how a dialogue is written.
    ``lora_rank`` 0 means no adapter.
    """

    kind: Literal["mistral"] = "mistral"
    vocabulary: int = 32_003
    width: int = 4096
    layers: int = 32
    heads: int = 32
    kv_heads: int = 8
    inner: int = 14_336
    rope_theta: float = 1e6
    norm_eps: float = 1e-5
    context: int = 4096
    lora_rank: int = 0
    lora_alpha: int = 16
    lora_targets: tuple[str, ...] = ("q_proj", "v_proj")
    template: Literal["mistral_instruct", "llava_v1"] = "mistral_instruct"


NEIGHBOUR_WORDS: Mapping[str, str] = {
    "left_of": " left",
    "right_of": " right",
    "in_front_of": " front",
    "behind": " behind",
    "nearest_to": " nearest",
    "touching": " touching",
}
"""What the language model reads before the token of a neighbour, by relation."""


@dataclass(frozen=True, kw_only=True)
class PerceptionConfig:
    """What the language model sees of images and masks.

    ``image_grid`` squared tokens stand for the image; ``reference_tokens`` for an earlier mask,
    made from ``pool`` x ``pool`` mean features inside its box, its box and its centre. With
    ``neighbours``, keys of :data:`NEIGHBOUR_WORDS`, one more token tells its size and one for each
    of these relations what lies there, read from ``neighbour_grid`` squared cells of the image.
    """

    kind: Literal["grid"] = "grid"
    image_grid: int = 8
    reference_tokens: int = 4
    pool: int = 2
    inner: int = 512
    neighbours: tuple[str, ...] = ()
    neighbour_grid: int = 16
    neighbour_width: int = 192
    neighbour_layers: int = 2

    def __post_init__(self) -> None:
        if unknown := set(self.neighbours) - set(NEIGHBOUR_WORDS):
            raise ConfigError(
                f"perception.neighbours names {sorted(unknown)}",
                expected=f"some of {list(NEIGHBOUR_WORDS)}",
            )


@dataclass(frozen=True, kw_only=True)
class ClipPerceptionConfig:
    """A CLIP tower with a two-layer projector; an earlier mask is a crop token and a box token.

    Features are the output of ``layer`` (-2: the last layer but one), without the final norm: one
    token a patch of the image, the class token of a masked crop.
    """

    kind: Literal["clip"] = "clip"
    side: int = 336
    patch: int = 14
    width: int = 1024
    layers: int = 24
    heads: int = 16
    mlp: int = 4096
    activation: str = "quick_gelu"
    norm_eps: float = 1e-5
    layer: int = -2
    reference_tokens: int = 2

    def __post_init__(self) -> None:
        if self.reference_tokens != 2:
            raise ConfigError(
                f"perception.reference_tokens is {self.reference_tokens}",
                expected="2, a crop and a box",
            )
        if not -self.layers <= self.layer <= -1:
            raise ConfigError(
                f"perception.layer is {self.layer} of {self.layers}",
                expected=f"-1 (the last) to -{self.layers}",
            )


@dataclass(frozen=True, kw_only=True)
class CorrectionConfig:
    """Who judges a mask, and what happens to a bad one (section 3.3 of the paper).

    Attributes:
        judge: "evidence" reads the drawn mask, its token and the decoder's own estimate; "paper"
            reads the mask's prompt alone; None scores every mask 1.
        corrector: whether there is a network that rewrites the prompt of a bad mask.
        second_opinion: whether LiteMedSAM as it was published has a say in a bad mask, asked with
            the mask's box; its logits count by ``share``, 0..1.
        inner: width of the paper's networks.
        threshold: a score (0..1) up to this is bad.
        keep: of mask and corrected mask, keep the "better" by a second judgment, or always the
            "corrected" with the first judgment, as published.
    """

    judge: Literal["evidence", "paper"] | None = "evidence"
    corrector: bool = False
    second_opinion: bool = False
    share: float = 0.4
    inner: int = 512
    threshold: float = 0.6
    keep: Literal["better", "corrected"] = "better"

    def __post_init__(self) -> None:
        if self.corrector and self.judge is None:
            raise ConfigError(
                "correction.corrector is on and correction.judge is off",
                expected="a judge, which says what is to be corrected",
            )
        if not 0 <= self.share <= 1:
            raise ConfigError(f"correction.share is {self.share}", expected="0 to 1")
        if self.second_opinion and (self.corrector or self.judge != "evidence"):
            raise ConfigError(
                f"correction.second_opinion with corrector {self.corrector} and "
                f"judge {self.judge!r}",
                expected="no corrector, and a judge that looks at masks: 'evidence'",
            )


@dataclass(frozen=True, kw_only=True)
class QuestionConfig:
    """Reading from a question's words which relation it asks for.

    ``relations``: what can be told apart, values of ``RelationKind`` and ``WideKind`` and kinds of
    facts; ``layer``: the pretrained layer after which words are read; ``heads`` and ``width`` of
    what gathers them, ``members`` of these; ``dropout`` in training.
    """

    relations: tuple[str, ...] = (
        "identity",
        "counterpart",
        "larger_of",
        "smaller_of",
        "left_of",
        "right_of",
        "in_front_of",
        "behind",
        "between",
        "nearest_to",
        "touching",
        "picture_left",
        "picture_right",
        "picture_above",
        "picture_below",
        "sibling",
        "stores_product_of",
        "produces_content_of",
        "drains",
        "drained_by",
        "supplies",
        "supplied_by",
        "flows_into",
        "receives_from",
        "drainage_ends_in",
        "supply_arises_from",
        "companion",
        "articulates_with",
    )
    layer: int = 12
    heads: int = 8
    width: int = 256
    members: int = 4
    dropout: float = 0.2


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
    ``denial_penalty`` (nats) is what the first word of "There is no …" must be ahead of any other
    before a structure is denied: it corrects for the share of absent structures in training.
    ``vision_source`` names the weights entry of encoder and decoder; None means random.
    ``entities`` are the structures that the model was trained on, where that is known; an answer
    that names any other is marked "unsure" whatever its score. ``questions``: how questions are
    read beside the language model; None where they are not.

    ``seg_state``: the mask's prompt is made from the state "at" ``[SEG]`` or, as published, from
    the one "before" it, which predicts it. ``whole``: the model's folder holds every tensor;
    otherwise it holds those that training changed. ``quirks`` of the official release to
    reproduce.
    """

    name: str
    vision_source: str | None = None
    vision: TinyVitConfig | SamVitConfig = field(default_factory=TinyVitConfig)
    decoder: MaskDecoderConfig = field(default_factory=MaskDecoderConfig)
    language: LanguageConfig | MistralConfig = field(default_factory=LanguageConfig)
    perception: PerceptionConfig | ClipPerceptionConfig = field(default_factory=PerceptionConfig)
    projection: Literal["normed", "paper"] = "normed"
    seg_state: Literal["at", "before"] = "at"
    correction: CorrectionConfig = field(default_factory=CorrectionConfig)
    scene: SceneConfig | None = None
    parcellation: ParcellationConfig | None = None
    questions: QuestionConfig | None = None
    normalisation: NormalisationConfig = field(default_factory=NormalisationConfig)
    dtype: str = "bfloat16"
    unsure_below: float = 0.4
    denial_penalty: float = 0.0
    entities: tuple[str, ...] = ()
    whole: bool = False
    quirks: OfficialQuirks = field(default_factory=OfficialQuirks)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.perception.kind == "grid" and self.vision.kind != "tiny-vit":
            raise ConfigError(
                f"perception of kind 'grid' with vision of kind {self.vision.kind!r}",
                expected="vision of kind 'tiny-vit', whose features it reads",
            )
        if self.decoder.width != self.vision.out:
            raise ConfigError(
                f"decoder.width is {self.decoder.width} and vision.out is {self.vision.out}",
                expected="the same number",
            )
        if self.dtype not in DTYPES:
            raise ConfigError(f"dtype is {self.dtype!r}", expected=f"one of {', '.join(DTYPES)}")

    @property
    def learned(self) -> frozenset[str]:
        """All structures that anything of the model was taught to outline."""
        heads = () if self.parcellation is None else self.parcellation.entities
        return frozenset({*self.entities, *heads})

    @property
    def tiny_vit(self) -> TinyVitConfig:
        """The image encoder, where training needs to know that it is TinyViT.

        Raises:
            ConfigError: it is another.
        """
        if not isinstance(self.vision, TinyVitConfig):
            raise ConfigError(
                f"vision of kind {self.vision.kind!r}", expected="tiny-vit, the one that is trained"
            )
        return self.vision

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
