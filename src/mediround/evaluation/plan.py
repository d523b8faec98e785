"""What an evaluation measures."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mediround.data.dialogues.builder import DialogueSettings
from mediround.data.scene.relations import RelationKind
from mediround.data.words.wording import Split as Words
from mediround.errors import ConfigError
from mediround.evaluation.selection import Part
from mediround.evaluation.settings import (
    BASELINES,
    CURVES,
    RANDOM,
    Correction,
    References,
    Setting,
    Text,
)
from mediround.evaluation.swapped import SwappedSettings

ABLATION_KINDS = (
    RelationKind.IDENTITY,
    RelationKind.COUNTERPART,
    RelationKind.LARGER_OF,
    RelationKind.LEFT_OF,
    RelationKind.BETWEEN,
)
"""One kind of each sort, for the small swapped-reference test that every report holds."""

ABLATION_PAIRS = 8


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """What is measured.

    Attributes:
        text: whose words the answers are, see :class:`Setting`.
        references: what later rounds see, see :class:`Setting`.
        correction: "on", "off", or None: as the model ships.
        curves: measure the settings of :data:`CURVES` besides.
        split: which patients.
        limit: most slices of each data set, evenly spread; None for all.
        only: names of the data sets to use; all when empty.
        per_slice: most dialogues on each slice; None for one where they are made here, and for
            all where they were made before.
        dialogues: hold dialogues at all.
        swapped: ask swapped-reference twins, and how.
        ablations: with dialogues, hold them with random references too, and ask some
            swapped-reference twins when ``swapped`` is None.
        baselines: names among :data:`BASELINES`, held on the same dialogues.
        boundary: measure how far outlines lie apart.
        seed: of all choices.
        words: in which questions are asked where they are made here, twins too.
    """

    text: Text = "free"
    references: References = "predicted"
    correction: Correction | None = None
    curves: bool = True
    split: Part = "validation"
    limit: int | None = None
    only: tuple[str, ...] = ()
    per_slice: int | None = None
    dialogues: bool = True
    swapped: SwappedSettings | None = None
    ablations: bool = True
    baselines: tuple[str, ...] = ()
    boundary: bool = True
    seed: int = 0
    words: Words = "heldout"

    def __post_init__(self) -> None:
        if not self.dialogues and self.swapped is None:
            raise ConfigError(
                "neither dialogues nor swapped references are asked for",
                expected="at least one of them",
            )
        for name in ("limit", "per_slice"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}", expected="at least 1")
        unknown = [name for name in self.baselines if name not in BASELINES]
        if unknown:
            raise ConfigError(f"baseline {unknown[0]!r}", expected=f"one of {', '.join(BASELINES)}")

    @property
    def mixture(self) -> DialogueSettings:
        """The mixture of the dialogues that are made here."""
        return DialogueSettings(wording_split=self.words, max_rounds=5)

    @property
    def setting(self) -> Setting:
        """The setting that the report is about."""
        return Setting(self.text, self.references, self.correction)

    @property
    def held(self) -> tuple[Setting, ...]:
        """The report's setting, then the curves."""
        others = self._corrected(CURVES) if self.curves else ()
        return tuple(dict.fromkeys((self.setting, *others)))

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Everything that is held: the curves, the random control, the baselines."""
        control = self._corrected((RANDOM,)) if self.ablations else ()
        baselines = (BASELINES[name] for name in self.baselines)
        return tuple(dict.fromkeys((*self.held, *control, *baselines)))

    @property
    def twins(self) -> SwappedSettings | None:
        """The swapped-reference test to be made."""
        if self.swapped is not None or not (self.ablations and self.dialogues):
            return self.swapped
        return SwappedSettings(
            kinds=ABLATION_KINDS,
            pairs=ABLATION_PAIRS,
            per_slice=1,
            words=self.words,
            seed=self.seed,
        )

    def _corrected(self, settings: tuple[Setting, ...]) -> tuple[Setting, ...]:
        return tuple(replace(each, correction=self.correction) for each in settings)
