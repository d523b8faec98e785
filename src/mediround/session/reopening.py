"""The image of a saved session, found again and proven to be the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mediround.errors import InputError, SessionFileError
from mediround.imaging import Image, Volume
from mediround.session.source import Source, open_source
from mediround.session.store import SessionFile


def reopen(
    stored: SessionFile,
    name: str,
    image: str | Path | NDArray[np.generic] | Image | Volume | None,
    *,
    option: str,
) -> tuple[Image, Source]:
    """Open the image that a session was held about.

    Args:
        stored: the session.
        name: its file, for messages.
        image: where the image is now, or the image itself; None looks where it was.
        option: how the caller would name another image, for messages.

    Raises:
        SessionFileError: no image, an image with other pixels, or masks of another size.
        InputError: ``image`` cannot be read.
    """
    where = stored.image if image is None else image
    if where is None:
        raise SessionFileError(
            f"{name} was saved from an array", remedy=f"pass the pixels again: {option}"
        )
    try:
        picture, source = open_source(where, stored.slice, stored.plane, stored.modality)
    except InputError as error:
        if image is not None:
            raise
        raise SessionFileError(
            f"the image of {name} cannot be opened: {error.found}",
            remedy=f"pass the image where it is now: {option}",
        ) from error
    if picture.content_hash != stored.image_sha256:
        raise SessionFileError(
            f"the image of {name} has changed, or this is another one",
            expected=f"pixels with SHA-256 {stored.image_sha256[:12]}…",
            remedy=f"pass the right image: {option}",
        )
    stored.check_size(picture.size)
    return picture, source
