"""What a model sees, cut in two: what frozen parts compute once, and what is trained from there.

Which sight belongs to a model follows from its kind of perception, like its view of images
(:mod:`mediround.model.view`). Everything frozen is computed without gradients and may be kept.
"""

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mediround.geometry import BoolMask
from mediround.imaging import Image
from mediround.model.mediround import MediRound
from mediround.model.official.clip import ClipPerception
from mediround.model.official.postprocess import full_size
from mediround.model.official.reference import predicted_reference
from mediround.model.perception import Perception
from mediround.model.segmenter import Segmenter
from mediround.model.view import CanvasView, PictureView, View, look
from mediround.training.augment import Augmentation, augment, warp
from mediround.training.staged.example import Example, Features, Frame


@dataclass(frozen=True)
class Variation:
    """A random view: equal seeds, equal views."""

    settings: Augmentation
    seed: int

    def rng(self) -> np.random.Generator:
        """A generator at its start, as each use wants it."""
        return np.random.default_rng(self.seed)


@dataclass(frozen=True)
class Shown:
    """An image as its model looks at it, varied or plain."""

    view: View
    variation: Variation | None = None


class Sight(ABC):
    """Eyes of one model.

    Attributes:
        costly_marks: whether a mask's features are worth keeping on disk.
    """

    costly_marks: bool

    def __init__(self, model: MediRound) -> None:
        self.model, self.config = model, model.config

    @abstractmethod
    def frozen(self) -> list[nn.Module]:
        """The parts whose features are kept."""

    @abstractmethod
    def vary(self, view: View, variation: Variation) -> View:
        """Another look at the image."""

    @abstractmethod
    def place(self, shown: Shown, mask: BoolMask) -> BoolMask:
        """A mask (H, W) of the image, as targets are given in this view."""

    @abstractmethod
    def see(self, shown: Shown) -> Features:
        """Features of the image, computed by frozen parts."""

    @abstractmethod
    def mark(self, shown: Shown, placed: BoolMask) -> Features:
        """Features of a mask, computed by frozen parts; ``placed`` is in this view."""

    @abstractmethod
    def frame(self, shown: Shown) -> Frame | None:
        """How logits become a target's pixels."""

    @abstractmethod
    def go_on(self, seen: Features) -> tuple[Tensor, Tensor]:
        """Image tokens (P, W) and the grid (1, D, side, side) that masks are drawn on."""

    @abstractmethod
    def refer(self, seen: Features, marks: Sequence[Features]) -> Tensor:
        """Tokens (N, R, W) of N masks of one image, N at least 1."""

    def show(self, image: Image, variation: Variation | None = None) -> Shown:
        """Look at an image, plainly or in a varied way."""
        view = look(image, self.config)
        if variation is None:
            return Shown(view)
        return Shown(self.vary(view, variation), variation)

    def finish(self, low: Tensor, example: Example) -> Tensor:
        """Logits of the decoder (n, side, side) in the targets' size, float32."""
        if example.frame is None:
            return low.float()
        frame = example.frame
        return full_size(low.float(), frame.side, frame.shown, frame.size)

    def digest(self) -> str:
        """Of all that frozen features depend on, besides the image and how it is varied."""
        found = hashlib.sha256()
        settings = (self.config.normalisation, self.config.perception, self.config.quirks)
        found.update(repr([dataclasses.asdict(each) for each in settings]).encode())
        for part in self.frozen():
            for name, tensor in sorted(part.state_dict().items()):
                found.update(name.encode())
                found.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()[:16]


class CanvasSight(Sight):
    """The segmenter's own features serve the language model too; a mask is its coverage of them."""

    costly_marks = False

    def frozen(self) -> list[nn.Module]:
        """The encoder's trunk."""
        vision = self._segmenter.vision
        return [vision.patch_embed, *vision.layers[:-1]]

    def vary(self, view: View, variation: Variation) -> View:
        """Another canvas; its placement does not know, so masks are warped after it."""
        assert isinstance(view, CanvasView)
        side = view.canvas.shape[-1]
        nothing = np.zeros((side, side), np.uint8)
        pixels, _ = augment(view.canvas, nothing, variation.settings, variation.rng())
        return dataclasses.replace(view, canvas=pixels)

    def place(self, shown: Shown, mask: BoolMask) -> BoolMask:
        """Of the canvas' size."""
        assert isinstance(shown.view, CanvasView)
        return _warped(np.asarray(shown.view.placement.to_canvas(mask)), shown.variation)

    def see(self, shown: Shown) -> Features:
        """``trunk``: (C, side, side)."""
        (canvas,) = shown.view.pixels
        segmenter = self._segmenter
        batch = torch.from_numpy(canvas)[None].to(segmenter.device, segmenter.dtype)
        return {"trunk": segmenter.trunk(batch.contiguous(memory_format=torch.channels_last))[0]}

    def mark(self, shown: Shown, placed: BoolMask) -> Features:  # noqa: ARG002
        """``coverage``: (side, side), 0..1."""
        side = placed.shape[0] // 4
        cells = placed.reshape(side, 4, side, 4).mean((1, 3), dtype=np.float32)
        return {"coverage": torch.from_numpy(cells)}

    def frame(self, shown: Shown) -> Frame | None:  # noqa: ARG002
        """Logits are the canvas' pixels."""
        return None

    def go_on(self, seen: Features) -> tuple[Tensor, Tensor]:
        """Through the image tokens, and through the encoder's tail."""
        trunk = seen["trunk"][None]
        tokens: Tensor = self._perception.image(trunk.float(), self._segmenter.position)[0]
        return tokens, self._segmenter.tail(trunk.to(self._segmenter.dtype))

    def refer(self, seen: Features, marks: Sequence[Features]) -> Tensor:
        """Through the reference encoder."""
        coverage = torch.stack([mark["coverage"] for mark in marks])
        position = self._segmenter.position
        found: Tensor = self._perception.read(seen["trunk"].float(), coverage, position)
        return found

    @property
    def _segmenter(self) -> Segmenter:
        assert isinstance(self.model.segmenter, Segmenter)
        return self.model.segmenter

    @property
    def _perception(self) -> Perception:
        assert isinstance(self.model.perception, Perception)
        return self.model.perception


