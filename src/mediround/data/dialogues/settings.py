"""The mixture of a set of dialogues: how often which kind of round is drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from mediround.data.words.wording import Split
from mediround.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DialogueSettings:
    """The mixture of a set of dialogues; shares are probabilities, 0..1.

    The first group is the mixture on which the published numbers were measured; the shares of the
    second group are 0 by default, and what is 0 draws no random number: equal generators go on
    giving equal dialogues. :meth:`rich` switches everything on.

    Attributes:
        max_rounds: rounds are drawn uniformly from 1 to this.
        wording_split: which words may be used.
        given_share: dialogues that begin with 1 to 3 masks without text.
        reference_share: rounds that use a reference, where one can be used.
        describe_share: of single new targets, those described instead of named.
        two_target_share: rounds without reference that ask for two structures.
        absent_share: rounds without reference that ask for what is not there.
        unnamed_share: rounds with reference whose answer shall not name the structure.
        min_pixels: structures smaller than this are neither asked for nor referred to.
        necessary_share: rounds that must need their reference, wherever one can be made.
        older_share: of these, those that refer to something older than the last round, where
            there is something to refer to.
        enquiry_share: of these, those that only ask (name, side, size, …): no mask in the answer.
        correction_share: chance that the user changes his mind after a round that leaves another
            choice ("no, the other one").
        premise_share: of these, those that presuppose what is not there ("the counterpart of
            [1]", where [1] is the spleen).
        several_share: rounds for several structures at once: three names, both of a pair, two
            relations in one question.
        near_absent_share: of absent structures, those that the data set labels in other images.
        talk_share: rounds of medical small talk, which have nothing to do with the image.
        twin_share: draws that give two dialogues with the same words, other references and other
            answers.
        chinese_share: dialogues in Chinese; they have the kinds of round that have Chinese words.
        register_share: dialogues whose questions keep to one register.
        typo_share: questions with typing errors.
        abbreviation_share: questions with short forms.
    """

    max_rounds: int = 5
    wording_split: Split = "train"
    given_share: float = 0.35
    reference_share: float = 0.85
    describe_share: float = 0.4
    two_target_share: float = 0.3
    absent_share: float = 0.08
    unnamed_share: float = 0.5
    min_pixels: int = 20
    necessary_share: float = 0.0
    older_share: float = 0.0
    enquiry_share: float = 0.0
    correction_share: float = 0.0
    premise_share: float = 0.0
    several_share: float = 0.0
    near_absent_share: float = 0.0
    talk_share: float = 0.0
    twin_share: float = 0.0
    chinese_share: float = 0.0
    register_share: float = 0.0
    typo_share: float = 0.0
    abbreviation_share: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name.endswith("_share") and not 0 <= value <= 1:
                raise ConfigError(f"{name} is {value}", expected="a share from 0 to 1")
        if self.max_rounds < 1 or self.min_pixels < 1:
            raise ConfigError(
                f"max_rounds is {self.max_rounds} and min_pixels is {self.min_pixels}",
                expected="at least 1 for both",
            )

    @classmethod
    def rich(cls, **changes: Any) -> DialogueSettings:
        """Every kind of round; at least 60 % of those after the first need their reference."""
        everything = cls(
            max_rounds=6,
            given_share=0.7,
            unnamed_share=0.7,
            absent_share=0.25,
            necessary_share=0.85,
            older_share=0.4,
            enquiry_share=0.22,
            correction_share=0.4,
            premise_share=0.06,
            several_share=0.2,
            near_absent_share=0.5,
            talk_share=0.25,
            twin_share=0.2,
            chinese_share=0.1,
            register_share=0.5,
            typo_share=0.05,
            abbreviation_share=0.05,
        )
        return replace(everything, **changes)

    @property
    def is_rich(self) -> bool:
        """Whether any kind of round beyond the first group is wanted."""
        return any(
            getattr(self, name) > 0
            for name in (
                "necessary_share",
                "enquiry_share",
                "correction_share",
                "premise_share",
                "several_share",
                "near_absent_share",
                "talk_share",
            )
        )
