"""One dialogue about one view of an image, ready for the network."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from mediround.prompt import Prompt

Features = Mapping[str, Tensor]
"""What frozen parts make of an image or of a mask, by name."""


@dataclass(frozen=True)
class Frame:
    """How the decoder's square becomes an image's pixels.

    Attributes:
        side: of the encoder's input.
        shown: (rows, columns) of it that show the image.
        size: (rows, columns) of the image.
    """

    side: int
    shown: tuple[int, int]
    size: tuple[int, int]


@dataclass(frozen=True)
class Example:
    """Everything that the trained parts need.

    Attributes:
        view: names the view of the image; equal names, equal ``seen``.
        prompt: all rounds.
        seen: features of the image.
        marks: slot key -> features of the mask that it stands for.
        targets: bool (n, rows, columns), one for each ``[SEG]``.
        frame: how logits become the targets' pixels; None where they are that already.
    """

    view: str
    prompt: Prompt
    seen: Features
    marks: Mapping[int, Features]
    targets: Tensor
    frame: Frame | None = None

    @property
    def length(self) -> int:
        """Positions."""
        return len(self.prompt.ids)
