"""What requests look like on the wire, documented in OpenAPI; unknown keys are refused."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from mediround.dialogue import Rle
from mediround.server.views import PlaneName
from mediround.session.boxes import Fit

# Not every database can store a text with the sign 0 in it.
_STORABLE = r"^[^\x00]*$"
Title = Annotated[str, Field(max_length=200, pattern=_STORABLE)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=_STORABLE)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OpenRequest(_Request):
    """Which image, or which slice of a volume, to talk about."""

    image: str = Field(max_length=64)
    slice: int | None = Field(default=None, ge=0)
    plane: PlaneName | None = None
    modality: str | None = Field(default=None, max_length=20)
    title: Title | None = None


class ResumeRequest(_Request):
    """A saved session and the image that it is about."""

    file: dict[str, Any]
    image: str = Field(max_length=64)
    title: Title | None = None


class AskRequest(_Request):
    """A question; ``[n]`` refers to mask n."""

    query: str = Field(max_length=4000)


class TitleRequest(_Request):
    """Another title."""

    title: Title


class NameRequest(_Request):
    """Another name of an entity, or none."""

    name: Name | None


class MaskRequest(_Request):
    """A mask in the pixels of the image."""

    mask: Rle


class GivenRequest(_Request):
    """A mask without a question: run-length code, PNG in base64, or a box.

    ``box`` is (x0, y0, x1, y1) in pixels of the image, half-open. ``fit`` says what it stands for:
    "rectangle", all of its pixels, or "structure", what the model finds in it (``box_fits`` of the
    server's information says whether its model can).
    """

    mask: Rle | None = None
    png: str | None = None
    box: tuple[float, float, float, float] | None = None
    fit: Fit = "rectangle"
    name: Name | None = None
