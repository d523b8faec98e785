"""Keys and values of a prompt, kept across rounds."""

from collections.abc import Hashable, Sequence
from typing import Any

from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


class KeyValueCache:
    """What the language model has read, position by position, and what each depended on.

    ``reuse`` keeps the longest prefix that a new prompt shares with the old one, so an undo, a
    replaced mask or a reworded question costs only what comes after the first difference.
    """

    def __init__(self) -> None:
        self.tensors = DynamicCache()
        self._marks: list[Hashable] = []

    def __len__(self) -> int:
        return len(self._marks)

    @property
    def nbytes(self) -> int:
        """Memory of the tensors."""
        kept = (tensor for layer in self._layers for tensor in (layer.keys, layer.values))
        return sum(tensor.nbytes for tensor in kept if tensor is not None)

    def reuse(self, marks: Sequence[Hashable]) -> int:
        """Forget what differs from ``marks``; the number of positions still good.

        At least one position of ``marks`` is left to be read, since its state is wanted.
        """
        good = 0
        for own, new in zip(self._marks, marks[:-1], strict=False):
            if own != new:
                break
            good += 1
        self.truncate(good)
        return good

    def truncate(self, length: int) -> None:
        """Keep the first ``length`` positions, of those that were read and never marked too.

        Reading may have been interrupted, even between two layers, so each layer is cut by itself.
        """
        del self._marks[length:]
        for layer in self._layers:
            layer.crop(min(0, len(self._marks) - layer.get_seq_length()))

    def take_back(self, count: int) -> None:
        """Forget the last ``count`` positions, which were read and not marked yet."""
        for layer in self._layers:
            layer.crop(-count)

    def append(self, marks: Sequence[Hashable]) -> None:
        """Say what the positions just added to ``tensors`` depended on."""
        self._marks += marks
        assert self.tensors.get_seq_length() == len(self._marks)

    @property
    def _layers(self) -> list[DynamicLayer]:
        layers = [layer for layer in self.tensors.layers if isinstance(layer, DynamicLayer)]
        assert len(layers) == len(self.tensors.layers)  # no other kind is made here
        return layers


class SideBySide:
    """Several caches as one, for a batch with one row behind each of them.

    In place of the cache of transformers in a model's ``forward``. Keys and values come back row by
    row, since rows may be of any lengths; attention that is ``GROUPED`` takes them so.
    """

    def __init__(self, caches: Sequence[KeyValueCache]) -> None:
        self._tensors = [each.tensors for each in caches]

    @property
    def lengths(self) -> list[int]:
        """Positions that each holds."""
        return [each.get_seq_length() for each in self._tensors]

    def update(
        self, keys: Tensor, values: Tensor, layer: int, *_: Any
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Add a row each, (B, groups, N, d) twice; all keys and all values, a tensor each row."""
        rows = zip(self._tensors, keys.split(1), values.split(1), strict=True)
        found = [tensors.update(key, value, layer) for tensors, key, value in rows]
        return tuple(key for key, _ in found), tuple(value for _, value in found)
