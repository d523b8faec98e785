"""A multi-round dialogue about one image: who asked what, which masks answered.

Typed where the official release keeps brackets inside strings. Text carries one kind of marker:
``[n]`` is entity number n. In a query it is a *reference* to an earlier entity, in an answer it
is a *target*, the place where the model writes ``[SEG]``. Numbers count all entities of the
dialogue from 1, those a person supplied without asking (``given``) included.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mediround.geometry import decode_rle, encode_rle, mask_to_box

Status = Literal["ok", "corrected", "unsure", "absent", "given"]

MARKER = re.compile(r"\[(\d+)\]")


def markers(text: str) -> tuple[int, ...]:
    """Entity numbers in the order in which ``text`` names them, repetitions kept."""
    return tuple(int(number) for number in MARKER.findall(text))


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rle(_Frozen):
    """A binary mask as COCO compressed run-length code; ``size`` is (height, width) in pixels."""

    size: tuple[int, int]
    counts: str

    @classmethod
    def encode(cls, mask: NDArray[np.bool_]) -> Self:
        """Encode a bool array (H, W)."""
        return cls.model_validate(encode_rle(mask))

    def decode(self) -> NDArray[np.bool_]:
        """The bool array (H, W) that was encoded."""
        return decode_rle({"size": list(self.size), "counts": self.counts})


class Entity(_Frozen):
    """One numbered structure: a model's answer, a person's correction, or a given mask.

    ``score`` is the judge's estimate of the mask's IoU with the truth, 0..1; None where nobody
    judged (given masks, annotations). ``box`` is (x0, y0, x1, y1) in pixels, half-open.
    ``refers_to`` lists the entities that the question named. ``box_prompt`` is the box, in the same
    pixels, that a person drew and in which the model found the mask; None for every other mask.
    """

    id: int = Field(ge=1)
    name: str | None = None
    status: Status = "ok"
    score: Annotated[float, Field(ge=0, le=1)] | None = None
    mask: Rle | None = None
    box: tuple[float, float, float, float] | None = None
    refers_to: tuple[int, ...] = ()
    box_prompt: tuple[float, float, float, float] | None = None

    @classmethod
    def from_mask(cls, number: int, mask: NDArray[np.bool_], **fields: Any) -> Self:
        """An entity with ``mask`` (bool, H x W), its box computed."""
        box = mask_to_box(mask)
        return cls(
            id=number, mask=Rle.encode(mask), box=None if box is None else box.corners, **fields
        )

    @model_validator(mode="after")
    def _absent_has_no_mask(self) -> Self:
        if (self.status == "absent") != (self.mask is None):
            raise ValueError(
                f"entity {self.id} has status {self.status!r} and "
                f"{'no mask' if self.mask is None else 'a mask'}; "
                "exactly the absent entities have no mask"
            )
        return self


class Relation(_Frozen):
    """Why a round's answer follows from its references: evidence kept for analysis.

    ``references`` may hold more than the query names: "the other one" points without a number.
    ``difficulty`` is 0..1, None where nobody rated it.
    """

    kind: str
    references: tuple[int, ...] = ()
    evidence: dict[str, float] = Field(default_factory=dict)
    difficulty: Annotated[float, Field(ge=0, le=1)] | None = None


class Round(_Frozen):
    """One question and its answer, with the entities that the answer introduced.

    A round may introduce none (a question about size, an absent target, plain talk) or several.
    """

    query: str
    text: str
    entities: tuple[Entity, ...] = ()
    relation: Relation | None = None

    @property
    def references(self) -> tuple[int, ...]:
        """Numbers that the query names, in order."""
        return markers(self.query)

    @property
    def targets(self) -> tuple[int, ...]:
        """Numbers of the masks that the answer introduces, in the order of its markers."""
        own = {entity.id for entity in self.entities if entity.mask is not None}
        return tuple(number for number in markers(self.text) if number in own)


class Dialogue(_Frozen):
    """Rounds over one image, plus masks that a person supplied without a question.

    Raises:
        pydantic.ValidationError: numbers are not 1..n, a query names an entity that is not there
            yet, or an answer leaves out a mask that it introduces and nobody has corrected.
    """

    image: str | None = None
    modality: str | None = None
    given: tuple[Entity, ...] = ()
    rounds: tuple[Round, ...] = ()

    def entities(self) -> Iterator[Entity]:
        """All entities in the order of their numbers."""
        everyone = [*self.given, *(e for each in self.rounds for e in each.entities)]
        yield from sorted(everyone, key=lambda entity: entity.id)

    @model_validator(mode="after")
    def _numbers_fit(self) -> Self:
        numbers = [entity.id for entity in self.entities()]
        if numbers != list(range(1, len(numbers) + 1)):
            raise ValueError(
                f"entity numbers are {numbers}; expected 1 to {len(numbers)}, once each"
            )
        known = {entity.id for entity in self.given}
        for index, each in enumerate(self.rounds, start=1):
            unknown = sorted(set(each.references) - known)
            if unknown:
                raise ValueError(f"round {index} refers to {unknown}, known there: {sorted(known)}")
            brought = {entity.id: entity for entity in each.entities if entity.mask is not None}
            unsaid = set(brought) - set(each.targets)
            # A person may have drawn what the answer called absent.
            if any(brought[number].status != "corrected" for number in unsaid):
                raise ValueError(
                    f"round {index} answers with {sorted(set(each.targets))} in its text, "
                    f"but brings the masks {sorted(brought)}"
                )
            known |= {entity.id for entity in each.entities}
        return self
