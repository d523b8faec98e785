"""What the official release does differently from what is right, one named option each.

Everything is off by default. With an option on, the code does what the published code does, so
that its numbers can be reproduced; ``docs/official.md`` explains every one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, kw_only=True)
class OfficialQuirks:
    """Deviations of the official release; False is the right behaviour.

    Attributes:
        only_255_is_mask: in a mask file, targets and boxes are the pixels equal to 255, crops
            those above 0. Off: a file holds 0 and one other value, which is the mask.
        inclusive_boxes: a box ends at the last pixel's index, so that the full image ends at
            (W - 1) / W. Off: it ends behind the last pixel, at 1.
        crop_by_bright_pixels: an earlier output is cropped to the non-black pixels inside its
            mask. Off: to the mask.
        dark_reference_is_image: an earlier output with at most 9 pixels above 0 in the red
            channel is read as the whole image. Off: it is what it is.
        failed_update_keeps_truth: where an earlier output cannot be cropped, because everything
            is black, the reference stays what it was, the annotated mask. Off: nothing fails but
            an empty mask, and that is an error.
        slots_by_ind: a turn refers to what its key ``ind`` says; a turn that encodes a mask
            without the key takes no slot, so that later slots belong to the wrong turns. Off: a
            turn refers to the round whose target it encodes.
        thin_crop_is_channels_first: a picture whose height is 3 pixels is read as
            (channels, rows, columns). Off: as every other.
        clip_centre_crop: the language model sees the central square of the image. Off: the whole
            image, padded to a square.
        unk_in_text_is_padding: names of special tokens inside a text become these tokens, and
            ``<unk>`` counts as padding, which leaves the dialogue without any label. Off: a text
            is text.
        smoothed_metrics: small constants in every denominator and in the number of masks, sums in
            float32; two empty masks have cIoU 0. Off: exact ratios, two empty masks agree.
        judge_referenced_only: in the recorded evaluation, only masks to which a later round refers
            are judged and corrected. Off: every mask is.
        judge_loss_in_bfloat16: the judge's loss is computed in bfloat16, whatever the model's type.
            Off: in float32.
        first_target_size: masks have the size of the dialogue's first target. Off: of its image.
    """

    only_255_is_mask: bool = False
    inclusive_boxes: bool = False
    crop_by_bright_pixels: bool = False
    dark_reference_is_image: bool = False
    failed_update_keeps_truth: bool = False
    slots_by_ind: bool = False
    thin_crop_is_channels_first: bool = False
    clip_centre_crop: bool = False
    unk_in_text_is_padding: bool = False
    smoothed_metrics: bool = False
    judge_referenced_only: bool = False
    judge_loss_in_bfloat16: bool = False
    first_target_size: bool = False

    @classmethod
    def all(cls) -> Self:
        """Every quirk: the official behaviour."""
        return cls(**{field.name: True for field in dataclasses.fields(cls)})
