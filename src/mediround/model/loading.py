"""Presets and model folders -> a model ready to use.

A model folder holds ``config.json`` (:class:`ModelConfig`) and ``model.safetensors``: the tensors
that training changed, by their name in the composition. The pretrained rest is named in the
configuration and comes from :mod:`mediround.weights`. The folder of a *whole* model holds every
tensor, as it was trained, and the tokenizer.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

from mediround import weights
from mediround.config import PRESETS, ModelConfig
from mediround.errors import InputError, ModelNotFoundError, WeightsError
from mediround.imaging.output import ensure_folder, replacing
from mediround.model.checkpoint import (
    load_lite_medsam,
    read_tensors,
    stored_name,
    write_tensors,
)
from mediround.model.low_bit import is_low_bit, lower_linears
from mediround.model.mediround import MediRound
from mediround.model.packed_linear import can_pack, pack_linears
from mediround.model.parts import build_language, build_segmenter
from mediround.model.segmenter import Segmenter
from mediround.model.vision_encoder import fold_batch_norms

CONFIG_FILE, TENSOR_FILE = "config.json", "model.safetensors"


@dataclass(frozen=True)
class Loaded:
    """A model, what it is called, and the SHA-256 of the tensors that make it what it is."""

    model: MediRound
    name: str
    sha256: str


def load_model(
    name: str, *, device: str = "auto", dtype: str | None = None, low_bit: str | None = None
) -> Loaded:
    """Load a preset or a model folder for inference.

    Args:
        name: "nano", "tiny" (random), or a folder with ``config.json`` and ``model.safetensors``.
        device: "auto" (CUDA if there is one), "cpu", "cuda", "cuda:1"…
        dtype: "float32", "bfloat16" or "float16" to compute in; by default what the
            configuration says.
        low_bit: "int8" or "int4" to hold the language model's layers in so many bits.

    Raises:
        ModelNotFoundError: neither a preset nor such a folder.
        ConfigError: the folder's configuration cannot be used, or there is no such ``dtype`` or
            ``low_bit``.
        WeightsError: tensors missing, damaged or of another configuration.
        InputError: the device does not exist.
        DependencyError: ``low_bit`` on CUDA without bitsandbytes.
    """
    place = _device(device)
    folder = _folder(name)
    if folder is None:
        config = _typed(PRESETS[name](), dtype)
        model = compose(config)
        digest = _digest_state(model)
    else:
        model = _stored(folder, dtype)
        config = model.config
        digest = _digest_file(folder / TENSOR_FILE)
    return Loaded(_prepared(model, config, place, low_bit), config.name, digest)


def load_unmerged(name: str) -> MediRound:
    """A preset or a model folder as training left it: adapter apart, nothing folded or packed.

    Raises:
        ModelNotFoundError, ConfigError, WeightsError: see :func:`load_model`.
    """
    folder = _folder(name)
    return compose(PRESETS[name]()) if folder is None else _stored(folder, None)


def compose(config: ModelConfig, folder: Path | None = None) -> MediRound:
    """Build all parts, pretrained where the configuration names a source, else random by its seed.

    Float32 outside the language model. The caller's random state is left as it is. A whole model
    finds its tokenizer in ``folder``.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        segmenter = build_segmenter(config)
        if config.vision_source is not None:
            assert isinstance(segmenter, Segmenter)
            path = weights.path(config.vision_source) / TENSOR_FILE
            no_mask, _ = load_lite_medsam(
                path, segmenter.vision, segmenter.decoder, segmenter.position
            )
            segmenter.no_mask.data.copy_(no_mask)
        language = build_language(config, folder)
        return MediRound(config, segmenter, language)


def continue_from(name: str, model: MediRound) -> list[str]:
    """Give a model, its adapter not merged, what a trained one has under the same names.

    Args:
        name: a preset with trained weights, or a model folder.
        model: as :func:`compose` builds it; what the other lacks stays as it is.

    Returns:
        Names of the trained parameters that the other lacks.

    Raises:
        ModelNotFoundError: there are no such weights.
        WeightsError: a tensor has another shape.
    """
    folder = _folder(name)
    if folder is None:
        raise ModelNotFoundError(f"{name!r} has no trained weights", expected="a model that has")
    tensors = read_tensors(folder / TENSOR_FILE)
    own = dict(model.named_parameters())
    with torch.no_grad():
        for key in set(tensors) & set(own):
            _copy(own[key], tensors[key], key)
    return sorted(set(_trained(model)) - set(tensors))


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
    tensors = {name: own[name].detach().to("cpu", torch.float16) for name in _trained(model)}
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


