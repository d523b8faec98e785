"""What a mask is of, as its own tokens say.

Training draws the tokens of a mask to the word vectors of its structure's name. So whose name they
are nearest to tells, without another network, which structure the model takes a mask for.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mediround.model.roles import LanguageRole

_SHARPNESS = 16.0
"""Nats for one variance of word vectors, chosen where 285 masks cost the least log loss."""
_CELL_SHARPNESS = 8.0
"""The same for what an image token shows, which is often several structures."""
_FARTHEST = 0.3
"""Distance of no name: 95 % of masks of known structures are nearer than 0.24."""


class Names:
    """The word vectors of the names that a model knows, as far as a mask's tokens show them.

    Attributes:
        words: float32 (entities, tokens, W), in units of their standard deviation, zeros where a
            name has fewer tokens; the last one is the mean of all that a longer name goes on with.
        meaning: float32 (entities, W), the mean over all tokens of each name, likewise.
        scale: the standard deviation of the whole table of word vectors.
    """

    def __init__(self, language: LanguageRole, entities: Sequence[str], tokens: int) -> None:
        table = language.inner.get_input_embeddings().weight
        assert isinstance(table, Tensor)
        self.scale = float(table.detach().float().std())
        words = torch.zeros(len(entities), tokens, language.width, device=language.device)
        meaning = torch.zeros(len(entities), language.width, device=language.device)
        with torch.no_grad():
            for index, name in enumerate(entities):
                ids = torch.tensor(language.tokenizer.encode(" " + name), device=language.device)
                vectors = language.embed(ids).float()
                shown = vectors[:tokens]
                if len(vectors) > tokens:
                    shown = torch.cat([vectors[: tokens - 1], vectors[tokens - 1 :].mean(0)[None]])
                words[index, : len(shown)] = shown
                meaning[index] = vectors.mean(0)
        self.words = words / words[words.abs().sum(-1) > 0].std()
        self.meaning = meaning / meaning.std()

    def beside(self, tokens: Tensor) -> Tensor:
        """Tokens (N, W) of neighbours -> log probabilities (N, entities)."""
        return (-_SHARPNESS * self._apart(tokens)).log_softmax(-1)

    def cells(self, tokens: Tensor) -> Tensor:
        """Image tokens (N, W) -> probabilities (N, entities) of what each shows."""
        return (-_CELL_SHARPNESS * self._apart(tokens)).softmax(-1)

    def _apart(self, tokens: Tensor) -> Tensor:
        scaled = tokens.float() / self.scale
        return (scaled[:, None] - self.meaning[None]).pow(2).mean(-1)

    def chances(self, tokens: Tensor) -> Tensor:
        """Tokens (N, tokens, W) of masks -> log probabilities (N, entities + 1).

        The last is that of something else, which is like none of these names.
        """
        scaled = tokens.float() / self.scale
        apart = (scaled[:, None] - self.words[None]).pow(2).mean((2, 3))
        none = apart.new_full((len(apart), 1), _FARTHEST)
        return (-_SHARPNESS * torch.cat([apart, none], dim=1)).log_softmax(-1)
