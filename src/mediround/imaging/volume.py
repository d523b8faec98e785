"""A three-dimensional image, and its display slices with their exact inverse.

World coordinates are RAS+ millimetres, nibabel's convention: x grows towards the patient's
right, y towards anterior, z towards superior. ``affine @ (i, j, k, 1)`` is the position of the
centre of voxel (i, j, k).
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mediround.errors import ImageFileError, InputError
from mediround.imaging.affine import Axis, checked_affine, closest_axes, unknown_affine
from mediround.imaging.image import Edges, Image, Modality, check_finite, numeric

Plane = Literal["axial", "coronal", "sagittal"]

MAX_VOXELS = 2**29
"""Largest number of voxels of a volume: a CT of 512 x 512 x 2048."""

_POSITIVE, _NEGATIVE = "RAS", "LPI"


class _Display(NamedTuple):
    """The patient axes (0 = x, 1 = y, 2 = z) across a plane, down its rows, along its columns."""

    normal: int
    rows: int
    columns: int


_DISPLAY: dict[str, _Display] = {
    "axial": _Display(2, 1, 0),
    "coronal": _Display(1, 2, 0),
    "sagittal": _Display(0, 2, 1),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Volume:
    """A 3-D image with its place in the patient; valid once constructed, and read-only.

    Attributes:
        voxels: (I, J, K) in file order, source values as in ``Image.pixels``. A read-only view
            of the array that was passed, which should not be changed afterwards.
        affine: (4, 4) float64, voxel indices to RAS+ millimetres (see the module).
        modality: how the image was made.
        unit: "HU" for calibrated CT, otherwise None.
        window: (centre, width) that the file suggests for display, or None.
        orientation_known: False where the file does not say how the grid lies in the patient.
            Slices are then still cut along ``affine``, always in the same way, but carry no
            directions.
        spacing_known: False where the file does not say the size of a voxel either.

    Raises:
        ImageFileError: not 3-D, empty, too large, not numbers, not finite, or an affine that
            is not an invertible (4, 4) matrix.
    """

    voxels: NDArray[Any]
    affine: NDArray[np.float64]
    modality: Modality = Modality.UNKNOWN
    unit: str | None = None
    window: tuple[float, float] | None = None
    orientation_known: bool = True
    spacing_known: bool = True

    def __post_init__(self) -> None:
        array = np.asarray(self.voxels)
        check_volume_shape(array.shape)
        voxels = numeric(array).view()
        check_finite(voxels)
        voxels.flags.writeable = False
        object.__setattr__(self, "voxels", voxels)
        object.__setattr__(self, "affine", checked_affine(self.affine))

    @classmethod
    def from_array(
        cls,
        array: ArrayLike,
        *,
        affine: ArrayLike | None = None,
        modality: Modality = Modality.UNKNOWN,
        unit: str | None = None,
    ) -> Volume:
        """A volume from (I, J, K) numbers; without an affine its place and scale are unknown.

        Raises:
            ImageFileError: see the class.
        """
        voxels = np.asarray(array)
        check_volume_shape(voxels.shape)
        known = affine is not None
        matrix = unknown_affine(voxels.shape) if affine is None else np.asarray(affine, np.float64)
        return cls(
            voxels=voxels,
            affine=matrix,
            modality=modality,
            unit=unit,
            orientation_known=known,
            spacing_known=known,
        )

    @property
    def voxel_spacing(self) -> tuple[float, float, float]:
        """Millimetres between voxel centres along I, J and K."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(lengths[0]), float(lengths[1]), float(lengths[2])

    @property
    def native_plane(self) -> Plane:
        """The plane closest to (I, J), in which most files store what the scanner acquired."""
        normals = [plane for plane in get_args(Plane) if self._normal(plane) == 2]
        plane: Plane = normals[0]
        return plane

    def axis(self, plane: Plane = "axial") -> int:
        """The voxel axis (0 = I, 1 = J, 2 = K) across a plane, along which its slices count.

        Raises:
            InputError: no such plane.
        """
        return self._normal(plane)

    def count(self, plane: Plane = "axial") -> int:
        """The number of slices in a plane.

        Raises:
            InputError: no such plane.
        """
        return int(self.voxels.shape[self._normal(plane)])

    def shape_of(self, plane: Plane = "axial") -> tuple[int, int]:
        """(H, W) of the slices of a plane.

        Raises:
            InputError: no such plane.
        """
        display = _display(plane)
        shape = self.voxels.shape
        rows, columns = self._axes[display.rows], self._axes[display.columns]
        return int(shape[rows.voxel]), int(shape[columns.voxel])

    def slice(self, index: int, plane: Plane = "axial") -> Image:
        """One slice in radiological display: nothing is resampled, axes are only permuted.

        Row 0 is anterior and column 0 the patient's right (axial); superior and right
        (coronal); superior and anterior (sagittal). Oblique volumes are cut along their own
        voxel axes, each shown as the patient axis it is closest to.

        Args:
            index: 0-based, in file order along the voxel axis across the plane.
            plane: the patient plane.

        Raises:
            InputError: no such plane or index.
            ImageFileError: the slice is thinner than an image may be.
        """
        display = _display(plane)
        rows, columns = self._axes[display.rows], self._axes[display.columns]
        spacing = self.voxel_spacing
        edges = Edges(
            left=_POSITIVE[display.columns],
            right=_NEGATIVE[display.columns],
            top=_POSITIVE[display.rows],
            bottom=_NEGATIVE[display.rows],
        )
        return Image(
            pixels=self.take(self.voxels, index, plane),
            modality=self.modality,
            unit=self.unit,
            spacing=(spacing[rows.voxel], spacing[columns.voxel]) if self.spacing_known else None,
            directions=edges if self.orientation_known else None,
            window=self.window,
        )

    def take(self, array: NDArray[Any], index: int, plane: Plane = "axial") -> NDArray[Any]:
        """The slice of any array on this grid (labels, masks), shown as ``slice`` shows it.

        Args:
            array: the shape of ``voxels``.
            index: see ``slice``.
            plane: the patient plane.

        Returns:
            (H, W), a view of ``array``.

        Raises:
            InputError: another shape, no such plane or index.
        """
        where = operator.index(index)
        cut = self.stack(array, plane)
        if not 0 <= where < len(cut):
            raise InputError(
                f"{plane} slice {where}",
                expected=f"0 to {len(cut) - 1}",
                remedy="choose a slice inside the volume",
            )
        shown: NDArray[Any] = cut[where]
        return shown

    def stack(self, array: NDArray[Any], plane: Plane = "axial") -> NDArray[Any]:
        """All slices of any array on this grid, in file order, each as ``slice`` shows it.

        Args:
            array: the shape of ``voxels``.
            plane: the patient plane.

        Returns:
            (N, H, W), a view of ``array``.

        Raises:
            InputError: another shape, no such plane.
        """
        if array.shape != self.voxels.shape:
            raise InputError(
                f"an array of shape {array.shape} for a volume of shape {self.voxels.shape}",
                expected="the same shape",
            )
        display = _display(plane)
        rows, columns = self._axes[display.rows], self._axes[display.columns]
        turned = array.transpose(self._normal(plane), rows.voxel, columns.voxel)
        # RAS+ grows towards right, anterior and superior; a display starts there.
        shown: NDArray[Any] = turned[
            :, :: -1 if rows.ascending else 1, :: -1 if columns.ascending else 1
        ]
        return shown

    def place(
        self, mask: NDArray[np.bool_], index: int, plane: Plane = "axial"
    ) -> NDArray[np.bool_]:
        """A slice's mask back in the volume's own grid: the exact inverse of ``take``.

        Args:
            mask: (H, W) bool, in the pixels of ``slice(index, plane)``.
            index: see ``slice``.
            plane: the patient plane.

        Returns:
            Bool, the shape of ``voxels``; False outside the slice.

        Raises:
            InputError: another shape or type, no such plane or index.
        """
        expected = self.shape_of(plane)
        if mask.shape != expected or mask.dtype != np.bool_:
            raise InputError(
                f"a mask of shape {mask.shape} and type {mask.dtype}",
                expected=f"a bool mask of shape {expected}",
            )
        placed = np.zeros(self.voxels.shape, dtype=np.bool_)
        self.take(placed, index, plane)[...] = mask
        return placed

    @cached_property
    def _axes(self) -> tuple[Axis, Axis, Axis]:
        return closest_axes(self.affine)

    def _normal(self, plane: Plane) -> int:
        return self._axes[_display(plane).normal].voxel


def check_volume_shape(shape: tuple[int, ...]) -> None:
    """Refuse a shape that is no volume; readers call this on a header, before they decode.

    Raises:
        ImageFileError: not three axes, an empty one, or more than 2**29 voxels.
    """
    if len(shape) != 3 or min(shape) < 1:
        raise ImageFileError(
            f"an array of shape {tuple(shape)}",
            expected="a 3-D volume (I, J, K)",
            remedy="pass one volume of a time series or a vector image",
        )
    if int(shape[0]) * int(shape[1]) * int(shape[2]) > MAX_VOXELS:
        raise ImageFileError(
            f"a volume of shape {tuple(shape)}",
            expected=f"at most {MAX_VOXELS:,} voxels",
            remedy="crop or resample it",
        )


def _display(plane: str) -> _Display:
    if plane not in _DISPLAY:
        raise InputError(f"plane {plane!r}", expected="axial, coronal or sagittal")
    return _DISPLAY[plane]
