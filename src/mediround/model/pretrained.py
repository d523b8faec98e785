"""What the package indexes hold of a model's image half, as it was published."""

from torch import Tensor

from mediround import weights
from mediround.config import ModelConfig
from mediround.model.checkpoint import load_lite_medsam
from mediround.model.segmenter import Segmenter


def pretrained_segmenter(config: ModelConfig) -> tuple[Segmenter, Tensor]:
    """LiteMedSAM as it was published, float32, and its embeddings (2, D) of a box's two corners.

    Raises:
        WeightsError: the weights cannot be fetched, or do not fit ``config``.
    """
    assert config.vision_source is not None
    segmenter = Segmenter(config)
    path = weights.path(config.vision_source) / "model.safetensors"
    no_mask, corners = load_lite_medsam(
        path, segmenter.vision, segmenter.decoder, segmenter.position
    )
    segmenter.no_mask.data.copy_(no_mask)
    return segmenter, corners
