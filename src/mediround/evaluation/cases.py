"""One row of results: what was asked for, what came back, and how well they agree."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Literal

from mediround.evaluation.metrics import Overlap

Text = Literal["free", "gold"]
References = Literal["predicted", "gold", "random"]
Outcome = Literal["drawn", "missed", "unaskable", "rejected"]


@dataclass(frozen=True)
class Setting:
    """Who speaks, and what later rounds refer to.

    Attributes:
        text: "free": the model's own words; "gold": the annotated answer is put in its mouth.
        references: "predicted": the model's own earlier masks; "gold": the annotated ones;
            "random": those of other structures of the image, as a control.
    """

    text: Text = "free"
    references: References = "predicted"

    @property
    def name(self) -> str:
        """How reports call it."""
        return f"{self.text} text, {self.references} references"


CURVES = (Setting("gold", "gold"), Setting("gold", "predicted"), Setting("free", "predicted"))
"""From the easiest to the real thing; the second is how the official release validates."""


@dataclass(frozen=True)
class Case:
    """One mask that should have been drawn, or one round that should have drawn none.

    Attributes:
        text, references: the setting.
        dataset, patient, slice: where it comes from.
        dialogue: number of the dialogue on this slice, from 0.
        round: from 1.
        kind: of the question: "name", "describe", "pair", "absent", or a relation.
        needs_reference: the words alone fit several structures of this image.
        named: the annotated answer names the structure.
        entity: canonical name of the structure; None when none was to be drawn.
        outcome: "drawn"; "missed": asked, and not drawn; "unaskable": the question refers to a
            structure that was not drawn before, so that it could not be asked; "rejected": the
            session refused the question. All but "drawn" count as an empty mask.
        predicted_name: what the answer calls the mask.
        overlap: with the annotated mask, in source pixels; None when none was to be drawn.
        score: the judge's estimate of the IoU, 0..1; None when nothing was drawn.
        drawn: masks in the answer of this round.
        query, answer: with the session's numbers; a question that could not be asked has the
            annotated ones.
    """

    text: Text
    references: References
    dataset: str
    patient: str
    slice: str
    dialogue: int
    round: int
    kind: str
    needs_reference: bool
    named: bool
    entity: str | None
    outcome: Outcome
    predicted_name: str | None
    overlap: Overlap | None
    score: float | None
    drawn: int
    query: str
    answer: str

    @property
    def setting(self) -> Setting:
        """Under which it was measured."""
        return Setting(self.text, self.references)


def table(cases: Iterable[Case]) -> str:
    """The cases as CSV with a header; ``dice`` and ``iou`` beside what they follow from."""
    own = [field.name for field in fields(Case) if field.name != "overlap"]
    out = io.StringIO()
    writer = csv.DictWriter(
        out, [*own, "dice", "iou", "intersection", "union"], lineterminator="\n"
    )
    writer.writeheader()
    for case in cases:
        row = asdict(case)
        del row["overlap"]
        if case.overlap is not None:
            row |= asdict(case.overlap)
            row |= {"dice": f"{case.overlap.dice:.6f}", "iou": f"{case.overlap.iou:.6f}"}
        writer.writerow(row)
    return out.getvalue()
