"""SAM as the segmenter: ViT encoder, prompt encoder and mask decoder of transformers.

Sizes: B images, P prompts an image, T tokens a prompt, D channels, S = side x side grid.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import SamConfig, SamMaskDecoderConfig, SamPromptEncoderConfig, SamVisionConfig
from transformers.models.sam.modeling_sam import (
    SamMaskDecoder,
    SamPromptEncoder,
    SamVisionEncoder,
)

from mediround.config import MaskDecoderConfig, ModelConfig, SamVitConfig
from mediround.model.mask_decoder import Decoded
from mediround.model.position import fourier_grid
from mediround.model.roles import SegmenterRole


class SamSegmenter(SegmenterRole):
    """SAM or MedSAM, prompted by projected ``[SEG]`` states instead of points and boxes.

    Only the first of the decoder's masks is computed. The networks of the others, and the
    encoder of point, box and mask prompts, are kept, so that a checkpoint can be written again.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert isinstance(config.vision, SamVitConfig)
        sizes = _sam_sizes(config.vision, config.decoder)
        self.encoder = SamVisionEncoder(sizes.encoder)
        self.prompts = SamPromptEncoder(sizes.prompts)
        self.decoder = SamMaskDecoder(sizes.decoder)
        self.position = nn.Identity()  # no perception that goes with SAM asks for places

    def trunk(self, pixels: Tensor) -> Tensor:
        """(B, 3, image, image), normalised and padded -> (B, C, side, side)."""
        x = self.encoder.patch_embed(pixels)
        assert self.encoder.pos_embed is not None
        x = x + self.encoder.pos_embed
        for layer in self.encoder.layers:
            x = layer(x)
        return x.permute(0, 3, 1, 2)  # type: ignore[no-any-return]  # modules return Any

    def tail(self, features: Tensor) -> Tensor:
        """Trunk features -> (B, D, side, side)."""
        return self.encoder.neck(features.permute(0, 2, 3, 1))  # type: ignore[no-any-return]  # modules return Any

    def decode(self, image: Tensor, prompts: Tensor) -> Decoded:
        """``tail``'s features (B, D, side, side) and prompts (B, P, T, D) -> masks."""
        decoder, (batch, _, side, _) = self.decoder, image.shape
        count = prompts.shape[1]
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens = torch.cat([own.expand(batch, count, *own.shape).to(prompts.dtype), prompts], 2)
        grid = image + self.prompts.no_mask_embed.weight[0][:, None, None]
        place = fourier_grid(side, self.prompts.shared_embedding.positional_embedding)
        tokens, grid = decoder.transformer(
            point_embeddings=tokens.flatten(0, 1)[:, None],
            image_embeddings=grid.repeat_interleave(count, 0),
            image_positional_embeddings=place.to(image.dtype)[None],
            attention_similarity=None,
        )
        tokens = tokens.unflatten(0, (batch, count))[:, :, 0]  # (B, P, 5 + T, D)
        fine = self._upscale(grid[:, 0].transpose(1, 2).unflatten(-1, (side, side)))
        weights = decoder.output_hypernetworks_mlps[0](tokens[:, :, 1])
        logits = torch.einsum("nchw,nc->nhw", fine, weights.flatten(0, 1))
        return Decoded(
            logits=logits.unflatten(0, (batch, count)),
            mask_tokens=tokens[:, :, 1],
            iou=decoder.iou_prediction_head(tokens[:, :, 0])[..., 0],
        )

    def _upscale(self, grid: Tensor) -> Tensor:
        """(N, D, side, side) -> (N, D / 8, 4 side, 4 side)."""
        decoder = self.decoder
        x = decoder.activation(decoder.upscale_layer_norm(decoder.upscale_conv1(grid)))
        return decoder.activation(decoder.upscale_conv2(x))  # type: ignore[no-any-return]  # modules return Any

    def lower(self, dtype: torch.dtype) -> None:
        """Compute in ``dtype``, all but the places, which stay exact."""
        code = self.prompts.shared_embedding.positional_embedding
        exact = code.data.clone()
        self.to(dtype)
        code.data = exact

    @property
    def dtype(self) -> torch.dtype:
        """Type of the features."""
        return self.encoder.patch_embed.projection.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.encoder.patch_embed.projection.weight.device


class _SamSizes(NamedTuple):
    encoder: SamVisionConfig
    prompts: SamConfig
    decoder: SamMaskDecoderConfig


def _sam_sizes(vision: SamVitConfig, decoder: MaskDecoderConfig) -> _SamSizes:
    encoder = SamVisionConfig(
        hidden_size=vision.width,
        output_channels=vision.out,
        num_hidden_layers=vision.layers,
        num_attention_heads=vision.heads,
        image_size=vision.side,
        patch_size=vision.patch,
        window_size=vision.window,
        global_attn_indexes=vision.global_layers,
        num_pos_feats=vision.out // 2,
        mlp_dim=vision.mlp,
        initializer_range=0.02,
    )
    heads = SamMaskDecoderConfig(
        hidden_size=decoder.width,
        mlp_dim=decoder.mlp,
        num_hidden_layers=decoder.depth,
        num_attention_heads=decoder.heads,
        iou_head_hidden_dim=decoder.width,
        layer_norm_eps=1e-5,  # of the published decoder; transformers' default is another
    )
    heads._attn_implementation = "sdpa"  # a part that stands alone has no public way to choose
    prompts = SamPromptEncoderConfig(
        hidden_size=decoder.width, image_size=vision.side, patch_size=vision.patch
    )
    return _SamSizes(
        encoder, SamConfig(vision_config=encoder, prompt_encoder_config=prompts), heads
    )
