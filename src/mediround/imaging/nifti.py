"""NIfTI-1 and NIfTI-2 in one file (.nii, .nii.gz), recognised by content."""

from __future__ import annotations

import gzip
import math
import os
import struct
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel
import numpy as np
from numpy.typing import NDArray

from mediround.errors import ImageFileError, InputError
from mediround.imaging.affine import unknown_affine
from mediround.imaging.image import Modality
from mediround.imaging.output import replacing
from mediround.imaging.rescale import rescale
from mediround.imaging.untrusted import decoding
from mediround.imaging.volume import Volume, check_volume_shape

# nibabel's annotations cover a part of what its documentation promises.
_nib: Any = nibabel

HEADER_BYTES = 348
"""Enough of a file to recognise either version."""

MAX_BYTES = 2**31
"""Largest size of the voxel data once decompressed: 2 GiB."""

MAX_EXTENSION_BYTES = 2**24
"""Largest distance of the voxels from the beginning of the file: 16 MiB."""

_GZIP = b"\x1f\x8b"
_VERSION_1, _VERSION_2 = 348, 540
_LOWEST_AIR, _LEAST_TISSUE, _HIGHEST_HU = -500.0, 0.0, 32_767.0


def nifti_version(head: bytes) -> int | None:
    """1 or 2 if the first ``HEADER_BYTES`` bytes, decompressed, open a NIfTI file, else None."""
    if len(head) < HEADER_BYTES:
        return None
    sizes = {struct.unpack(order + "i", head[:4])[0] for order in "<>"}
    if _VERSION_1 in sizes and head[344:348] in (b"n+1\0", b"ni1\0"):
        return 1
    if _VERSION_2 in sizes and head[4:8] in (b"n+2\0", b"ni2\0"):
        return 2
    return None


def read_nifti(path: str | os.PathLike[str], *, modality: Modality | None = None) -> Volume:
    """Read one 3-D (or 2-D, as a single slice) NIfTI file.

    ``scl_slope`` and ``scl_inter`` are applied. A file with neither sform nor qform has an
    unknown orientation; if its voxel size is 1 x 1 x 1 as well, that counts as not given.

    Args:
        path: .nii or .nii.gz, whatever its name.
        modality: how it was made; None guesses from the values, see ``guess_modality``.

    Raises:
        ImageFileError: not NIfTI, truncated or damaged, a time series, colour or complex
            values, outside the size limits.
    """
    file = Path(path)
    with ExitStack() as stack:
        with decoding(file.name, "NIfTI"):
            raw: BinaryIO = stack.enter_context(file.open("rb"))
            compressed = raw.read(2) == _GZIP
            raw.seek(0)
            stream = cast(BinaryIO, stack.enter_context(gzip.open(raw))) if compressed else raw
            head = stream.read(HEADER_BYTES)
            stream.seek(0)
        version = _checked_version(head, file.name)
        with decoding(file.name, "NIfTI"):
            kind = _nib.Nifti1Image if version == 1 else _nib.Nifti2Image
            image = kind.from_stream(stream)
            shape = _checked_shape(image.header, file.name)
            if not compressed:
                _check_length(file, image.header)
            stored = np.asarray(image.dataobj.get_unscaled()).reshape(shape)
            # Reading past the voxels makes gzip compare its checksum.
            stream.read(1)
            # The proxy keeps the scale of the file; nibabel clears it in the image's header.
            voxels = rescale(stored, float(image.dataobj.slope), float(image.dataobj.inter))
            affine = _affine(image, shape)
    return _volume(image.header, voxels, affine, modality)


def write_nifti(path: str | os.PathLike[str], array: NDArray[Any], like: Volume) -> None:
    """Write an array on a volume's grid; the file appears whole or not at all.

    Reading it back gives the same values in the same type (bool comes back as uint8 0/1), and
    the affine to single precision.

    Args:
        path: the file to write or replace; compressed if it ends in .gz.
        array: bool, integers, float32 or float64 in the shape of ``like.voxels``.
        like: where the array lies.

    Raises:
        InputError: another shape, or a type that NIfTI cannot hold.
        OutputError: the file cannot be written.
    """
    if array.shape != like.voxels.shape:
        raise InputError(
            f"an array of shape {array.shape} for a volume of shape {like.voxels.shape}",
            expected="the same shape",
        )
    values = array.astype(np.uint8) if array.dtype == np.bool_ else array
    if values.dtype.kind not in "iuf" or values.dtype.itemsize > 8 or values.dtype == np.float16:
        raise InputError(
            f"values of type {array.dtype}", expected="bool, integers, float32 or float64"
        )
    image = _nib.Nifti1Image(values, like.affine, dtype=values.dtype)
    code = 1 if like.orientation_known else 0
    image.header.set_xyzt_units("mm")
    image.set_sform(like.affine if code else None, code)
    image.set_qform(like.affine if code else None, code)
    with replacing(path) as handle:
        if not Path(path).name.lower().endswith(".gz"):
            image.to_stream(handle)
            return
        # No time stamp and no name inside, so that equal masks give equal files.
        with gzip.GzipFile("", "wb", 6, handle, mtime=0) as packed:
            image.to_stream(packed)


