"""A loaded model that opens images: what ``mediround.load`` returns."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from mediround.dialogue import Dialogue
from mediround.errors import InputError
from mediround.geometry import BoolMask, Box, box_to_mask
from mediround.imaging import Image, Modality, Plane, Volume
from mediround.model.box_prompt import BoxPrompt, takes_boxes
from mediround.model.loading import load_model
from mediround.model.mediround import ImageFeatures, MediRound
from mediround.model.view import CanvasView, View, look
from mediround.session.reopening import reopen
from mediround.session.source import Source, open_source
from mediround.session.store import SessionFile

if TYPE_CHECKING:
    from mediround.session.engine import Session

logger = logging.getLogger(__name__)

KEPT_IMAGES = 8
"""Encoded images that a model remembers."""


@dataclass(frozen=True)
class Encoded:
    """An image as the network sees it, and the way to it from the image's own pixels."""

    features: ImageFeatures
    view: View


class Model:
    """A network with its name; shared by any number of sessions and threads.

    Attributes:
        network: the parts.
        name: preset or configuration name.
        weights_sha256: of the tensors that training wrote.
        lock: held while the network computes.
    """

    def __init__(self, network: MediRound, name: str, weights_sha256: str) -> None:
        self.network, self.name, self.weights_sha256 = network, name, weights_sha256
        self.lock: AbstractContextManager[object] = threading.RLock()
        self._encoded: OrderedDict[str, Encoded] = OrderedDict()
        self._boxes: BoxPrompt | None = None
        self._loading = threading.Lock()

    def open(
        self,
        image: str | Path | NDArray[np.generic] | Image | Volume,
        *,
        slice: int | None = None,  # noqa: A002  # the word users know
        plane: Plane | None = None,
        modality: Modality | str | None = None,
    ) -> Session:
        """Start a session.

        Args:
            image: a path (PNG, JPEG, TIFF, NIfTI, DICOM file or series folder), an array
                (H, W) or (H, W, 3), an :class:`Image` or a :class:`Volume`.
            slice: which slice of a volume, 0-based; the middle one by default.
            plane: "axial", "coronal" or "sagittal"; by default the one the volume was made in.
            modality: "CT", "MR", "US"…; by default what the file says, or a guess.

        Raises:
            InputError: the image cannot be read, or there is no such slice or modality.
        """
        return self._session(*open_source(image, slice, plane, modality), None)

    def resume(
        self,
        path: str | Path,
        *,
        image: str | Path | NDArray[np.generic] | Image | Volume | None = None,
    ) -> Session:
        """Take up a saved session.

        Args:
            path: what ``Session.save`` wrote.
            image: where the image is now, if it has moved; the image or volume itself, if it was
                never a file.

        Raises:
            SessionFileError: not a session, no image, an image with other pixels, or masks of
                another size.
            InputError: ``image`` cannot be read.
        """
        stored = SessionFile.read(Path(path))
        picture, source = reopen(
            stored, Path(path).name, image, option="model.resume(path, image=…)"
        )
        if stored.weights_sha256 != self.weights_sha256:
            logger.warning(
                "the session was held with %s and is taken up with %s", stored.model, self.name
            )
        return self._session(picture, source, stored.dialogue)

    @torch.inference_mode()
    def encode(self, image: Image) -> Encoded:
        """Encode an image once; the last ``KEPT_IMAGES`` are remembered by their content."""
        with self.lock:
            key = f"{image.content_hash} {image.modality} {image.unit}"
            if key not in self._encoded:
                view, device = look(image, self.network.config), self.network.device
                pixels = [torch.from_numpy(each).to(device) for each in view.pixels]
                self._encoded[key] = Encoded(self.network.see(*pixels), view)
                if len(self._encoded) > KEPT_IMAGES:
                    self._encoded.popitem(last=False)
            self._encoded.move_to_end(key)
            return self._encoded[key]

    @property
    def takes_boxes(self) -> bool:
        """Whether :meth:`find` can be asked at all."""
        return takes_boxes(self.network.config)

    def find(self, encoded: Encoded, box: Box) -> BoolMask:
        """The structure that ``box`` encloses, (H, W) in the image's pixels, inside the box.

        The image is not encoded again. What finds structures in boxes is loaded the first time.

        Args:
            encoded: the image, of this model.
            box: in pixels of the image, inside it.

        Raises:
            InputError: nothing of the box is shown to the model, nothing was found in it, or the
                model cannot find structures in boxes.
            WeightsError: the published weights cannot be fetched, or are damaged.
        """
        with self._loading:
            if self._boxes is None:
                second = self.network.second
                self._boxes = BoxPrompt.beside(self.network) if second is None else second.prompt
        with self.lock:
            mask = structure_in(box, encoded, self._boxes)
        if not mask.any():
            raise InputError(
                "nothing was found in the box",
                expected="a box close round one structure",
                remedy="draw it again, or take it as a rectangle",
            )
        return mask

    def _session(self, image: Image, source: Source, dialogue: Dialogue | None) -> Session:
        from mediround.session.engine import Session  # a session knows its model

        return Session(self, image, source, dialogue)


@torch.inference_mode()
def structure_in(box: Box, encoded: Encoded, prompt: BoxPrompt) -> BoolMask:
    """What ``prompt`` finds in ``box``, (H, W) in the image's pixels; may be empty.

    Raises:
        InputError: nothing of the box is shown to the model.
    """
    view, trunk = encoded.view, encoded.features.trunk
    assert isinstance(view, CanvasView)  # that of every model that takes boxes
    corners = torch.from_numpy(view.corners(box)).to(trunk.device)
    found: BoolMask = view.masks(prompt(trunk, corners[None]).logits)[0]
    return found & box_to_mask(box, view.size)


def load(
    name: str = "nano",
    *,
    device: str = "auto",
    dtype: str | None = None,
    low_bit: str | None = None,
) -> Model:
    """Load a preset ("nano", "tiny") or a model folder; see ``mediround.model.loading``."""
    loaded = load_model(name, device=device, dtype=dtype, low_bit=low_bit)
    return Model(loaded.model, loaded.name, loaded.sha256)
