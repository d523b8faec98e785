"""Positions in the unit square as features."""

import math

import torch
from torch import Tensor, nn


class PositionCode(nn.Module):
    """Random Fourier features of a point (SAM, section "prompt encoder"; Tancik et al. 2020).

    The matrix (2, width / 2) is part of the weights, so that a point means the same to the mask
    decoder and to the language model.
    """

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, width // 2))
        self._grids: dict[int, tuple[Tensor, Tensor]] = {}  # side: matrix, grid

    def forward(self, points: Tensor) -> Tensor:
        """(..., 2) points (x, y) in 0..1 of the canvas -> (..., width) float32."""
        return fourier(points, self.positional_encoding_gaussian_matrix)

    def grid(self, side: int) -> Tensor:
        """(width, side, side) code of the cell centres of a square grid; kept: do not alter."""
        matrix = self.positional_encoding_gaussian_matrix
        known = self._grids.get(side)
        if known is None or not _same(known[0], matrix):
            with torch.inference_mode(mode=False):  # else no training could use it later
                known = matrix.clone(), fourier_grid(side, matrix)
            self._grids[side] = known
        return known[1]


def _same(a: Tensor, b: Tensor) -> bool:
    return a.device == b.device and a.dtype == b.dtype and torch.equal(a, b)


def fourier(points: Tensor, matrix: Tensor) -> Tensor:
    """(..., 2) points in 0..1 and frequencies (2, width / 2) -> (..., width) float32."""
    angles = 2 * math.pi * ((2 * points.float() - 1) @ matrix.float())
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def fourier_grid(side: int, matrix: Tensor) -> Tensor:
    """(width, side, side) code of the cell centres of a square grid."""
    axis = (torch.arange(side, device=matrix.device) + 0.5) / side
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return fourier(torch.stack([x, y], dim=-1), matrix).permute(2, 0, 1)
