"""A model folder: what is written into one, where one is, and how its tensors are taken up.

It holds ``config.json`` (:class:`ModelConfig`) and ``model.safetensors``: the tensors that training
changed, by their name in the composition. The folder of a *whole* model holds every tensor, as it
was trained, and the tokenizer.
"""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

from mediround.errors import ModelNotFoundError, WeightsError
from mediround.imaging.output import ensure_folder, replacing
from mediround.model.checkpoint import read_tensors, stored_name, write_tensors
from mediround.model.low_bit import is_low_bit
from mediround.model.mediround import MediRound
from mediround.model.segmenter import Segmenter
from mediround.presets import PRESETS

CONFIG_FILE, TENSOR_FILE = "config.json", "model.safetensors"


def save_model(model: MediRound, folder: Path, metadata: Mapping[str, str]) -> None:
    """Write ``folder``, which :func:`load_model` then takes: configuration and trained tensors.

    Args:
        model: as :func:`compose` builds it, its adapter not merged. Tensors are rounded to fp16;
            those of a whole model stay as they are.
        folder: made when it does not exist.
        metadata: what else to say in the header of the tensor file.

    Raises:
        WeightsError: the adapter has been merged, the model was loaded with ``low_bit``, or a
            value does not fit into fp16.
        OutputError: the folder cannot be written.
    """
    if is_low_bit(model):
        raise WeightsError(
            "the language model's weights have been rounded to few bits",
            expected="a model that was loaded without low_bit",
        )
    if model.config.whole:
        tensors = {stored_name(name): tensor.cpu() for name, tensor in model.state_dict().items()}
        _write(model, folder, tensors, metadata)
        return
    own = dict(model.named_parameters())
    if not any("lora_" in name for name in own):
        raise WeightsError("the model's adapter has been merged", expected="a model before merging")
    tensors = {name: own[name].detach().to("cpu", torch.float16) for name in trained_names(model)}
    broken = sorted(name for name, tensor in tensors.items() if not tensor.isfinite().all())
    if broken:
        raise WeightsError(f"{broken[0]} holds values beyond fp16", expected="at most 65504")
    _write(model, folder, tensors, metadata)


def _write(
    model: MediRound, folder: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    ensure_folder(folder)
    model.language.save_tokenizer(folder)
    write_tensors(folder / TENSOR_FILE, tensors, metadata)
    with replacing(folder / CONFIG_FILE) as file:
        file.write(model.config.to_json().encode())


def trained_names(model: MediRound) -> list[str]:
    """Names of the parameters that training may change; the rest is pretrained or random."""
    assert isinstance(model.segmenter, Segmenter)
    last = len(model.segmenter.vision.layers) - 1
    groups = (
        "perception.",
        "projection.",
        "codebook.",
        "judge.",
        "corrector.",
        "questions.",
        "deduction.",
        "language.seg_",
        "scene.",
        "parcellation.",
        "segmenter.no_mask",
        "segmenter.decoder.",
        "segmenter.vision.neck.",
        f"segmenter.vision.layers.{last}.",
    )
    return [n for n, _ in model.named_parameters() if n.startswith(groups) or "lora_" in n]


def read_config(path: Path) -> str:
    """The text of a configuration.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(
            f"{path.name} cannot be read ({type(error).__name__})",
            expected="the configuration that was saved with the tensors",
        ) from error


def apply_trained(model: MediRound, path: Path) -> None:
    """Give a model, its adapter not merged, all that training changed.

    Raises:
        WeightsError: tensors missing, left over, or of another shape.
    """
    tensors = read_tensors(path)
    own = dict(model.named_parameters())
    trained = set(trained_names(model))
    unexpected = sorted(set(tensors) - trained)
    missing = sorted(trained - set(tensors))
    if unexpected or missing:
        raise WeightsError(
            f"{path.name} does not fit its configuration: missing {missing[:3]}, "
            f"unexpected {unexpected[:3]}",
            expected="the tensors that training wrote",
        )
    with torch.no_grad():
        for name, tensor in tensors.items():
            put(own[name], tensor, name)


def put(into: Tensor, tensor: Tensor, name: str) -> None:
    """Copy; the shapes must agree."""
    if into.shape != tensor.shape:
        raise WeightsError(
            f"{name} has shape {tuple(tensor.shape)}", expected=f"{tuple(into.shape)}"
        )
    into.copy_(tensor)


def find_folder(name: str) -> Path | None:
    """Where the tensors of ``name`` are; None for a preset with random weights."""
    if name in PRESETS:
        preset = PRESETS[name]()
        assets = Path(str(resources.files("mediround"))) / "assets" / name
        if _is_model(assets):
            return assets
        if preset.whole:
            raise WeightsError(
                f"{name!r} comes without weights",
                expected="a folder with imported weights",
                remedy="convert a checkpoint with `mediround weights import`, then name its folder",
            )
        if preset.vision_source is None:
            return None
        raise WeightsError(
            f"this installation has no trained weights of {name!r}",
            expected=f"{CONFIG_FILE} and {TENSOR_FILE} among the package's assets",
            remedy="install the package again",
        )
    folder = Path(name)
    if _is_model(folder):
        return folder
    raise ModelNotFoundError(
        f"no model {name!r}",
        expected=f"one of {', '.join(sorted(PRESETS))}, "
        f"or a folder with {CONFIG_FILE} and {TENSOR_FILE}",
    )


def _is_model(folder: Path) -> bool:
    return (folder / CONFIG_FILE).is_file() and (folder / TENSOR_FILE).is_file()