def _stored(folder: Path, dtype: str | None) -> MediRound:
    config = _typed(ModelConfig.from_json(_read_config(folder / CONFIG_FILE)), dtype)
    if config.whole:
        return _load_whole(config, folder)
    model = compose(config)
    _apply(model, folder / TENSOR_FILE)
    return model


def _typed(config: ModelConfig, dtype: str | None) -> ModelConfig:
    return config if dtype is None else dataclasses.replace(config, dtype=dtype)


def _trained(model: MediRound) -> list[str]:
    """Names of the parameters that training may change; the rest is pretrained or random."""
    assert isinstance(model.segmenter, Segmenter)
    last = len(model.segmenter.vision.layers) - 1
    groups = (
        "perception.",
        "projection.",
        "codebook.",
        "judge.",
        "corrector.",
        "language.seg_",
        "segmenter.no_mask",
        "segmenter.decoder.",
        "segmenter.vision.neck.",
        f"segmenter.vision.layers.{last}.",
    )
    return [n for n, _ in model.named_parameters() if n.startswith(groups) or "lora_" in n]


def _read_config(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(
            f"{path.name} cannot be read ({type(error).__name__})",
            expected="the configuration that was saved with the tensors",
        ) from error


def _apply(model: MediRound, path: Path) -> None:
    tensors = read_tensors(path)
    own = dict(model.named_parameters())
    trained = set(_trained(model))
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
            _copy(own[name], tensor, name)


def _copy(into: Tensor, tensor: Tensor, name: str) -> None:
    if into.shape != tensor.shape:
        raise WeightsError(
            f"{name} has shape {tuple(tensor.shape)}", expected=f"{tuple(into.shape)}"
        )
    into.copy_(tensor)


def _load_whole(config: ModelConfig, folder: Path) -> MediRound:
    """Built without values, then given the file's tensors: nothing is ever there twice."""
    with torch.device("meta"):
        model = compose(config, folder)
    own = {stored_name(name): name for name in model.state_dict()}
    tensors = read_tensors(folder / TENSOR_FILE)
    missing, unexpected = sorted(set(own) - set(tensors)), sorted(set(tensors) - set(own))
    if missing or unexpected:
        raise WeightsError(
            f"{TENSOR_FILE} does not fit its configuration: {len(missing)} missing {missing[:3]}, "
            f"{len(unexpected)} unexpected {unexpected[:3]}",
            expected="every tensor of the model",
        )
    state = model.state_dict()
    for stored, tensor in tensors.items():
        if state[own[stored]].shape != tensor.shape:
            raise WeightsError(
                f"{stored} has shape {tuple(tensor.shape)}",
                expected=f"{tuple(state[own[stored]].shape)}",
            )
    model.load_state_dict({own[name]: tensor for name, tensor in tensors.items()}, assign=True)
    model.perception.refill()
    model.language.refill()
    for part in (model.perception, model.projection, model.judge, model.corrector):
        if part is not None:
            part.float()  # as in every other model; what is large is lowered again
    return model


def _prepared(
    model: MediRound, config: ModelConfig, device: torch.device, low_bit: str | None = None
) -> MediRound:
    model.eval().requires_grad_(False)
    model.language.merge_adapter()
    fold_batch_norms(model.segmenter)
    dtype = getattr(torch, config.dtype)
    model.segmenter.lower(dtype)
    model.perception.lower(dtype)
    model.language.to(dtype)
    if low_bit is not None:
        lower_linears(model.language.inner.model, low_bit, device)
    elif device.type == "cpu" and not config.whole and can_pack(model.language.inner):
        pack_linears(model.language.inner.model)  # the table of words stays as it is
    model.segmenter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs
    return model.to(device)


def _folder(name: str) -> Path | None:
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


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device {name!r} cannot be used here", expected="auto, cpu, or a CUDA device"
        ) from error
    return device


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_state(model: MediRound) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.float().numpy(force=True).tobytes())
    return digest.hexdigest()
