"""A dialogue with its pixels, as the official code passes it through the network.

Unlike a session, where rounds come one by one, everything is known: every question and answer,
the annotated mask behind every reference, and the target of every round.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mediround.config import ClipPerceptionConfig, ModelConfig, SamVitConfig
from mediround.errors import DatasetError
from mediround.geometry import BoolMask
from mediround.model.official.inputs import Picture, clip_pixels, sam_pixels
from mediround.model.official.reference import Reference
from mediround.prompt import IMAGE_KEY, Prompt


@dataclass(frozen=True)
class Sample:
    """One dialogue; R references in the order in which they stand, n rounds that draw.

    Attributes:
        prompt: all rounds. Its slots are numbered: 0 is the image, the k-th reference is k.
        picture: uint8 (H, W, 3).
        sam: (3, S, S), normalised and padded.
        clip: (3, s, s), normalised.
        shown: (rows, columns) of ``sam`` that show the picture.
        crops: (R, 3, s, s), normalised.
        boxes: (R, 4), fractions 0..1.
        size: (rows, columns) of the masks that are asked for.
        targets: float (n, rows, columns), 0 or 1.
    """

    prompt: Prompt
    picture: Picture
    sam: Tensor
    clip: Tensor
    shown: tuple[int, int]
    crops: Tensor
    boxes: Tensor
    size: tuple[int, int]
    targets: Tensor

    @property
    def rounds(self) -> int:
        """How many masks are asked for."""
        return len(self.prompt.seg)


def prepare(
    config: ModelConfig,
    picture: Picture,
    prompt: Prompt,
    references: Sequence[Reference],
    targets: Sequence[BoolMask],
) -> Sample:
    """Pixels for both encoders, everything on the CPU in float32.

    Args:
        config: of a model in the paper's configuration; of its quirks, those of CLIP's pixels and
            ``first_target_size``.
        picture: uint8 (H, W, 3).
        prompt: all rounds.
        references: one for each of the prompt's slots, in their order; may be none.
        targets: one for each ``[SEG]``.

    Raises:
        DatasetError: the dialogue is longer than the language model's context.
    """
    if len(prompt.ids) > config.language.context:
        raise DatasetError(
            f"a dialogue of {len(prompt.ids)} positions",
            expected=f"at most {config.language.context}, the context of the language model",
            remedy="split it into dialogues of fewer rounds",
        )
    assert isinstance(config.vision, SamVitConfig)
    assert isinstance(config.perception, ClipPerceptionConfig)
    assert len(references) == sum(slot.key != IMAGE_KEY for slot in prompt.slots)
    assert len(targets) == len(prompt.seg)
    side = config.perception.side
    sam, shown = sam_pixels(picture, config.vision.side)
    size = (picture.shape[0], picture.shape[1])
    if config.quirks.first_target_size:
        size = (targets[0].shape[0], targets[0].shape[1])
    crops = [each.pixels for each in references]
    boxes = [each.box for each in references]
    return Sample(
        prompt=numbered(prompt),
        picture=picture,
        sam=torch.from_numpy(sam),
        clip=torch.from_numpy(clip_pixels(picture, side, config.quirks)),
        shown=shown,
        crops=torch.from_numpy(np.stack(crops)) if crops else torch.zeros(0, 3, side, side),
        boxes=torch.from_numpy(np.stack(boxes)) if boxes else torch.zeros(0, 4),
        size=size,
        targets=torch.from_numpy(np.stack(targets).astype(np.float32)),
    )


def numbered(prompt: Prompt) -> Prompt:
    """The prompt with its references numbered from 1 in their order, whatever they refer to."""
    slots, count = [], 0
    for slot in prompt.slots:
        count += slot.key != IMAGE_KEY
        slots.append(slot if slot.key == IMAGE_KEY else dataclasses.replace(slot, key=count))
    return dataclasses.replace(prompt, slots=tuple(slots))
