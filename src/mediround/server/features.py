"""A model with a bounded memory of encoded images; what it drops, it finds again on disk."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import threading
from collections import OrderedDict
from contextlib import nullcontext
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from mediround.imaging import Image
from mediround.imaging.output import replacing
from mediround.model.mediround import ImageFeatures
from mediround.model.view import View, look
from mediround.session.model import Encoded, Model

logger = logging.getLogger(__name__)

_PARTS = tuple(field.name for field in dataclasses.fields(ImageFeatures))


class FeatureDisk:
    """Encoded images in a folder, the longest unused removed beyond ``most`` bytes.

    Args:
        folder: created where needed; may be emptied at any time.
        most: bytes of all files.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._most = folder, most
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str, device: torch.device) -> ImageFeatures | None:
        """What was put under ``key``, if it is still there and whole."""
        path = self._folder / f"{key}.safetensors"
        if not path.is_file():
            return None
        try:
            found = load_file(path, device=str(device))
            path.touch()
            return ImageFeatures(**found)
        except (SafetensorError, TypeError, OSError) as error:
            # A cache: what is damaged is computed again.
            logger.warning("stored features are unusable (%s)", type(error).__name__)
            path.unlink(missing_ok=True)
            return None

    def put(self, key: str, features: ImageFeatures) -> None:
        """Keep ``features``; makes room."""
        tensors = _tensors(features)
        with replacing(self._folder / f"{key}.safetensors") as file:
            file.write(save(tensors))
        self._make_room()

    def _make_room(self) -> None:
        files = [(f.stat(), f) for f in self._folder.glob("*.safetensors")]
        total = sum(stat.st_size for stat, _ in files)
        for stat, file in sorted(files, key=lambda item: item[0].st_mtime):
            if total <= self._most:
                break
            file.unlink(missing_ok=True)
            total -= stat.st_size


class RememberingModel(Model):
    """As its base, but images are remembered up to ``most`` bytes, and beyond that on ``disk``.

    Several threads may compute at the same time: a network that only answers changes nothing of
    itself, and its adapter is switched off for one thread alone.
    """

    def __init__(self, model: Model, disk: FeatureDisk, most: int) -> None:
        super().__init__(model.network, model.name, model.weights_sha256)
        self.lock = nullcontext()
        self._disk, self._most = disk, most
        self._memory = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}
        self._kept: OrderedDict[str, Encoded] = OrderedDict()
        self.encoded_images = self.found_on_disk = 0

    @property
    def kept_bytes(self) -> int:
        """Memory of the encoded images."""
        return sum(_nbytes(each.features) for each in list(self._kept.values()))

    @torch.inference_mode()
    def encode(self, image: Image) -> Encoded:
        """Encode an image once, whatever happens to memory in between."""
        key = self._key(image)
        with self._memory:
            turn = self._turns.setdefault(key, threading.Lock())
        with turn:  # whoever comes second with the same image finds it encoded
            found = self._remembered(key)
            if found is None:
                view = look(image, self.network.config)
                found = Encoded(self._features(key, view), view)
            self._remember(key, found)
        return found

    def forget(self) -> None:
        """Drop what is in memory."""
        with self._memory:
            self._kept.clear()

    def _remembered(self, key: str) -> Encoded | None:
        with self._memory:
            return self._kept.get(key)

    def _remember(self, key: str, encoded: Encoded) -> None:
        with self._memory:
            self._turns.pop(key, None)
            self._kept[key] = encoded
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and self.kept_bytes > self._most:
                self._kept.popitem(last=False)

    def _features(self, key: str, view: View) -> ImageFeatures:
        device = self.network.device
        found = self._disk.get(key, device)
        if found is not None:
            self.found_on_disk += 1
            return found
        pixels = [torch.from_numpy(each).to(device) for each in view.pixels]
        # In the layout of the file, so that it does not matter which one is used.
        features = _plain(self.network.see(*pixels))
        self._disk.put(key, features)
        self.encoded_images += 1
        return features

    def _key(self, image: Image) -> str:
        config = hashlib.sha256(self.network.config.to_json().encode()).hexdigest()
        parts = (image.content_hash, image.modality, image.unit, self.weights_sha256, config)
        kind = f"{self.network.dtype} {self.network.device.type}"
        return hashlib.sha256(f"{parts} {kind}".encode()).hexdigest()


def _plain(features: ImageFeatures) -> ImageFeatures:
    return ImageFeatures(**{k: tensor.contiguous() for k, tensor in _tensors(features).items()})


def _nbytes(features: ImageFeatures) -> int:
    return sum(tensor.nbytes for tensor in _tensors(features).values())


def _tensors(features: ImageFeatures) -> dict[str, torch.Tensor]:
    """What there is of an image, by the names of its parts."""
    parts = {name: getattr(features, name) for name in _PARTS}
    return {name: tensor for name, tensor in parts.items() if tensor is not None}
