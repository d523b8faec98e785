"""Picture + prompt tokens -> masks: encoder, positions and decoder that belong together."""

import torch
from torch import Tensor, nn

from mediround.config import ModelConfig, TinyVitConfig
from mediround.model.mask_decoder import Decoded, MaskDecoder
from mediround.model.position import PositionCode
from mediround.model.roles import SegmenterRole
from mediround.model.vision_encoder import TinyVit


class Segmenter(SegmenterRole):
    """The promptable half of the model.

    The encoder is cut in two: ``trunk`` features (B, width, side, side) are also what the
    language model perceives; ``tail`` turns them into the decoder's image features
    (B, D, side, side).
    """

    position: PositionCode

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert isinstance(config.vision, TinyVitConfig)
        self.vision = TinyVit(config.vision)
        self.position = PositionCode(config.vision.out)
        self.decoder = MaskDecoder(config.decoder)
        self.no_mask = nn.Parameter(torch.zeros(config.vision.out))

    def trunk(self, pixels: Tensor) -> Tensor:
        """(B, 3, canvas, canvas) in 0..1 -> (B, width, side, side)."""
        return self.vision.trunk(pixels)

    def tail(self, features: Tensor) -> Tensor:
        """Trunk features -> (B, D, side, side)."""
        return self.vision.tail(features)

    def decode(self, image: Tensor, prompts: Tensor) -> Decoded:
        """``tail``'s features (B, D, side, side) and prompts (B, P, T, D) -> masks."""
        grid = self.position.grid(image.shape[-1]).to(image.dtype)
        return self.decoder(image, grid, self.no_mask, prompts)  # type: ignore[no-any-return]  # modules return Any

    def lower(self, dtype: torch.dtype) -> None:
        """Compute in ``dtype``, all but the places, which stay exact."""
        code = self.position.positional_encoding_gaussian_matrix.clone()
        self.to(dtype)
        self.position.positional_encoding_gaussian_matrix = code

    @property
    def dtype(self) -> torch.dtype:
        """Type of the features."""
        return self.no_mask.dtype

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.no_mask.device
