"""Where a mask lies, as three points."""

import torch
from torch import Tensor


def landmarks(mask: Tensor) -> Tensor:
    """(N, S, S) -> (N, 3, 2): the box's two corners and the centre of mass, (x, y) in 0..1."""
    count, side, _ = mask.shape
    edges = torch.arange(side, device=mask.device, dtype=torch.float32)
    lit = mask.float() > 0.25
    out = torch.full((count, 3, 2), 0.5, device=mask.device)
    for index in range(count):
        rows, columns = lit[index].any(1).nonzero()[:, 0], lit[index].any(0).nonzero()[:, 0]
        if len(rows) == 0:
            continue
        out[index, 0] = torch.stack([columns[0], rows[0]]) / side
        out[index, 1] = (torch.stack([columns[-1], rows[-1]]) + 1) / side
        weight = mask[index].float()
        x = (weight.sum(0) * (edges + 0.5)).sum() / weight.sum()
        y = (weight.sum(1) * (edges + 0.5)).sum() / weight.sum()
        out[index, 2] = torch.stack([x, y]) / side
    return out
