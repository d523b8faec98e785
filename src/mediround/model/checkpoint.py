"""Tensors by name, safetensors only; every key is accounted for."""

from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mediround.errors import OutputError, WeightsError
from mediround.model.mask_decoder import MaskDecoder
from mediround.model.position import PositionCode
from mediround.model.vision_encoder import TinyVit


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file.

    Raises:
        WeightsError: missing or damaged.
    """
    try:
        return load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(
            f"{path.name} cannot be read ({type(error).__name__})",
            expected="a complete safetensors file",
            remedy="fetch the weights again with `mediround weights pull --force`",
        ) from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write contiguous copies of ``tensors`` atomically.

    Raises:
        OutputError: the folder is missing or read-only, or the disk is full.
    """
    temporary = path.with_name(path.name + ".partial")
    packed = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(packed, temporary, dict(metadata))
        temporary.replace(path)
    except (OSError, safetensors.SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(
            f"{path.name} cannot be written ({error})", remedy="choose a folder with free space"
        ) from error


def load_exactly(module: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Load ``tensors`` into ``module``; missing, unexpected or misshapen keys are errors.

    Raises:
        WeightsError: the keys or shapes do not fit.
    """
    own = module.state_dict()
    missing, unexpected = sorted(set(own) - set(tensors)), sorted(set(tensors) - set(own))
    shaped = sorted(k for k in set(own) & set(tensors) if own[k].shape != tensors[k].shape)
    if missing or unexpected or shaped:
        raise WeightsError(
            f"weights of the {what} do not fit: {len(missing)} missing {missing[:3]}, "
            f"{len(unexpected)} unexpected {unexpected[:3]}, "
            f"{len(shaped)} of another shape {shaped[:3]}",
            expected="the tensors of this configuration",
        )
    module.load_state_dict(dict(tensors))


def stored_name(name: str) -> str:
    """A parameter's name in the folder of a whole model: without the marks of an adapter.

    ``q_proj.base_layer.weight`` is stored as ``q_proj.weight``, ``q_proj.lora_A.default.weight`` as
    ``q_proj.lora_A.weight``.
    """
    plain = name.replace(".base_layer.", ".")
    return plain.replace(".lora_A.default.", ".lora_A.").replace(".lora_B.default.", ".lora_B.")


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose name starts with ``prefix.``, without it."""
    return {k[len(prefix) + 1 :]: v for k, v in tensors.items() if k.startswith(prefix + ".")}


def load_lite_medsam(
    path: Path, encoder: TinyVit, decoder: MaskDecoder, position: PositionCode
) -> tuple[Tensor, Tensor]:
    """Fill the parts from LiteMedSAM's tensors (original key names).

    The hypernetworks of the unused multi-mask outputs and the dense mask prompt are left out.

    Returns:
        ``no_mask`` (D,), the dense embedding without mask, and ``corners`` (2, D), the type
        embeddings of a box's two corners.
    """
    tensors = read_tensors(path)
    load_exactly(encoder, under(tensors, "image_encoder"), "image encoder")
    own = under(tensors, "mask_decoder")
    first = "output_hypernetworks_mlps.0."
    renamed = {
        k.replace(first, "output_hypernetwork."): v
        for k, v in own.items()
        if "hypernetworks" not in k or k.startswith(first)
    }
    load_exactly(decoder, renamed, "mask decoder")
    prompts = under(tensors, "prompt_encoder")
    key = "positional_encoding_gaussian_matrix"
    load_exactly(position, {key: prompts[f"pe_layer.{key}"]}, "position code")
    corners = [prompts[f"point_embeddings.{index}.weight"] for index in (2, 3)]
    return prompts["no_mask_embed.weight"][0], torch.cat(corners)
