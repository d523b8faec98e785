from __future__ import annotations

import gzip
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mediround.errors import ImageFileError, InputError
from mediround.imaging import Modality, Volume
from mediround.imaging.nifti import guess_modality, read_nifti, write_nifti

AFFINE = np.array([[0, -2.0, 0, 5], [0.5, 0, 0, -7], [0, 0, 3.0, 11], [0, 0, 0, 1]])
VOXELS = np.arange(720, dtype=np.int16).reshape(8, 9, 10)
nib: Any = nibabel


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


@given(
    array=st.sampled_from(
        [np.bool_, np.uint8, np.int16, np.uint16, np.int32, np.int64, np.float32, np.float64]
    ).flatmap(
        lambda dtype: hnp.arrays(
            dtype,
            hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5),
            elements=(
                hnp.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False)
                if np.dtype(dtype).kind == "f"
                else None
            ),
        )
    ),
    suffix=st.sampled_from([".nii", ".nii.gz"]),
    known=st.booleans(),
)
def test_writing_and_reading_is_voxel_exact(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, suffix: str, known: bool
) -> None:
    path = tmp_path_factory.mktemp("nifti") / f"a{suffix}"
    like = Volume.from_array(array, affine=AFFINE if known else None)
    write_nifti(path, array, like)
    back = read_nifti(path, modality=Modality.MR)
    assert back.voxels.dtype == (np.uint8 if array.dtype == np.bool_ else array.dtype)
    assert np.array_equal(back.voxels, array)
    assert np.allclose(back.affine, like.affine, rtol=1e-6)
    assert back.orientation_known is known
    assert back.spacing_known is known


def test_equal_content_gives_equal_files(tmp_path: Path) -> None:
    like = Volume.from_array(VOXELS, affine=AFFINE)
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(tmp_path / name, VOXELS, like)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_written_files_mean_the_same_to_nibabel(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii", VOXELS, Volume.from_array(VOXELS, affine=AFFINE))
    image = nib.load(tmp_path / "a.nii")
    assert np.allclose(image.affine, AFFINE)
    assert np.allclose(image.get_qform(), AFFINE, atol=1e-5)
    assert image.header.get_xyzt_units()[0] == "mm"
    assert np.array_equal(np.asarray(image.dataobj), VOXELS)


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", VOXELS)
    volume = read_nifti(path.rename(tmp_path / "a.img"))
    assert np.array_equal(volume.voxels, VOXELS)
    assert np.allclose(volume.affine, AFFINE)


def test_scale_is_applied_exactly(tmp_path: Path) -> None:
    # Into the header's bytes, since nibabel would rescale the voxels as it writes them.
    data = bytearray(save(tmp_path / "a.nii", VOXELS).read_bytes())
    struct.pack_into("<ff", data, 112, 2.0, -1024.0)
    (tmp_path / "a.nii").write_bytes(data)
    voxels = read_nifti(tmp_path / "a.nii").voxels
    assert voxels.dtype == np.int16
    assert np.array_equal(voxels, VOXELS.astype(int) * 2 - 1024)


def test_two_axes_become_one_slice_and_trailing_singletons_vanish(tmp_path: Path) -> None:
    assert read_nifti(save(tmp_path / "a.nii", VOXELS[..., 0])).voxels.shape == (8, 9, 1)
    squeezed = read_nifti(save(tmp_path / "b.nii", VOXELS[..., None, None]))
    assert np.array_equal(squeezed.voxels, VOXELS)


def test_big_endian_and_version_2_are_read(tmp_path: Path) -> None:
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    big = nib.Nifti1Image(VOXELS, AFFINE, header=header)
    big.to_filename(tmp_path / "a.nii")
    assert (tmp_path / "a.nii").read_bytes()[:4] == struct.pack(">i", 348)
    nib.Nifti2Image(VOXELS, AFFINE).to_filename(tmp_path / "b.nii")
    for name in ("a.nii", "b.nii"):
        volume = read_nifti(tmp_path / name)
        assert np.array_equal(volume.voxels, VOXELS)
        assert np.allclose(volume.affine, AFFINE)
        assert volume.voxels.dtype == np.dtype("=i2")


def test_unknown_orientation_keeps_a_stated_voxel_size(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VOXELS, None)
    image.header.set_zooms((0.5, 0.75, 2))
    image.to_filename(tmp_path / "a.nii")
    volume = read_nifti(tmp_path / "a.nii")
    shown = volume.slice(0)
    assert not volume.orientation_known
    assert shown.directions is None
    assert shown.spacing == (0.75, 0.5)
    assert np.allclose(volume.affine, nib.load(tmp_path / "a.nii").affine)


@pytest.mark.parametrize(
    ("voxels", "expected"),
    [
        (np.array([-1024, 60, 1500]), Modality.CT),
        (np.array([-3024.5, 60, 1500]), Modality.CT),
        (np.array([-160, 240]), Modality.UNKNOWN),
        (np.array([0, 255]), Modality.UNKNOWN),
        (np.array([-5.0, 5.0]), Modality.UNKNOWN),
        (np.array([-1e6, 1e6]), Modality.UNKNOWN),
        (np.array([-1024, -1024]), Modality.UNKNOWN),
    ],
)
def test_only_hounsfield_values_are_taken_for_ct(voxels: np.ndarray, expected: Modality) -> None:
    assert guess_modality(voxels) is expected


def test_guessed_and_given_modalities_carry_their_unit(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", VOXELS - np.int16(600))
    assert (read_nifti(path).modality, read_nifti(path).unit) == (Modality.CT, "HU")
    given = read_nifti(path, modality=Modality.MR)
    assert (given.modality, given.unit) == (Modality.MR, None)
    assert read_nifti(save(tmp_path / "b.nii", VOXELS), modality=Modality.CT).unit is None


@pytest.mark.parametrize("shape", [(8, 9, 10, 2), (8, 9, 1, 1, 3)])
def test_series_and_vectors_are_refused_with_their_shape(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path = save(tmp_path / "a.nii", np.zeros(shape, np.uint8))
    with pytest.raises(ImageFileError) as caught:
        read_nifti(path)
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize("dtype", [np.complex64, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])])
def test_colour_and_complex_voxels_are_refused(tmp_path: Path, dtype: Any) -> None:
    with pytest.raises(ImageFileError, match="colour, complex"):
        read_nifti(save(tmp_path / "a.nii", np.zeros((8, 8, 8), dtype)))


def test_voxels_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    voxels = VOXELS.astype(np.float32)
    voxels[0, 0, 0] = np.nan
    with pytest.raises(ImageFileError, match="not finite"):
        read_nifti(save(tmp_path / "a.nii", voxels))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 999, (16, 16, 16)).astype(np.int16)
    path = save(tmp_path / f"a{suffix}", noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageFileError):
        read_nifti(path)


