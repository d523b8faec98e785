"""Images made from label maps, after the recipe of SynthSeg (Billot et al. 2023).

Every case gets a shape (random affine and elastic deformation), a contrast (a Gaussian for each
tissue), a coil (smooth bias), a protocol (slice thickness, in-plane resolution, blur) and noise.
Slices are made one at a time: nothing but the label map is ever held as a volume.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from scipy import ndimage

from mediround.data.synthesis.contrast import draw_contrast
from mediround.data.synthesis.field import SmoothField
from mediround.data.synthesis.settings import SynthesisSettings
from mediround.imaging.image import Image
from mediround.imaging.volume import Plane, Volume

__all__ = ["SynthesisSettings", "SyntheticVolume", "generator"]

_BACKGROUND_KNOTS = 60.0
"""Size of the smallest features of background tissues, millimetres."""
_NOTHING = 0.01
"""Brightness below that of any tissue, at the rim of what blur makes of a stripped brain."""
_THIN = 0.2
"""A stack is thin below this share of its in-plane extent."""


class SyntheticVolume:
    """One synthetic examination of a label map, cut in one plane.

    Args:
        labels: voxels are unsigned integers.
        names: label -> canonical name, for those that are entities.
        settings: how it is made.
        seed: everything that is drawn follows from it.
        plane: the patient plane of the slices.
    """

    def __init__(
        self,
        labels: Volume,
        names: Mapping[int, str],
        settings: SynthesisSettings,
        seed: Sequence[object],
        plane: Plane = "axial",
    ) -> None:
        self.labels, self.settings, self.plane = labels, settings, plane
        self._seed = (*seed, plane)
        self._spacing = _stack_spacing(labels, plane)
        # The background is always there: deformation brings in what lies outside.
        seen = np.zeros(int(labels.voxels.max()) + 1, dtype=np.bool_)
        seen[labels.voxels] = True
        seen[0] = True
        self._values = np.flatnonzero(seen).astype(labels.voxels.dtype)
        number_of = np.zeros(int(self._values[-1]) + 1, dtype=np.min_scalar_type(len(self._values)))
        number_of[self._values] = np.arange(len(self._values))
        self._stack = labels.stack(number_of[labels.voxels], plane)
        rng = generator(*self._seed)
        shape = self._stack.shape[0], self._stack.shape[1], self._stack.shape[2]
        self._shape = shape
        # Turning a few slices out of their plane would only show that there are no others.
        extent = [side * step for side, step in zip(shape, self._spacing, strict=True)]
        self._thin = extent[0] < _THIN * max(extent[1:])
        self._affine = _random_affine(settings, self._spacing, rng, in_plane=self._thin)
        self._elastic = SmoothField(
            shape,
            self._spacing,
            knots=settings.elastic_knots,
            deviation=settings.elastic,
            channels=3,
            rng=rng,
        )
        self._bias = SmoothField(
            shape,
            self._spacing,
            knots=settings.bias_knots,
            deviation=settings.bias * float(rng.random()),
            channels=1,
            rng=rng,
        )
        self._background = SmoothField(
            shape,
            self._spacing,
            knots=_BACKGROUND_KNOTS,
            deviation=1.0,
            channels=settings.background_tissues,
            rng=rng,
        )
        tissues = [int(value) for value in self._values]
        # Background tissues take numbers that no label has.
        tissues += [-1 - number for number in range(settings.background_tissues)]
        self._contrast = draw_contrast(
            tissues,
            names,
            rng,
            familiar_share=settings.familiar_share,
            texture=settings.texture,
            stripped_share=settings.stripped_share,
        )
        self._resolution = float(rng.uniform(*settings.resolution))
        self._thickness = float(rng.uniform(*settings.thickness))
        self._noise = settings.noise * float(rng.uniform(0.1, 1))
        self._gamma = float(np.exp(rng.uniform(-settings.gamma, settings.gamma)))

    def indices(self) -> range:
        """The slices that are made, ``settings.step`` apart."""
        step = max(1, round(self.settings.step / self._spacing[0]))
        return range(step // 2, self._shape[0], step)

    def labels_on(self, index: int) -> NDArray[Any]:
        """The deformed label values (H, W) of a slice, as ``Volume.slice`` shows it.

        Args:
            index: position in file order along the axis across the plane.
        """
        values: NDArray[Any] = self._values[self._sample(self._places(index))[0]]
        return values

    def image_on(self, index: int) -> Image:
        """The synthetic 8-bit gray image of the labels of ``labels_on``, on the same pixels."""
        rng = generator(*self._seed, index)
        signal = self._signal(index, rng)
        signal = _at_resolution(signal, self._spacing[1:], self._resolution)
        outside = signal < _NOTHING
        signal *= np.exp(self._bias.at(index)[0])
        noisy = np.hypot(
            signal + self._noise * rng.standard_normal(signal.shape, dtype=np.float32),
            self._noise * rng.standard_normal(signal.shape, dtype=np.float32),
        )
        if self._contrast.stripped:
            noisy[outside] = 0  # what strips a head comes after the scanner, with its noise
        shown = 235 * np.clip(noisy, 0, None) ** self._gamma
        like = self.labels.slice(index, self.plane)
        return Image(
            pixels=np.clip(np.rint(shown), 0, 255).astype(np.uint8),
            modality=self.settings.modality,
            spacing=like.spacing,
            directions=like.directions,
        )

    def _places(self, index: int) -> NDArray[np.float32]:
        """(3, H, W): where in the label map each pixel of the slice comes from, in voxels."""
        height, width = self._shape[1:]
        centre = (np.array(self._shape, dtype=np.float32) - 1) / 2
        rows = np.arange(height, dtype=np.float32) - centre[1]
        columns = np.arange(width, dtype=np.float32) - centre[2]
        matrix = self._affine.astype(np.float32)
        places = self._elastic.at(index) / np.array(self._spacing, np.float32)[:, None, None]
        if self._thin:
            places[0] = 0
        for axis in range(3):
            along = matrix[axis, 0] * (index - centre[0]) + centre[axis]
            places[axis] += matrix[axis, 1] * rows[:, None] + matrix[axis, 2] * columns + along
        return places

    def _signal(self, index: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Brightness of the tissues, averaged over the thickness of the slice."""
        places = self._places(index)
        count = max(1, round(self._thickness / self._spacing[0]))
        count += 1 - count % 2
        background = self._background_tissue(index)
        across = self._affine[:, 0].astype(np.float32)[:, None, None]
        total = np.zeros(self._shape[1:], dtype=np.float32)
        for offset in range(-(count // 2), count // 2 + 1):
            tissue, outside = self._sample(places + across * offset)
            seen = tissue if background is None else np.where(tissue == 0, background, tissue)
            drawn = rng.standard_normal(total.shape, dtype=np.float32)
            signal = self._contrast.means[seen] + self._contrast.deviations[seen] * drawn
            if background is None:
                signal[outside] = 0
            total += signal
        total /= count
        return total

    def _sample(self, places: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Tissues at the nearest voxels, and where that lies outside the label map."""
        nearest = [np.rint(each).astype(np.intp) for each in places]
        outside = np.zeros(self._shape[1:], dtype=np.bool_)
        for axis, each in enumerate(nearest):
            if axis > 0 or not self._thin:
                outside |= (each < 0) | (each >= self._shape[axis])
            np.clip(each, 0, self._shape[axis] - 1, out=each)
        tissue = self._stack[nearest[0], nearest[1], nearest[2]]
        tissue[outside] = 0
        return tissue, outside

    def _background_tissue(self, index: int) -> NDArray[np.intp] | None:
        if not self.settings.background_tissues:
            return None
        strongest: NDArray[np.intp] = self._background.at(index).argmax(axis=0)
        return strongest + len(self._values)


def generator(*names: object) -> np.random.Generator:
    """A generator of its own for whatever ``names`` say, the same in every process."""
    text = "\0".join(str(name) for name in names)
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16]))


def _stack_spacing(volume: Volume, plane: Plane) -> tuple[float, float, float]:
    """Millimetres between slices, rows and columns; 1 where the file does not say."""
    if not volume.spacing_known:
        return 1.0, 1.0, 1.0
    every = volume.voxel_spacing
    sizes = np.empty(volume.voxels.shape, np.uint8)
    strides = volume.stack(sizes, plane).strides
    order = [int(np.argmax([abs(step) == own for own in sizes.strides])) for step in strides]
    return every[order[0]], every[order[1]], every[order[2]]


def _random_affine(
    settings: SynthesisSettings,
    spacing: tuple[float, float, float],
    rng: np.random.Generator,
    *,
    in_plane: bool,
) -> NDArray[np.float64]:
    """(3, 3) in voxels of the stack: rotation, scaling and shear about the centre."""
    turn = np.eye(3)
    angles = np.radians(rng.uniform(-1, 1, 3) * settings.rotation)
    for axis, angle in enumerate(angles * [1, 0, 0] if in_plane else angles):
        one = np.eye(3)
        first, second = [each for each in range(3) if each != axis]
        one[first, first] = one[second, second] = np.cos(angle)
        one[first, second], one[second, first] = -np.sin(angle), np.sin(angle)
        turn = turn @ one
    sheared = np.eye(3) + np.triu(rng.uniform(-1, 1, (3, 3)) * settings.shear, 1)
    if in_plane:
        sheared[0, 1:] = 0
    scaled = np.diag(1 + rng.uniform(-1, 1, 3) * settings.scaling)
    millimetres = np.diag(spacing)
    affine: NDArray[np.float64] = np.linalg.inv(millimetres) @ turn @ sheared @ scaled @ millimetres
    return affine


def _at_resolution(
    picture: NDArray[np.float32], spacing: tuple[float, ...], resolution: float
) -> NDArray[np.float32]:
    """``picture`` as a scanner of ``resolution`` millimetres would have sampled it."""
    ratios = [resolution / step for step in spacing]
    blurred = ndimage.gaussian_filter(picture, [0.45 * ratio for ratio in ratios])
    if max(ratios) <= 1.1:
        return np.asarray(blurred, dtype=np.float32)
    height, width = picture.shape
    small = (max(1, round(width / ratios[1])), max(1, round(height / ratios[0])))
    coarse = PillowImage.fromarray(blurred).resize(small, PillowImage.Resampling.BILINEAR)
    fine = coarse.resize((width, height), PillowImage.Resampling.BICUBIC)
    return np.array(fine, dtype=np.float32)