def guess_modality(voxels: NDArray[Any]) -> Modality:
    """CT if the values can only be Hounsfield units, else UNKNOWN.

    NIfTI does not name the modality. Air outside or inside a body lies below -500 HU, and no
    common scale of another modality is that negative while it stays in the 16-bit range.

    Args:
        voxels: at least one finite number.
    """
    low, high = float(voxels.min()), float(voxels.max())
    in_range = -_HIGHEST_HU - 1 <= low <= _LOWEST_AIR and _LEAST_TISSUE < high <= _HIGHEST_HU
    return Modality.CT if in_range else Modality.UNKNOWN


def _affine(image: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    if _oriented(image.header):
        return np.asarray(image.affine, dtype=np.float64)
    return unknown_affine(shape, _zooms(image.header))


def _oriented(header: Any) -> bool:
    return int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0


def _zooms(header: Any) -> tuple[float, float, float]:
    zooms = [*(float(zoom) for zoom in header.get_zooms()[:3]), 1.0]
    return zooms[0], zooms[1], zooms[2]


def _volume(
    header: Any, voxels: NDArray[Any], affine: NDArray[np.float64], modality: Modality | None
) -> Volume:
    oriented = _oriented(header)
    found = modality or guess_modality(voxels)
    hounsfield = found is Modality.CT and bool(voxels.min() < 0)
    return Volume(
        voxels=voxels,
        affine=affine,
        modality=found,
        unit="HU" if hounsfield else None,
        orientation_known=oriented,
        spacing_known=oriented or _zooms(header) != (1.0, 1.0, 1.0),
    )


def _checked_version(head: bytes, name: str) -> int:
    version = nifti_version(head)
    if version is None:
        raise ImageFileError(f"{name!r} is not a NIfTI file", expected=".nii or .nii.gz")
    magic = head[344:347] if version == 1 else head[4:7]
    if magic.startswith(b"ni"):
        raise ImageFileError(
            f"{name!r} is the header of a .hdr/.img pair",
            expected="a NIfTI file that holds its voxels",
            remedy="convert the pair to .nii.gz",
        )
    order = "<" if struct.unpack("<i", head[:4])[0] in (_VERSION_1, _VERSION_2) else ">"
    format_, where = ("f", 108) if version == 1 else ("q", 168)
    offset = struct.unpack_from(order + format_, head, where)[0]
    # Everything before the voxels is read into memory as extensions.
    if not 0 <= offset <= MAX_EXTENSION_BYTES:
        raise ImageFileError(
            f"{name!r} announces its voxels at byte {offset:g}",
            expected=f"0 to {MAX_EXTENSION_BYTES:,}",
            remedy="export it again",
        )
    return version


def _checked_shape(header: Any, name: str) -> tuple[int, ...]:
    """The 3-D shape the header announces, checked before any voxel is read."""
    shape = tuple(int(side) for side in header.get_data_shape())
    dtype = header.get_data_dtype()
    squeezed = shape
    while len(squeezed) > 3 and squeezed[-1] == 1:
        squeezed = squeezed[:-1]
    if len(squeezed) == 2:
        squeezed = (*squeezed, 1)
    if len(squeezed) != 3:
        raise ImageFileError(
            f"{name!r} has {len(shape)} axes, shape {shape}",
            expected="a 3-D volume",
            remedy="extract one volume of the series",
        )
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise ImageFileError(
            f"{name!r} holds colour, complex or extended values",
            expected="integers, float32 or float64",
            remedy="convert it to one gray value a voxel",
        )
    check_volume_shape(squeezed)
    if math.prod(squeezed) * dtype.itemsize > MAX_BYTES:
        raise ImageFileError(
            f"{name!r} announces {math.prod(squeezed) * dtype.itemsize:,} bytes of voxels",
            expected=f"at most {MAX_BYTES:,}",
            remedy="store a smaller type, crop or resample it",
        )
    return squeezed


def _check_length(file: Path, header: Any) -> None:
    shape, itemsize = header.get_data_shape(), header.get_data_dtype().itemsize
    needed = int(header["vox_offset"]) + math.prod(int(side) for side in shape) * itemsize
    size = file.stat().st_size
    if size < needed:
        raise ImageFileError(
            f"{file.name!r} has {size:,} bytes, its header announces {needed:,}",
            expected="a complete file",
            remedy="copy or export it again",
        )
