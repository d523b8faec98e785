"""Features of frozen parts, computed once and kept on disk: one small file a view of an image.

A cache belongs to one set of frozen weights: its folder is named by their digest, so that other
weights never read it. Files appear whole or not at all; several processes may share a cache.
"""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from mediround.errors import OutputError
from mediround.imaging.output import ensure_folder
from mediround.model.checkpoint import read_tensors
from mediround.training.staged.example import Features


class FeatureCache:
    """Features by name.

    Args:
        folder: None keeps nothing: everything is computed whenever it is asked for.
        digest: of all that the features depend on besides their names.
        dtype: in which they are kept; what is computed but not kept has it too, so that results do
            not depend on whether something had been kept before.

    Attributes:
        hits, misses: how often a feature was there, and was not.
    """

    def __init__(self, folder: Path | None, digest: str, dtype: torch.dtype) -> None:
        self.folder = None if folder is None else folder / f"{digest}-{str(dtype)[6:]}"
        self.dtype = dtype
        self.hits = self.misses = 0

    @torch.no_grad()
    def get(self, name: str, compute: Callable[[], Features]) -> Features:
        """What is kept under ``name``, on the CPU; else what ``compute`` gives.

        Raises:
            WeightsError: a file of the cache is damaged.
            OutputError: the folder cannot be written.
        """
        path = None if self.folder is None else self.folder / name[:2] / f"{name}.safetensors"
        if path is not None and path.exists():
            self.hits += 1
            # A file's tensors begin anywhere in memory, and products of matrices round as that
            # falls out: a resumed run shall get every bit of the run that was killed.
            return {key: each.clone() for key, each in read_tensors(path).items()}
        self.misses += 1
        computed = {key: each.detach().to("cpu", self.dtype) for key, each in compute().items()}
        # Laid out as a file gives them back, for the same reason.
        found = {key: each.contiguous() for key, each in computed.items()}
        if path is not None:
            _keep(path, found)
        return found


def _keep(path: Path, tensors: dict[str, Tensor]) -> None:
    ensure_folder(path.parent)
    # Two processes may compute the same feature at once: until it is whole, each has its own file.
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        save_file(tensors, partial)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(
            f"features cannot be kept in {str(path.parent)!r} ({error.strerror})",
            remedy="free some space, or set data.cache = false",
        ) from error
