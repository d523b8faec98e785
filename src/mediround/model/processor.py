"""What a processor can multiply quickly."""

import torch

_INSTRUCTIONS = {
    "bfloat16": ("avx512_bf16", "amx_bf16"),
    "float16": ("avx512_fp16", "amx_fp16"),
}


def computes_in(dtype: str, device: torch.device) -> bool:
    """Whether ``device`` has instructions for products of ``dtype``.

    Most processors of laptops have none for 16 bits, and torch then takes many times as long as in
    float32: 5 times held to AVX2, more by https://github.com/pytorch/pytorch/issues/146508.

    Args:
        dtype: "float32", "bfloat16" or "float16".
        device: any; every CUDA device is taken to compute in 16 bits.
    """
    if device.type != "cpu" or dtype not in _INSTRUCTIONS:
        return True
    able = torch.cpu.get_capabilities()
    return any(able.get(name, False) for name in _INSTRUCTIONS[dtype])
