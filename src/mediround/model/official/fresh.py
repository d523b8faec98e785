"""The heads that a language model and SAM lack to be a MediRound: new ones, to be trained.

They begin as the official training begins them: linear layers as torch makes them. The rows of
``[SEG]``, ``[BBOXINPUT]`` and ``[CROPPEDIMAGE]``, which the tables of words lack, are drawn
around the mean of the others with their spread, so that none stands out.
"""

import math
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mediround.errors import WeightsError
from mediround.model.official.tokenizer import OfficialTokenizer
from mediround.weights.examination import Examination
from mediround.weights.expected import head_shapes
from mediround.weights.importing import completed
from mediround.weights.tensors import TensorFile, write_files
from mediround.weights.tokenizer_files import tokenizer_files

_TABLES = ("model.embed_tokens.weight", "lm_head.weight")
_NECK = "model.visual_model.image_encoder.neck.0.weight"


def with_fresh_heads(examination: Examination, folder: Path, *, seed: int = 0) -> Examination:
    """What was examined, made whole by heads that nobody has trained.

    Args:
        examination: LLaVA-Med or LLaVA, CLIP and MedSAM or SAM, complete, and nothing more.
        folder: existing; gets a file with the new tensors, needed until the model is written.
        seed: of the new values; equal seeds give equal heads.

    Raises:
        WeightsError: there are heads already, or a base model is missing or not complete.
        CheckpointFileError: no tokenizer lies beside the language model.
    """
    examination.require_complete()
    if not examination.is_base:
        raise WeightsError(
            f"fresh heads for {', '.join(examination.parts)}",
            expected="the base models alone: language, projector, tower and sam",
            remedy="give LLaVA-Med, CLIP and MedSAM as sources, and no checkpoint of MediRound",
        )
    tables = _tables(examination, folder)
    generator = torch.Generator().manual_seed(seed)
    tokens = OfficialTokenizer.read(tokenizer_files(examination.folders)[0].parent).size
    words = tables[_TABLES[0]]
    drawing = next(move for move in examination.moves if move.target == _NECK)
    heads = _heads(words.shape[1], drawing.shape[0], words.dtype, generator)
    grown = {name: _grown(table, tokens, generator) for name, table in tables.items()}
    file = folder / "fresh.safetensors"
    save_file(heads | grown, file)
    return completed(examination, file, fresh=tuple(heads), seed=seed)


def _tables(examination: Examination, folder: Path) -> dict[str, Tensor]:
    """The tables of words, copied out of foreign files by the process that may open them."""
    moves = tuple(move for move in examination.moves if move.target in _TABLES)
    file = folder / "tables.safetensors"
    write_files([TensorFile(file, "safetensors", moves)])
    tables = load_file(file)
    file.unlink()
    return tables


def _grown(table: Tensor, tokens: int, generator: torch.Generator) -> Tensor:
    """A table (V, W) with rows for ``tokens`` ids; as it is where it has them."""
    lacking = tokens - len(table)
    if lacking <= 0:
        return table
    known = table.float()
    noise = torch.randn((lacking, table.shape[1]), generator=generator)
    rows = known.mean(0) + known.std(0) * noise
    return torch.cat([table, rows.to(table.dtype)])


def _heads(
    width: int, prompt: int, dtype: torch.dtype, generator: torch.Generator
) -> dict[str, Tensor]:
    shapes = head_shapes(width, prompt)
    heads = {}
    for name, shape in shapes.items():
        inputs = shapes[f"{name.rpartition('.')[0]}.weight"][1]
        bound = 1 / math.sqrt(inputs)
        heads[name] = torch.empty(shape).uniform_(-bound, bound, generator=generator).to(dtype)
    return heads
