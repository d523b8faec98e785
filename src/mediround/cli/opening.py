"""What commands that load a model have in common: their options, and the way to a session."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mediround.cli.progress import moving_line
from mediround.errors import ImageFileError, InputError

if TYPE_CHECKING:
    from mediround.imaging import Plane
    from mediround.session import Session


class LowBit(StrEnum):
    """In how many bits the language model's weights are held."""

    INT8 = "int8"
    INT4 = "int4"


ImagePath = Annotated[
    str,
    typer.Argument(metavar="IMAGE", help="PNG, JPEG, TIFF, NIfTI, DICOM file or series folder."),
]
ModelName = Annotated[
    str, typer.Option("--model", "-m", metavar="M", help="A preset, or a folder with a model.")
]
SliceIndex = Annotated[
    int | None,
    typer.Option("--slice", metavar="N", help="Slice of a volume, from 0; default the middle."),
]
PlaneName = Annotated[
    str | None,
    typer.Option("--plane", help="axial, coronal or sagittal; default how it was acquired."),
]
ModalityName = Annotated[
    str | None,
    typer.Option("--modality", help="CT, MR, US, XR, ENDOSCOPY; default what the file says."),
]

LowBits = Annotated[
    LowBit | None,
    typer.Option("--low-bit", help="Hold the language model's weights in 8 or 4 bits."),
]


def check_image(image: str) -> None:
    """Refuse a path with nothing there, before anything slow is loaded.

    Raises:
        ImageFileError: no such file or folder.
    """
    if not Path(image).exists():
        raise ImageFileError(
            f"no file {image!r}",
            expected="PNG, JPEG, TIFF, NIfTI or DICOM",
            remedy="check the path",
        )


def corners_of(text: str) -> tuple[float, ...]:
    """``x0,y0,x1,y1`` as numbers; whether they are a box in the image is the session's to say.

    Raises:
        InputError: something in it is no number.
    """
    try:
        return tuple(float(each) for each in text.split(","))
    except ValueError as error:
        raise InputError(
            f"the box {text!r}", expected="four numbers in pixels, such as 120,80,210,165"
        ) from error


def open_session(
    image: str,
    model: str,
    *,
    slice_: int | None = None,
    plane: str | None = None,
    modality: str | None = None,
    low_bit: LowBit | None = None,
    first_query: str | None = None,
) -> Session:
    """Read the image, then load the model: a bad image is reported before the long part.

    Args:
        image: a path.
        model: a preset or folder.
        slice_: see ``Model.open``.
        plane: see ``Model.open``.
        modality: see ``Model.open``.
        low_bit: see ``mediround.load``.
        first_query: checked as the question of round 1.

    Raises:
        InputError: the image, slice, plane, modality or question cannot be used, or there is no
            such model.
        WeightsError: the model's weights are missing or damaged.
        ConfigError: ``low_bit`` does not fit the model.
        DependencyError: ``low_bit`` needs a package that is not installed.
    """
    with moving_line("starting …") as progress:
        from mediround.dialogue import Dialogue
        from mediround.session import Session, load
        from mediround.session.query import resolve
        from mediround.session.source import open_source

        if first_query is not None:
            resolve(first_query, Dialogue())
        progress(f"reading {Path(image).name} …")
        # Saved sessions name the image; a full path is found again from anywhere.
        found = open_source(Path(image).absolute(), slice_, cast("Plane | None", plane), modality)
        progress(f"loading {model} …")
        loaded = load(model, low_bit=low_bit)
        progress("looking at the image …")
        return Session(loaded, *found)
