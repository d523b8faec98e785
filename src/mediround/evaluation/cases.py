"""One row of results: what was asked for, what came back, and how well they agree."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from mediround.dialogue import Rle
from mediround.evaluation.metrics import Overlap
from mediround.evaluation.settings import (
    BASELINES,
    CURVES,
    Correction,
    References,
    Setting,
    Text,
)
from mediround.evaluation.surface import Surface

__all__ = ["CURVES", "Case", "Outcome", "References", "Setting", "Text", "table"]

Outcome = Literal["drawn", "missed", "unaskable", "rejected"]
Place = tuple[str, str, int, int]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One mask that should have been drawn, or one round that should have drawn none.

    Attributes:
        text, references, correction, baseline: the setting.
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
        target: place of the mask among those of its round, from 0.
        targets: masks that this round should have drawn.
        set_overlap: like ``overlap``, with the round's masks assigned to its targets as well as
            they can be, whatever the answer calls them.
        reference_dice: mean Dice of the masks that the question showed with the annotated ones,
            0..1, a missing one counting 0; None when it refers to nothing.
        expected: the annotated answer.
        right: for rounds that ask for an answer in words: whether it is right; else None.
        truth, mask: the annotated mask and the drawn one.
        spacing: millimetres between rows and between columns of the image; None when unknown.
        surface: how the outlines agree; None where it was not measured.
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
    correction: Correction | None = None
    baseline: str = ""
    target: int = 0
    targets: int = 1
    set_overlap: Overlap | None = None
    reference_dice: float | None = None
    expected: str = ""
    right: bool | None = None
    truth: Rle | None = None
    mask: Rle | None = None
    spacing: tuple[float, float] | None = None
    surface: Surface | None = None

    @property
    def setting(self) -> Setting:
        """Under which it was measured."""
        if self.baseline:
            return BASELINES[self.baseline]
        return Setting(self.text, self.references, self.correction)

    @property
    def place(self) -> Place:
        """Data set, slice, dialogue and round: the turn, in every setting."""
        return self.dataset, self.slice, self.dialogue, self.round


def row(case: Case) -> dict[str, Any]:
    """Plain values by column: the same columns for every case, masks left out."""
    values = {
        field.name: getattr(case, field.name)
        for field in fields(Case)
        if field.name not in ("overlap", "set_overlap", "truth", "mask", "spacing", "surface")
    }
    both, best, surface = case.overlap, case.set_overlap, case.surface
    return values | {
        "dice": None if both is None else both.dice,
        "iou": None if both is None else both.iou,
        "intersection": None if both is None else both.intersection,
        "union": None if both is None else both.union,
        "set_dice": None if best is None else best.dice,
        "set_iou": None if best is None else best.iou,
        "nsd": None if surface is None else surface.nsd,
        "hd95": None if surface is None else surface.relative,
        "hd95_distance": None if surface is None else surface.distance,
        "hd95_unit": None if surface is None else surface.unit,
        "row_spacing": None if case.spacing is None else case.spacing[0],
        "column_spacing": None if case.spacing is None else case.spacing[1],
    }


def table(cases: Iterable[Case]) -> str:
    """The cases as CSV with a header; shares with six digits."""
    out = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for case in cases:
        values = row(case)
        if writer is None:
            writer = csv.DictWriter(out, list(values), lineterminator="\n")
            writer.writeheader()
        for name in ("dice", "iou", "set_dice", "set_iou", "nsd", "hd95"):
            if values[name] is not None:
                values[name] = f"{values[name]:.6f}"
        writer.writerow(values)
    return out.getvalue()


def pack(case: Case) -> dict[str, Any]:
    """The case as JSON values; inverse of :func:`unpack`."""
    values = asdict(case)
    for name in ("truth", "mask"):
        code: Rle | None = getattr(case, name)
        values[name] = None if code is None else [*code.size, code.counts]
    return values


def unpack(values: dict[str, Any]) -> Case:
    """The case that was packed.

    Raises:
        TypeError, KeyError, ValueError: the values are of something else.
    """
    kinds = {"overlap": Overlap, "set_overlap": Overlap, "surface": Surface}
    made = dict(values)
    for name, kind in kinds.items():
        if made[name] is not None:
            made[name] = kind(**made[name])
    for name in ("truth", "mask"):
        if made[name] is not None:
            height, width, counts = made[name]
            made[name] = Rle(size=(height, width), counts=counts)
    if made["spacing"] is not None:
        made["spacing"] = tuple(made["spacing"])
    return Case(**made)
