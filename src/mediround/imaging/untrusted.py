"""The border between this package and third-party decoders of untrusted files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mediround.errors import ImageFileError, MediRoundError


@contextmanager
def decoding(name: str, kind: str) -> Iterator[None]:
    """Turn whatever a decoder raises on a broken file into one typed refusal.

    Only calls into a decoder belong inside. The message names the kind of failure but never
    repeats the decoder's words: those can hold parts of the file, and of memory.

    Args:
        name: the file, as the user knows it.
        kind: what it claims to be, for instance "PNG".

    Raises:
        ImageFileError: the decoder failed.
    """
    try:
        yield
    except MediRoundError:
        raise
    # Decoders raise nearly any class on a hostile file, so no narrower list is complete.
    except Exception as error:
        raise ImageFileError(
            f"{name!r} cannot be decoded as {kind} ({type(error).__name__})",
            expected="a complete, undamaged file",
            remedy="copy or export it again",
        ) from error
