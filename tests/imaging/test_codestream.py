from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from mediround.imaging.codestream import announced_size


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"no_jp2": True}])
def test_size_announced_by_real_files(kind: str, options: dict[str, bool]) -> None:
    stream = io.BytesIO()
    picture = PillowImage.fromarray(np.zeros((40, 30), np.uint8))
    picture.save(stream, format=kind, **options)
    assert announced_size(stream.getvalue()) == (40, 30)


def test_offset_of_a_jpeg_2000_grid_is_subtracted() -> None:
    data = b"\xff\x4f\xff\x51\0\x29\0\0" + struct.pack(">IIII", 50, 60, 10, 20)
    assert announced_size(data) == (40, 40)


@given(st.sampled_from([b"", b"\xff\xd8", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "]), st.binary())
def test_garbage_is_no_size_or_a_size_but_never_a_crash(start: bytes, rest: bytes) -> None:
    size = announced_size(start + rest)
    assert size is None or len(size) == 2
    if start == b"":
        assert announced_size(b"RLE " + rest) is None
