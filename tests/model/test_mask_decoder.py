from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.sam.configuration_sam import SamMaskDecoderConfig
from transformers.models.sam.modeling_sam import SamMaskDecoder

from mediround.config import MaskDecoderConfig
from mediround.model.mask_decoder import MaskDecoder
from mediround.model.vision_encoder import ChannelNorm

SIDE, PROMPTS, TOKENS = 6, 3, 2
CONFIG = MaskDecoderConfig(width=32, heads=4, mlp=48)

THEIR_NAMES = {
    "transformer.norm_final_attn": "transformer.layer_norm_final_attn",
    "output_upscaling.0": "upscale_conv1",
    "output_upscaling.1": "upscale_layer_norm",
    "output_upscaling.3": "upscale_conv2",
    "output_hypernetwork.layers.0": "output_hypernetworks_mlps.0.proj_in",
    "output_hypernetwork.layers.1": "output_hypernetworks_mlps.0.layers.0",
    "output_hypernetwork.layers.2": "output_hypernetworks_mlps.0.proj_out",
    "iou_prediction_head.layers.0": "iou_prediction_head.proj_in",
    "iou_prediction_head.layers.1": "iou_prediction_head.layers.0",
    "iou_prediction_head.layers.2": "iou_prediction_head.proj_out",
}


def scrambled(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(7)
    for parameter in module.parameters():
        nn.init.normal_(parameter, 0.1, 0.3, generator=generator)
    return module.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def decoder() -> MaskDecoder:
    made = scrambled(MaskDecoder(CONFIG))
    assert isinstance(made, MaskDecoder)
    return made


@pytest.fixture(scope="module")
def inputs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Image (2, D, side, side), its positions, the dense embedding, prompts (2, P, T, D)."""
    generator = torch.Generator().manual_seed(8)
    shapes = (2, 32, SIDE, SIDE), (32, SIDE, SIDE), (32,), (2, PROMPTS, TOKENS, 32)
    image, place, dense, prompts = (torch.randn(shape, generator=generator) for shape in shapes)
    return image, place, dense, prompts


def their_name(name: str) -> str:
    for ours, theirs in THEIR_NAMES.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name.replace(".norm", ".layer_norm") if ".layers." in name else name


def test_it_computes_what_the_independent_decoder_of_sam_computes(
    decoder: MaskDecoder, inputs: tuple[Tensor, Tensor, Tensor, Tensor]
) -> None:
    config = SamMaskDecoderConfig(
        hidden_size=32,
        num_attention_heads=4,
        mlp_dim=48,
        num_hidden_layers=2,
        iou_head_hidden_dim=32,
        layer_norm_eps=1e-5,
    )
    config._attn_implementation = "eager"
    theirs = scrambled(SamMaskDecoder(config))
    renamed = {their_name(name): tensor for name, tensor in decoder.state_dict().items()}
    unused = {f"output_hypernetworks_mlps.{n}" for n in (1, 2, 3)}
    found = theirs.load_state_dict(renamed, strict=False)
    assert not found.unexpected_keys
    assert all(name.startswith(tuple(unused)) for name in found.missing_keys)
    image, place, dense, prompts = inputs
    masks, iou = theirs(
        image_embeddings=image,
        image_positional_embeddings=place.expand(2, -1, -1, -1),
        sparse_prompt_embeddings=prompts,
        dense_prompt_embeddings=dense[None, :, None, None].expand_as(image),
        multimask_output=False,
    )
    decoded = decoder(image, place, dense, prompts)
    torch.testing.assert_close(decoded.logits, masks[:, :, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(decoded.iou, iou[:, :, 0], atol=1e-4, rtol=1e-4)


def test_many_prompts_at_once_are_one_by_one(
    decoder: MaskDecoder, inputs: tuple[Tensor, Tensor, Tensor, Tensor]
) -> None:
    image, place, dense, prompts = inputs
    together = decoder(image, place, dense, prompts)
    assert together.logits.shape == (2, PROMPTS, 4 * SIDE, 4 * SIDE)
    assert together.mask_tokens.shape == (2, PROMPTS, 32)
    assert together.iou.shape == (2, PROMPTS)
    for picture in range(2):
        for prompt in range(PROMPTS):
            alone = decoder(
                image[picture][None], place, dense, prompts[picture, prompt][None, None]
            )
            for name in ("logits", "mask_tokens", "iou"):
                torch.testing.assert_close(
                    getattr(together, name)[picture, prompt],
                    getattr(alone, name)[0, 0],
                    atol=1e-4,
                    rtol=1e-4,
                )


def test_upscaling_is_that_of_transposed_convolutions(decoder: MaskDecoder) -> None:
    generator = torch.Generator().manual_seed(9)
    grid = torch.randn(2, SIDE * SIDE, 32, generator=generator)
    first, norm, _, second, _ = decoder.output_upscaling
    assert isinstance(norm, ChannelNorm)
    picture = grid.transpose(1, 2).reshape(2, 32, SIDE, SIDE)
    upscaled = F.gelu(second(F.gelu(norm(first(picture)))))
    weights = torch.randn(upscaled.shape[:2], generator=generator)
    expected = torch.einsum("nchw,nc->nhw", upscaled, weights)
    found = decoder._draw(grid, weights, SIDE)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_channel_norm_is_layer_norm_over_channels() -> None:
    norm = scrambled(ChannelNorm(5))
    x = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(1))
    mean, var = x.mean(1, keepdim=True), x.var(1, keepdim=True, correction=0)
    scaled = (x - mean) / (var + 1e-6).sqrt()
    weight, bias = (norm.get_parameter(n)[:, None, None] for n in ("weight", "bias"))
    torch.testing.assert_close(norm(x), scaled * weight + bias, atol=1e-5, rtol=1e-5)


def test_it_draws_the_same_while_it_learns(
    decoder: MaskDecoder, inputs: tuple[Tensor, Tensor, Tensor, Tensor]
) -> None:
    image, place, dense, prompts = inputs
    learning = decoder(image, place, dense, prompts.clone().requires_grad_())
    assert learning.logits.requires_grad
    torch.testing.assert_close(learning.logits, decoder(*inputs).logits, rtol=1e-4, atol=1e-4)
