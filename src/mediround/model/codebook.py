"""The prompts that the decoder has learned, one for each structure.

Training aims the projected ``[SEG]`` state at the code of the structure that is meant. How clearly
a state is nearest to one code says how sure the language model is of *what* it asks for, whether
or not it says a name.
"""

import torch
from torch import Tensor, nn


class Codebook(nn.Module):
    """Codes (entities, T, D); T and D of the decoder's prompts."""

    def __init__(self, entities: int, tokens: int, width: int) -> None:
        super().__init__()
        self.codes = nn.Parameter(torch.zeros(entities, tokens, width), requires_grad=False)

    def distances(self, prompts: Tensor) -> Tensor:
        """Prompts (N, T, D) -> (N, entities): mean squares, in units of the codes' variance."""
        codes = self.codes.float()
        apart = (prompts.float()[:, None] - codes[None]) / codes.std()
        return apart.pow(2).mean((2, 3))

    def chances(self, prompts: Tensor) -> Tensor:
        """Log probabilities (N, entities) of what is meant."""
        return (-4 * self.distances(prompts)).log_softmax(-1)

    def nearest(self, prompts: Tensor) -> tuple[Tensor, Tensor]:
        """The place (N,) of the structure that each prompt is nearest to; its probability, 0..1."""
        likeliest, places = self.chances(prompts).max(-1)
        return places, likeliest.exp()