class PictureSight(Sight):
    """SAM sees the picture, CLIP sees it too, and every mask's crop (section 3.2 of the paper)."""

    costly_marks = True

    def frozen(self) -> list[nn.Module]:
        """SAM's encoder and CLIP's tower."""
        encoder = self.model.segmenter.encoder
        assert isinstance(encoder, nn.Module)
        return [encoder, self._perception.tower]

    def vary(self, view: View, variation: Variation) -> View:
        """Another picture of the same size."""
        assert isinstance(view, PictureView)
        pixels = (view.picture.transpose(2, 0, 1) / 255).astype(np.float32)
        nothing = np.zeros(view.size, np.uint8)
        varied, _ = augment(pixels, nothing, variation.settings, variation.rng())
        picture = np.round(varied.transpose(1, 2, 0) * 255).astype(np.uint8)
        return look(Image(pixels=picture), self.config)

    def place(self, shown: Shown, mask: BoolMask) -> BoolMask:
        """Of the picture's size, (H, W)."""
        return _warped(mask, shown.variation)

    def see(self, shown: Shown) -> Features:
        """``grid``: (D, side, side), ``patches``: (P, C)."""
        device = self.model.device
        sam, clip = (torch.from_numpy(each)[None].to(device) for each in shown.view.pixels)
        segmenter = self.model.segmenter
        grid = segmenter.tail(segmenter.trunk(sam.to(segmenter.dtype)))
        return {"grid": grid[0], "patches": self._perception.features(clip)[0, 1:]}

    def mark(self, shown: Shown, placed: BoolMask) -> Features:
        """``crop``: (C,), ``box``: (4,), 0..1."""
        assert isinstance(shown.view, PictureView)
        view = shown.view
        found = predicted_reference(view.picture, placed, view.clip.shape[-1], view.quirks)
        assert found is not None  # a mask of a dialogue has pixels
        pixels = torch.from_numpy(found.pixels)[None].to(self.model.device)
        crop = self._perception.features(pixels, classes=True)[0, 0]
        return {"crop": crop, "box": torch.from_numpy(found.box)}

    def frame(self, shown: Shown) -> Frame | None:
        """Logits are SAM's padded square."""
        assert isinstance(shown.view, PictureView)
        return Frame(shown.view.sam.shape[-1], shown.view.shown, shown.view.size)

    def go_on(self, seen: Features) -> tuple[Tensor, Tensor]:
        """Through the projector; the grid is frozen."""
        return self._perception.project(seen["patches"]), seen["grid"][None]

    def refer(self, seen: Features, marks: Sequence[Features]) -> Tensor:  # noqa: ARG002
        """Through the projector and the box encoder."""
        crops = torch.stack([mark["crop"] for mark in marks])
        boxes = torch.stack([mark["box"] for mark in marks])
        placed = self._perception.reference(boxes.to(self._perception.reference.weight.dtype))
        return torch.stack([self._perception.project(crops), placed], dim=1)

    @property
    def _perception(self) -> ClipPerception:
        assert isinstance(self.model.perception, ClipPerception)
        return self.model.perception


SIGHTS: Mapping[str, Callable[[MediRound], Sight]] = {"grid": CanvasSight, "clip": PictureSight}


def sight_of(model: MediRound) -> Sight:
    """The eyes that belong to a model."""
    return SIGHTS[model.config.perception.kind](model)


def _warped(mask: BoolMask, variation: Variation | None) -> BoolMask:
    if variation is None:
        return mask
    return np.asarray(warp(mask.astype(np.uint8), variation.settings, variation.rng()) > 0)
