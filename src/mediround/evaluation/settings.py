"""Who speaks, what later rounds see, and what else is held fixed while a model is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Text = Literal["free", "gold"]
References = Literal["predicted", "gold", "random", "blank"]
Correction = Literal["on", "off"]
History = Literal["kept", "dropped"]
Queries = Literal["asked", "names"]
Masks = Literal["model", "majority-location", "named-location"]


@dataclass(frozen=True)
class Setting:
    """One way to hold the same dialogues.

    Attributes:
        text: "free": the model's own words; "gold": the annotated answer is put in its mouth.
        references: "predicted": the model's own earlier masks; "gold": the annotated ones;
            "random": those of other structures of the image, as a control; "blank": every
            reference shows the whole image, so that only the words are left of the history.
        correction: "on", "off", or None: as the model ships.
        history: "kept", or "dropped": every question is asked in a session of its own, in which
            the masks that it refers to stand without any text.
        queries: "asked", or "names": every question is rewritten to the annotated names of its
            targets, so that no reference is left in it.
        deduction: whether words and masks say, beside the language model, what a question means.
        masks: drawn by the "model", or, without any model, where the data set's commonest
            structure ("majority-location") or the target ("named-location") usually is.
        baseline: name among :data:`BASELINES`; "" for none.
    """

    text: Text = "free"
    references: References = "predicted"
    correction: Correction | None = None
    history: History = "kept"
    queries: Queries = "asked"
    deduction: bool = True
    masks: Masks = "model"
    baseline: str = ""

    @property
    def name(self) -> str:
        """How reports call it."""
        return self.baseline or f"{self.text} text, {self.references} references"


CURVES = (Setting("gold", "gold"), Setting("gold", "predicted"), Setting("free", "predicted"))
"""From the easiest to the real thing; the second is how the official release validates."""

RANDOM = Setting("free", "random")
"""The ablation of references: nothing else changes."""

BASELINES: Mapping[str, Setting] = {
    each.baseline: each
    for each in (
        Setting(history="dropped", baseline="single-round"),
        Setting(queries="names", baseline="text-rewriting"),
        Setting(text="gold", history="dropped", queries="names", baseline="closed-set"),
        Setting(references="blank", baseline="lisa-style"),
        Setting(deduction=False, baseline="language-alone"),
        Setting(correction="off", baseline="segllm-style"),
        Setting(correction="on", baseline="jcm"),
        Setting(masks="majority-location", baseline="majority-location"),
        Setting(masks="named-location", baseline="named-location"),
    )
}
"""Baselines that need no training of their own: the same dialogues, weights and decoder.

- single-round: the history of words is dropped, the referenced masks stay.
- text-rewriting: a perfect rewriter turns each question into the absolute names of its targets;
  what a pipeline of a rewriter and a single-target segmenter could reach at best.
- closed-set: names are known and said for the model; what its words to mask path and its decoder
  reach when understanding is perfect. A ceiling for names, not for masks.
- lisa-style: the history stays in words, and reference tokens say nothing. The weights know
  reference tokens from their training, so a model trained without any may do better.
- language-alone: what a question means is left to the language model.
- segllm-style: reference tokens, but masks are neither judged nor corrected.
- jcm: judging and correcting: the paper's way, every mask that is judged low drawn again, or the
  second opinion, whichever the model has; left out where it has neither.
- majority-location: always the usual place of the data set's commonest structure. A floor.
- named-location: the usual place of the target, which is told. What an atlas reaches blindly.
"""
