"""Official checkpoints -> a folder that ``mediround.load`` takes, and back.

    config.json            sizes and choices (:class:`mediround.config.ModelConfig`)
    model.safetensors      every tensor under our name, value and type as they were
    tokenizer.model, …     as they lie beside the base model
    imported.json          how the source was named and packed, for the way back

Adapters are kept as adapters: merged into bfloat16 weights they could not be taken out again, and
what is exported could not be what was imported. Loading merges them in memory.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediround.errors import CheckpointFileError, ModelNotFoundError, WeightsError
from mediround.model.official.config import Template, model_config
from mediround.model.official.keys import to_official, to_ours
from mediround.weights.examination import Examination
from mediround.weights.exporting import (
    PACKINGS,
    SHARD_BYTES,
    Exported,
    Packing,
    export_tensors,
)
from mediround.weights.importing import RECORD_FILE, examine
from mediround.weights.naming import NAMINGS, Naming
from mediround.weights.staging import new_folder
from mediround.weights.tokenizer_files import TOKENIZER_FILES, tokenizer_files

CONFIG_FILE, TENSOR_FILE = "config.json", "model.safetensors"


@dataclass(frozen=True)
class Origin:
    """How an imported model was stored; ``naming`` None for what official programs read."""

    naming: Naming | None
    packing: Packing


def write_model(
    examination: Examination,
    folder: Path,
    *,
    template: Template = "mistral_instruct",
    tick: Callable[[int], None] | None = None,
) -> None:
    """Write what was examined: a model folder if it is a whole model, else its parts.

    Parts (SAM alone, LLaVA alone) become ``model.safetensors`` under official names and
    ``imported.json``; they can be a source of a later import.

    Args:
        examination: of :func:`mediround.weights.importing.examine`.
        folder: new or empty; appears whole or not at all.
        template: how dialogues were written in the model's training.
        tick: told now and then how many bytes are there.

    Raises:
        WeightsError: needed tensors are missing, or a model's heads.
        CheckpointFileError: a whole model without a tokenizer beside it.
        OutputError: the folder is not empty, or cannot be written.
    """
    examination.require_complete()
    if examination.is_base:
        raise WeightsError(
            "base models without the heads that make a MediRound of them",
            expected="a checkpoint of MediRound as a further source",
            remedy="or add --fresh-heads for untrained ones, to begin a training with",
        )
    sizes = examination.architecture
    tokenizer = tokenizer_files(examination.folders) if sizes is not None else []
    with new_folder(folder) as staged:
        for file in tokenizer:
            shutil.copyfile(file, staged / file.name)
        if sizes is None:
            examination.write(staged / TENSOR_FILE, tick=tick)
        else:
            config = model_config(sizes, folder.name, template)
            (staged / CONFIG_FILE).write_text(config.to_json(), encoding="utf-8")
            examination.write(staged / TENSOR_FILE, rename=to_ours, tick=tick)
        record = json.dumps(_record(examination), indent=2)
        (staged / RECORD_FILE).write_text(record, encoding="utf-8")


def import_checkpoint(
    sources: Sequence[Path],
    folder: Path,
    *,
    bases: Sequence[Path] = (),
    lora_alpha: int | None = None,
    template: Template = "mistral_instruct",
) -> Examination:
    """Examine ``sources`` and write ``folder``; see :func:`examine` and :func:`write_model`."""
    examination = examine(sources, bases=bases, lora_alpha=lora_alpha)
    write_model(examination, folder, template=template)
    return examination


def export_checkpoint(
    model: Path,
    folder: Path,
    *,
    naming: Naming | None = None,
    packing: Packing | None = None,
    shard_bytes: int = SHARD_BYTES,
    tick: Callable[[int], None] | None = None,
) -> Exported:
    """Write a model folder as an official checkpoint, every value and type as it is.

    Args:
        model: a folder that :func:`write_model` or training wrote, of the paper's configuration.
        folder: new or empty; appears whole or not at all.
        naming: names of the tensors; as they came in, or what official programs read, when None.
        packing: of the files; likewise.
        shard_bytes: a file grows no larger, unless a single tensor is.
        tick: told now and then how many bytes are there.

    Raises:
        ModelNotFoundError: no model folder.
        WeightsError: not of the paper's configuration, or a naming that does not suit it.
        OutputError: the folder is not empty, or cannot be written.
    """
    file = model / TENSOR_FILE
    if not file.is_file():
        raise ModelNotFoundError(
            f"no model {str(model)!r}", expected=f"a folder with {TENSOR_FILE}"
        )
    whole = (model / CONFIG_FILE).is_file()
    origin = _read_record(model / RECORD_FILE)
    with new_folder(folder) as staged:
        exported = export_tensors(
            file,
            staged,
            rename=to_official if whole else str,
            naming=naming or origin.naming,
            packing=packing or origin.packing,
            shard_bytes=shard_bytes,
            tick=tick,
        )
        for name in TOKENIZER_FILES:
            if (model / name).is_file():
                shutil.copyfile(model / name, staged / name)
    return exported


def _record(examination: Examination) -> dict[str, Any]:
    torch = any(source.container != "safetensors" for source in examination.sources)
    return {
        "naming": examination.naming,
        "packing": "torch" if torch else "safetensors",
        **{k: v for k, v in examination.to_json().items() if k not in ("used", "missing")},
    }


def _read_record(file: Path) -> Origin:
    """How the model came in; of one that did not, what the official programs read."""
    if not file.is_file():
        return Origin(None, "torch")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        naming, packing = record["naming"], record["packing"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointFileError(f"{file.name} cannot be read ({type(error).__name__})") from error
    if naming not in NAMINGS or packing not in PACKINGS:
        raise CheckpointFileError(
            f"{file.name} says {naming!r} and {packing!r}",
            expected=f"one of {NAMINGS} and one of {PACKINGS}",
        )
    return Origin(naming, packing)
