"""What a training run does, as one frozen file."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from mediround.config import ModelConfig
from mediround.data.dialogues.settings import DialogueSettings
from mediround.data.sources import NnunetFolder
from mediround.data.synthesis.volume import SynthesisSettings
from mediround.errors import ConfigError
from mediround.mapping import from_mapping
from mediround.presets import PRESETS
from mediround.training.augment import Augmentation


@dataclass(frozen=True, kw_only=True)
class DatasetRecipe:
    """One data set's part in a run.

    Attributes:
        folder: name below the data folder.
        share: how often its images are drawn, relative to the others.
        views: random views of each training slice whose features are kept (the first is plain).
        slices_per_case: at most so many slices of a volume, evenly spread.
        cases: at most so many cases, evenly spread.
        synthesis: how images are made of label maps that stand alone; None where there are images.
        repetitions: examinations made of each label map.
    """

    folder: str
    share: float
    views: int = 1
    slices_per_case: int = 1000
    cases: int = 100000
    synthesis: SynthesisSettings | None = None
    repetitions: int = 1
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if self.repetitions < 1 or (self.repetitions > 1 and self.synthesis is None):
            raise ConfigError(
                f"{self.folder} has {self.repetitions} repetitions",
                expected="1, or more with [datasets.synthesis]",
            )

    def open(self, data: Path) -> NnunetFolder:
        """The data set below ``data``."""
        return NnunetFolder(data / self.folder, self.synthesis, self.repetitions)


@dataclass(frozen=True, kw_only=True)
class MasksRecipe:
    """Training of decoder, entity codes and the encoder's tail on cached features.

    ``start`` is a model (a preset with weights or a folder) whose segmenter training goes on from,
    and whose codes stay as they are: what speaks them keeps its words.
    """

    start: str | None = None
    steps: int = 2000
    images: int = 4
    prompts: int = 8
    rate: float = 2e-4
    tail_rate: float = 5e-5
    warmup: int = 50
    code_steps: int = 500  # after these the codes are fixed, so that the language part can aim
    code_rate: float = 2e-4  # of codes that the model of ``start`` does not have
    code_noise: float = 0.1  # relative to a code's spread, once fixed
    absent_share: float = 0.15
    balanced_share: float = 0.0  # of views chosen for an entity, each entity as often as any other
    focal_weight: float = 4.0  # of the focal loss, beside Dice loss with weight 1


@dataclass(frozen=True, kw_only=True)
class SceneRecipe:
    """Training of the scene; ``balanced_share`` as for the masks.

    ``start`` is a model (a preset with weights or a folder) whose scene training goes on from. What
    the tail makes of a view is kept in memory (2 MiB a view).
    """

    start: str | None = None
    steps: int = 2400
    images: int = 8
    rate: float = 1e-3
    balanced_share: float = 0.4
    weighed: int = 60  # training slices of each data set on which its share in masks is chosen
    least_gain: float = 0.01  # of Dice there, for a larger share


@dataclass(frozen=True, kw_only=True)
class ParcellationRecipe:
    """Training of the parcellation on images made of the label maps of ``heads``.

    ``strange_share`` of the images are those of the run's data sets, which show none of it.
    """

    heads: DatasetRecipe
    steps: int = 15000
    images: int = 8
    rate: float = 3e-3
    strange_share: float = 0.12
    scale: tuple[float, float] = (0.85, 1.1)  # smallest and largest magnification on the canvas
    shift: float = 0.04  # largest, as a fraction of the canvas
    gamma: float = 1.5  # largest change of the exponent, as a factor


@dataclass(frozen=True, kw_only=True)
class LanguageRecipe:
    """Training of adapter, projections and reference encoder towards the entity codes.

    ``start`` is a model (a preset with weights or a folder) whose language part training goes on
    from; ``mixture`` what dialogues are drawn; ``replay_share`` of the draws are plain chat.
    What has a rate of 0 stays as it is. Classifiers that hold perception to the names are no part
    of a model and begin anew with every run: they may pull a trained perception astray while they
    are learned, unless they have ``classifier_steps`` of their own before.
    """

    start: str | None = None
    mixture: DialogueSettings = field(default_factory=DialogueSettings)
    replay_share: float = 0.0
    replay_answers: int = 4  # of the pretrained model, to each plain question
    cell_weight: float = 0.3  # of the image tokens' alignment with the names of what they show
    neighbour_rate: float = 1e-4
    classifier_steps: int = 0  # of the classifiers alone, perception as it is
    reference_steps: int = 400
    lookup_steps: int = 0  # of questions about made-up masks alone
    lookup_boost: float = 2.0  # of all rates in these steps
    lookups: int = 0  # of them beside the dialogues of a step
    identity_steps: int = 100
    steps: int = 600
    dialogues: int = 12
    rate: float = 4e-4
    head_rate: float = 1e-3
    image_rate: float = 2e-4
    reference_rate: float = 1e-4  # drifts away from the names when it is as fast as the heads
    alignment_boost: float = 10.0  # of all rates while classifiers or perception learn alone
    alignment_weight: float = 0.3
    warmup: int = 20
    twin_share: float = 0.35
    batch_tokens: int = 1200  # positions that go through the model together, padding included
    watch_every: int = 100
    watched: int = 160  # dialogues of validation patients, in held-out words
    text_weight: float = 1.0
    code_weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class QuestionsRecipe:
    """Training of the reader of questions; ``watched`` questions in held-out and in fresh words."""

    questions: int = 18000
    watched: int = 1500
    steps: int = 3000
    rate: float = 2e-3


@dataclass(frozen=True, kw_only=True)
class DeductionRecipe:
    """Training of what weighs masks and perception; on so many slices of each split's patients."""

    views: int = 300
    watched: int = 60


@dataclass(frozen=True, kw_only=True)
class JudgeRecipe:
    """Training of the judge (stage 2) on the decoder's own masks."""

    images_per_dataset: int = 160
    steps: int = 400
    rate: float = 2e-3


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole run: data, model, parts. Read from TOML; unknown keys are errors."""

    preset: str
    datasets: tuple[DatasetRecipe, ...]
    masks: MasksRecipe = field(default_factory=MasksRecipe)
    scene: SceneRecipe = field(default_factory=SceneRecipe)
    parcellation: ParcellationRecipe | None = None
    language: LanguageRecipe = field(default_factory=LanguageRecipe)
    questions: QuestionsRecipe = field(default_factory=QuestionsRecipe)
    judge: JudgeRecipe = field(default_factory=JudgeRecipe)
    deduction: DeductionRecipe = field(default_factory=DeductionRecipe)
    seed: int = 0
    checkpoint_seconds: int = 120

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ConfigError(f"preset is {self.preset!r}", expected=f"one of {sorted(PRESETS)}")
        if self.model.vision_source is None:
            raise ConfigError(
                f"preset {self.preset!r} has no pretrained encoder",
                expected="one to train on: features are those of a frozen trunk",
            )

    @property
    def model(self) -> ModelConfig:
        """The model that is trained."""
        return PRESETS[self.preset]()

    @classmethod
    def read(cls, path: Path) -> "Recipe":
        """Read a TOML file.

        Raises:
            ConfigError: unreadable, not TOML, unknown or missing keys.
        """
        try:
            values = tomllib.loads(path.read_text())
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path} cannot be read: {error}", expected="a TOML file") from error
        return from_mapping(cls, values, path.name)
