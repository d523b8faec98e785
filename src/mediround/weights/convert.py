"""Turns a downloaded file into what the program loads; runs in a child process of its own.

    python -m mediround.weights.convert KIND SOURCE DESTINATION

``SOURCE`` is the folder with the files as they came from the index, ``DESTINATION`` an empty
folder. A child process, because the sources are the only files of foreign make that are parsed
with anything but safetensors: a pickle and a GGUF never enter the process that serves images,
and their memory is returned to the system at once.

Kinds:
    ``lite-medsam``  ``lite_medsam.pth`` -> ``model.safetensors``, same keys, float32.
    ``smollm2``      one ``*.gguf`` -> ``model.safetensors`` (bfloat16), ``config.json``,
                     ``generation_config.json`` and the tokenizer.

This module is the one place outside ``model`` and ``training`` that may import transformers:
reading GGUF is a conversion of weights, and ``model`` lies above this layer.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

_LOG = logging.getLogger(__name__)

#: Token ids of the ChatML markers; each must be one token, or the prompt format falls apart.
_CHAT_MARKERS = ("<|im_start|>", "<|im_end|>")


class ConversionError(Exception):
    """The source is not what the conversion expects; the message is shown to the user."""


def convert_lite_medsam(source: Path, destination: Path) -> None:
    """Rewrite LiteMedSAM's PyTorch checkpoint as safetensors.

    Args:
        source: folder with exactly one ``.pth`` file: a flat mapping of names to tensors.
        destination: an empty folder; receives ``model.safetensors``, same names and dtypes,
            except that every floating tensor becomes float32.

    Raises:
        ConversionError: the file is not a plain state dict, or holds anything but tensors.
    """
    import torch
    from safetensors.torch import save_file

    file = _only(source, "*.pth")
    try:
        # weights_only: a pickle that calls anything is refused instead of executed.
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConversionError(f"{file.name} is no plain PyTorch state dict ({reason})") from error
    if not isinstance(loaded, dict) or not loaded:
        raise ConversionError(f"{file.name} holds a {type(loaded).__name__}, not a state dict")
    tensors: dict[str, torch.Tensor] = {}
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise ConversionError(f"{file.name} holds a {type(value).__name__} under {name!r}")
        tensor = value.float() if value.is_floating_point() else value
        # safetensors refuses tensors that share storage; a copy of each is what it would store.
        tensors[name] = tensor.clone().contiguous()
    save_file(tensors, destination / "model.safetensors", metadata={"format": "pt"})


def convert_smollm2(source: Path, destination: Path) -> None:
    """Rewrite SmolLM2's GGUF as a transformers folder in bfloat16.

    Args:
        source: folder with exactly one ``.gguf`` file of a Llama-type model with a tokenizer.
        destination: an empty folder that ``AutoModelForCausalLM`` and ``AutoTokenizer`` can
            load afterwards without network.

    Raises:
        ConversionError: the tokenizer does not keep the ChatML markers as single tokens, or
            does not give a text back unchanged.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    file = _only(source, "*.gguf")
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=file.name)
    _isolate_digits(tokenizer)
    _check_tokenizer(tokenizer)
    read: Any = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=file.name, dtype=torch.float32, low_cpu_mem_usage=True
    )
    config = read.config
    # A model read from GGUF counts as quantised and refuses to be saved: a fresh one does not.
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    embedding = read.get_input_embeddings().weight
    head = read.get_output_embeddings().weight
    config.tie_word_embeddings = bool(torch.equal(embedding, head))
    config.dtype = torch.bfloat16
    fresh: Any = LlamaForCausalLM(config)
    fresh.load_state_dict(read.state_dict(), strict=True)
    fresh.to(torch.bfloat16).save_pretrained(destination)
    tokenizer.model_max_length = config.max_position_embeddings
    tokenizer.save_pretrained(destination)


def _isolate_digits(tokenizer: PreTrainedTokenizerBase) -> None:
    """Restore the pre-tokenizer that GGUF only names (``tokenizer.ggml.pre = smollm``).

    transformers reads vocabulary and merges from a GGUF but assumes plain byte-level splitting;
    SmolLM2 was trained with each digit split off first, which decides whether white space
    before a number joins it.
    """
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )


def _check_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise unless ChatML markers are single tokens and a text survives the round trip."""
    for marker in _CHAT_MARKERS:
        ids = tokenizer.encode(marker, add_special_tokens=False)
        if len(ids) != 1:
            raise ConversionError(f"the tokenizer splits {marker} into {len(ids)} tokens")
    text = "<|im_start|>user\nSegment the liver, 3.5 mm.  Grüße!<|im_end|>\n"
    ids = tokenizer.encode(text, add_special_tokens=False)
    back = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    if back != text:
        raise ConversionError(f"the tokenizer turns {text!r} into {back!r}")


def _only(folder: Path, pattern: str) -> Path:
    files = sorted(folder.glob(pattern))
    if len(files) != 1:
        raise ConversionError(f"found {len(files)} files {pattern} to convert, expected one")
    return files[0]


KINDS = {"lite-medsam": convert_lite_medsam, "smollm2": convert_smollm2}


def main(arguments: list[str] | None = None) -> int:
    """Run one conversion; the error, if any, is one JSON line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m mediround.weights.convert")
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("source", type=Path)
    parser.add_argument("destination", type=Path)
    options = parser.parse_args(arguments)
    # The files are all here: nothing may ask the hub for what a folder lacks.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    try:
        KINDS[options.kind](options.source, options.destination)
    except ConversionError as error:
        sys.stderr.write(json.dumps({"conversion_error": str(error)}) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
