"""Presets and model folders -> a model ready to use.

The pretrained parts that a configuration names come from :mod:`mediround.weights`; what training
changed lies in a model folder (:mod:`mediround.model.folder`).
"""

import dataclasses
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from mediround.config import ModelConfig
from mediround.errors import InputError, ModelNotFoundError, WeightsError
from mediround.model.box_prompt import BoxPrompt
from mediround.model.checkpoint import read_tensors, stored_name
from mediround.model.folder import (
    CONFIG_FILE,
    TENSOR_FILE,
    apply_trained,
    find_folder,
    put,
    read_config,
    trained_names,
)
from mediround.model.grouped_attention import GROUPED
from mediround.model.low_bit import lower_linears
from mediround.model.mediround import MediRound
from mediround.model.packed_linear import can_pack, pack_linears
from mediround.model.parts import build_language, build_segmenter
from mediround.model.pretrained import pretrained_segmenter
from mediround.model.processor import computes_in
from mediround.model.roles import LanguageRole, SegmenterRole
from mediround.model.second_opinion import SecondOpinion
from mediround.model.vision_encoder import fold_batch_norms
from mediround.presets import PRESETS

logger = logging.getLogger(__name__)


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
            configuration says, or float32 on a processor that is slow in that.
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
    folder = find_folder(name)
    if folder is None:
        model = compose(_typed(PRESETS[name](), dtype))
        digest = _digest_state(model)
    else:
        model = _stored(folder, dtype)
        digest = _digest_file(folder / TENSOR_FILE)
    computed = model.config.dtype if dtype is not None else _quick(model.config.dtype, place)
    return Loaded(_prepared(model, computed, place, low_bit), model.config.name, digest)


def load_unmerged(name: str) -> MediRound:
    """A preset or a model folder as training left it: adapter apart, nothing folded or packed.

    Raises:
        ModelNotFoundError, ConfigError, WeightsError: see :func:`load_model`.
    """
    folder = find_folder(name)
    return compose(PRESETS[name]()) if folder is None else _stored(folder, None)


def compose(config: ModelConfig, folder: Path | None = None) -> MediRound:
    """Build all parts, pretrained where the configuration names a source, else random by its seed.

    Float32 outside the language model. The caller's random state is left as it is. A whole model
    finds its tokenizer in ``folder``.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        segmenter: SegmenterRole
        if config.vision_source is None:
            segmenter = build_segmenter(config)
        else:
            segmenter, _ = pretrained_segmenter(config)
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
    folder = find_folder(name)
    if folder is None:
        raise ModelNotFoundError(f"{name!r} has no trained weights", expected="a model that has")
    tensors = read_tensors(folder / TENSOR_FILE)
    own = dict(model.named_parameters())
    with torch.no_grad():
        for key in set(tensors) & set(own):
            put(own[key], tensors[key], key)
    return sorted(set(trained_names(model)) - set(tensors))


def _stored(folder: Path, dtype: str | None) -> MediRound:
    config = _typed(ModelConfig.from_json(read_config(folder / CONFIG_FILE)), dtype)
    if config.whole:
        return _load_whole(config, folder)
    model = compose(config)
    apply_trained(model, folder / TENSOR_FILE)
    return model


def _typed(config: ModelConfig, dtype: str | None) -> ModelConfig:
    return config if dtype is None else dataclasses.replace(config, dtype=dtype)


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


def _quick(dtype: str, device: torch.device) -> str:
    """``dtype``, or float32 where that is quicker by far."""
    if computes_in(dtype, device):
        return dtype
    logger.info("%s is slow on this processor: computing in float32", dtype)
    return "float32"


def _prepared(
    model: MediRound, computed: str, device: torch.device, low_bit: str | None = None
) -> MediRound:
    config, dtype = model.config, getattr(torch, computed)
    model.eval().requires_grad_(False)
    model.language.merge_adapter(config.questions.layer if config.questions is not None else 0)
    fold_batch_norms(model.segmenter)
    model.segmenter.lower(dtype)
    model.perception.lower(dtype)
    model.language.to(dtype)
    if low_bit is not None:
        lower_linears(model.language.inner.model, low_bit, device)
    arrange(model.language, device)
    model.segmenter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs
    model.to(device)
    if config.correction.second_opinion:
        prompt = BoxPrompt.beside(model)
        model.second = SecondOpinion(prompt, config.correction.share)
    return model


def arrange(language: LanguageRole, device: torch.device) -> None:
    """Lay a language model out for answering; it cannot be saved or trained afterwards."""
    if device.type != "cpu":
        return
    language.inner.set_attn_implementation(GROUPED)
    if can_pack(language.inner):
        pack_linears(language.inner.model)  # the table of words stays as it is


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
