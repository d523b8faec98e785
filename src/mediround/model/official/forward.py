"""Whole dialogues through the network at once, any number in a batch; for training."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mediround.model.mask_decoder import Decoded
from mediround.model.mediround import MediRound
from mediround.model.official.clip import ClipPerception
from mediround.model.official.postprocess import full_size
from mediround.model.official.sample import Sample


@dataclass(frozen=True)
class Passed:
    """One dialogue after the language model.

    Attributes:
        vectors: (N, W), what stood at each position.
        hidden: (N, W), final states.
        states: (n, W), those from which the masks are made.
        prompts: (n, T, D), projected.
        grid: (1, D, side, side), what masks are drawn on.
    """

    vectors: Tensor
    hidden: Tensor
    states: Tensor
    prompts: Tensor
    grid: Tensor


def pass_through(model: MediRound, samples: Sequence[Sample]) -> list[Passed]:
    """Read all dialogues, padded at their ends to one length.

    Gradients reach every part that has ``requires_grad``.
    """
    vectors = [embed(model, sample) for sample in samples]
    lengths = torch.tensor([len(each) for each in vectors], device=model.device)
    padded = pad_sequence(vectors, batch_first=True)
    inside = torch.arange(padded.shape[1], device=model.device) < lengths[:, None]
    hidden = model.language(padded, mask=inside)
    grids = _grids(model, samples)
    return [
        _passed(model, sample, vectors[row], hidden[row], grids[row : row + 1])
        for row, sample in enumerate(samples)
    ]


def embed(model: MediRound, sample: Sample) -> Tensor:
    """Vectors (N, W) of a dialogue, its image and references included."""
    perception = _clip(model)
    features = perception.features(sample.clip[None].to(model.device))
    image = perception.project(features[0, 1:])
    references = {}
    if len(sample.crops):
        crops, boxes = sample.crops.to(model.device), sample.boxes.to(model.device)
        references = dict(enumerate(perception.refer_all(crops, boxes), start=1))
    return model.embed(sample.prompt, image, references)


def draw(model: MediRound, sample: Sample, prompts: Tensor, grid: Tensor) -> tuple[Decoded, Tensor]:
    """Decode ``prompts`` (n, T, D): as the decoder gives it, and logits (n, H, W)."""
    decoded = model.segmenter.decode(grid, prompts[None].to(grid.dtype))
    low = decoded.logits[0].float()
    return decoded, full_size(low, sample.sam.shape[-1], sample.shown, sample.size)


def _passed(
    model: MediRound, sample: Sample, vectors: Tensor, hidden: Tensor, grid: Tensor
) -> Passed:
    before = model.config.seg_state == "before"
    places = [place - before for place, _ in sample.prompt.seg]
    states = hidden[places]
    return Passed(vectors, hidden[: len(vectors)], states, model.projection(states.float()), grid)


def _grids(model: MediRound, samples: Sequence[Sample]) -> Tensor:
    pixels = torch.stack([sample.sam for sample in samples]).to(model.device, model.dtype)
    return model.segmenter.tail(model.segmenter.trunk(pixels))


def _clip(model: MediRound) -> ClipPerception:
    assert isinstance(model.perception, ClipPerception)
    return model.perception