def test_damaged_compression_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 999, (16, 16, 16)).astype(np.int16)
    path = save(tmp_path / "a.nii.gz", noise)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ImageFileError, match="cannot be decoded"):
        read_nifti(path)


def forged(sides: tuple[int, int, int], *, offset: float = 352.0) -> bytes:
    """A NIfTI-1 header of float64 that announces these sides, and a few bytes of voxels."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.float64)
    data = bytearray(header.binaryblock) + b"\0" * 100
    struct.pack_into("<8h", data, 40, 3, *sides, 1, 1, 1, 1)
    struct.pack_into("<f", data, 108, offset)
    data[344:348] = b"n+1\0"
    return bytes(data)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("sides", "words"),
    [((32_767,) * 3, "at most"), ((1024, 1024, 400), "bytes of voxels"), ((-3, 8, 8), "3-D")],
)
def test_announced_sizes_are_checked_before_voxels_are_read(
    tmp_path: Path, packed: bool, sides: tuple[int, int, int], words: str
) -> None:
    data = forged(sides)
    (tmp_path / "a.nii").write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(ImageFileError, match=words):
        read_nifti(tmp_path / "a.nii")


@pytest.mark.parametrize("offset", [float("nan"), float("inf"), -1.0, 3e9])
def test_a_lying_voxel_offset_is_refused(tmp_path: Path, offset: float) -> None:
    (tmp_path / "a.nii").write_bytes(forged((2, 2, 2), offset=offset))
    with pytest.raises(ImageFileError, match="announces its voxels at byte"):
        read_nifti(tmp_path / "a.nii")


def test_pairs_and_other_files_are_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(VOXELS, AFFINE), tmp_path / "a.hdr")
    with pytest.raises(ImageFileError, match=r"\.hdr/\.img pair"):
        read_nifti(tmp_path / "a.hdr")
    (tmp_path / "b.nii").write_bytes(b"x" * 500)
    with pytest.raises(ImageFileError, match="not a NIfTI file"):
        read_nifti(tmp_path / "b.nii")


@given(position=st.integers(0, 351), byte=st.integers(0, 255))
def test_a_damaged_header_gives_a_volume_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, position: int, byte: int
) -> None:
    path = save(tmp_path_factory.mktemp("damaged") / "a.nii", VOXELS)
    data = bytearray(path.read_bytes())
    data[position] = byte
    path.write_bytes(data)
    with suppress(ImageFileError):
        assert read_nifti(path).voxels.size > 0


def test_misfitting_and_unwritable_arrays_are_refused(tmp_path: Path) -> None:
    like = Volume.from_array(VOXELS)
    with pytest.raises(InputError, match="same shape"):
        write_nifti(tmp_path / "a.nii", VOXELS[1:], like)
    for dtype in (np.float16, np.complex64):
        with pytest.raises(InputError, match="float32 or float64"):
            write_nifti(tmp_path / "a.nii", VOXELS.astype(dtype), like)
    assert list(tmp_path.iterdir()) == []
