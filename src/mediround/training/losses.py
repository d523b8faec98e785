"""Losses of masks; but for the last two, of logits and bool or 0/1 targets (N, H, W)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def dice_loss(logits: Tensor, targets: Tensor, smooth: float = 1.0) -> Tensor:
    """1 - soft Dice of each mask, (N,), 0..1 (Milletari et al. 2016)."""
    probabilities = logits.float().sigmoid().flatten(1)
    truth = targets.float().flatten(1)
    overlap = (probabilities * truth).sum(1)
    return 1 - (2 * overlap + smooth) / (probabilities.sum(1) + truth.sum(1) + smooth)


def focal_loss(logits: Tensor, targets: Tensor, gamma: float = 1.0) -> Tensor:
    """Focal cross entropy of each mask, mean over pixels, (N,) (Lin et al. 2017)."""
    truth = targets.float()
    entropy = F.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")
    certainty = torch.exp(-entropy)
    return ((1 - certainty) ** gamma * entropy).flatten(1).mean(1)


def mask_iou(logits: Tensor, targets: Tensor) -> Tensor:
    """Intersection over union of each thresholded mask with its target, (N,); 1 when both empty."""
    found, truth = (logits > 0).flatten(1), targets.bool().flatten(1)
    union = (found | truth).sum(1)
    overlap = (found & truth).sum(1).float()
    return torch.where(union > 0, overlap / union.clamp(min=1), torch.ones_like(overlap))


def scene_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of what each pixel shows, plus 1 - soft Dice of the structures that are there.

    Args:
        logits: (K, H, W), of nothing labelled (0) and every structure (1 to K - 1).
        labels: int64 (H, W), numbers up to K - 1.
    """
    entropy = F.cross_entropy(logits[None], labels[None])
    present = torch.unique(labels[labels > 0])
    if len(present) == 0:
        return entropy
    found = logits.softmax(0)[present].flatten(1)
    truth = (labels == present[:, None, None]).float().flatten(1)
    missed = 1 - (2 * (found * truth).sum(1) + 1) / (found.sum(1) + truth.sum(1) + 1)
    total: Tensor = entropy + missed.mean()
    return total


def parcellation_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Like :func:`scene_loss`, of several images at once: Dice of each structure over all of them.

    Args:
        logits: (B, K, H, W).
        labels: int64 (B, H, W), numbers up to K - 1.
        weights: (K,), how much a pixel of each counts in the cross entropy.
    """
    chances = logits.log_softmax(1)
    count, flat = logits.shape[1], labels.flatten()
    own = chances.gather(1, labels[:, None]).flatten()
    shared = own.new_zeros(count).index_add(0, flat, own.exp())
    there = torch.bincount(flat, minlength=count)
    missed = 1 - (2 * shared + 1) / (chances.exp().sum((0, 2, 3)) + there + 1)
    present = (there > 0) & (torch.arange(count) > 0).to(there.device)
    weighed = weights[flat]
    entropy = -(own * weighed).sum() / weighed.sum()
    total: Tensor = missed[present].sum() / present.sum().clamp(min=1) + entropy
    return total
