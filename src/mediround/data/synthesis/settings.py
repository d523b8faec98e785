"""How far synthetic images stray from their label map and from each other."""

from __future__ import annotations

from dataclasses import dataclass

from mediround.errors import ConfigError
from mediround.imaging.image import Modality


@dataclass(frozen=True, kw_only=True)
class SynthesisSettings:
    """How far synthetic images stray from the label map and from each other.

    Attributes:
        rotation: largest turn about each axis, degrees.
        scaling: largest change of size along each axis, as a share.
        shear: largest shear coefficient.
        elastic: standard deviation of the elastic displacement, millimetres.
        elastic_knots: size of its smallest features, millimetres.
        familiar_share: share of cases with the tissue order of T1 or T2 weighted images.
        stripped_share: share of cases that show the brain alone, as after skull stripping.
        texture: largest standard deviation of brightness inside a tissue (brightest tissue: 1).
        bias: largest standard deviation of the logarithm of the bias field.
        bias_knots: size of its smallest features, millimetres.
        resolution: finest and coarsest in-plane resolution, millimetres.
        thickness: thinnest and thickest slices, millimetres.
        noise: largest standard deviation of the noise.
        gamma: largest change of the logarithm of gamma.
        background_tissues: how many tissues of random shape fill the background; 0 leaves air,
            which is right where the labels cover the whole head or body.
        step: millimetres between the slices that are made.
        modality: what the images claim to be.

    Raises:
        ConfigError: a negative number, an empty range.
    """

    rotation: float = 12.0
    scaling: float = 0.1
    shear: float = 0.01
    elastic: float = 2.0
    elastic_knots: float = 40.0
    familiar_share: float = 0.6
    stripped_share: float = 0.0
    texture: float = 0.06
    bias: float = 0.25
    bias_knots: float = 100.0
    resolution: tuple[float, float] = (0.8, 1.6)
    thickness: tuple[float, float] = (1.0, 5.0)
    noise: float = 0.04
    gamma: float = 0.25
    background_tissues: int = 0
    step: float = 3.0
    modality: Modality = Modality.MR

    def __post_init__(self) -> None:
        for name in ("resolution", "thickness"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ConfigError(f"{name} is ({low}, {high})", expected="0 < finest <= coarsest")
        for name in ("elastic_knots", "bias_knots", "step"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}", expected="more than 0")
        for name in (
            "rotation",
            "scaling",
            "shear",
            "elastic",
            "texture",
            "bias",
            "noise",
            "gamma",
        ):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}", expected="0 or more")
        for name in ("familiar_share", "stripped_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", expected="0 to 1")
        if self.scaling >= 1:
            raise ConfigError(f"scaling is {self.scaling}", expected="below 1")
