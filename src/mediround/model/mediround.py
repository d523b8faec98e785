"""MediRound: an image and a dialogue in, text and masks out (arXiv 2511.12110, figure 3).

image ──> segmenter.trunk ──┬─> perception.image ────────┐
                            ├─> perception.reference <── earlier mask
                            │                            v
                            │        query ──> language model ──> text with [SEG]
                            v                            │ state at [SEG]
                      segmenter.tail ──> decoder <── projection
                                            │
                                            ├──> mask
                                            └──> judge ──> score
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mediround.config import ModelConfig
from mediround.model.judgment import Judge
from mediround.model.kv_cache import KeyValueCache
from mediround.model.language_model import LanguageModel
from mediround.model.perception import Perception
from mediround.model.segmenter import Segmenter
from mediround.prompt import IMAGE_KEY, Prompt, Prompter


@dataclass(frozen=True)
class ImageFeatures:
    """One image, encoded once.

    Attributes:
        trunk: (1, C, side, side), what masks are read from.
        grid: (1, D, side, side), what masks are drawn on.
        tokens: (image tokens, W), what the language model sees.
    """

    trunk: Tensor
    grid: Tensor
    tokens: Tensor


@dataclass(frozen=True)
class Spoken:
    """An answer in words.

    Attributes:
        ids: without the end of turn.
        states: (N, W), the state at each ``[SEG]``.
        certainty: float32 (N,), the probability (0..1) of the words that led to each ``[SEG]``,
            counted from the one before; 1 for words that were given to the model.
    """

    ids: tuple[int, ...]
    states: Tensor
    certainty: Tensor


@dataclass(frozen=True)
class Drawn:
    """Mask logits (N, 4 side, 4 side) over the whole canvas, and the judge's scores (N,)."""

    logits: Tensor
    scores: Tensor


class SegProjection(nn.Module):
    """State at ``[SEG]`` (..., W) -> the decoder's prompt tokens (..., T, D)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.tokens = config.decoder.prompt_tokens
        width = config.language.width
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, self.tokens * config.decoder.width),
        )

    def forward(self, states: Tensor) -> Tensor:
        """(..., W) -> (..., T, D)."""
        return self.layers(states).unflatten(-1, (self.tokens, -1))  # type: ignore[no-any-return]


class MediRound(nn.Module):
    """Composes finished parts; holds no weights of its own."""

    def __init__(self, config: ModelConfig, segmenter: Segmenter, language: LanguageModel) -> None:
        super().__init__()
        self.config = config
        self.segmenter = segmenter
        self.language = language
        self.perception = Perception(config)
        self.projection = SegProjection(config)
        self.judge = Judge(config.decoder)
        self.prompter = Prompter(
            language.tokenizer,
            config.perception.image_grid**2,
            config.perception.reference_tokens,
        )

    @property
    def dtype(self) -> torch.dtype:
        """Type in which features and states are computed."""
        return self.segmenter.no_mask.dtype

    def see(self, pixels: Tensor) -> ImageFeatures:
        """Encode one canvas, float (3, canvas, canvas) in 0..1."""
        batch = pixels[None].to(self.dtype).contiguous(memory_format=torch.channels_last)
        trunk = self.segmenter.trunk(batch)
        tokens = self.perception.image(trunk.float(), self.segmenter.position)[0]
        return ImageFeatures(trunk, self.segmenter.tail(trunk), tokens)

    def refer(self, image: ImageFeatures, mask: Tensor) -> Tensor:
        """Tokens (R, W) of one mask, float (side, side) coverage 0..1 of the trunk's cells."""
        features = image.trunk[0].float()
        return self.perception.reference(features, mask[None], self.segmenter.position)[0]  # type: ignore[no-any-return]

    def embed(self, prompt: Prompt, image: Tensor, references: Mapping[int, Tensor]) -> Tensor:
        """Vectors (positions, W) of a prompt: tokens, and in its slots what they stand for.

        Args:
            prompt: what stands where.
            image: (image tokens, W).
            references: entity number -> (R, W).
        """
        device = self.language.seg_in.device
        vectors = self.language.embed(torch.tensor(prompt.ids, device=device))
        for slot in prompt.slots:
            content = image if slot.key == IMAGE_KEY else references[slot.key]
            vectors[slot.start : slot.start + slot.length] = content.to(vectors.dtype)
        return vectors

    def say(self, vectors: Tensor, cache: KeyValueCache, longest: int) -> Spoken:
        """Read the new ``vectors`` (N, W) behind the cache and answer greedily.

        The cache afterwards holds the prompt and the answer as far as it was read again.

        Args:
            vectors: of the prompt, as far as the cache does not hold it; at least one.
            cache: what has been read before.
            longest: most tokens of an answer.
        """
        tokenizer = self.language.tokenizer
        hidden = self.language(vectors[None], cache)[0, -1]
        ids: list[int] = []
        states: list[Tensor] = []
        certainty: list[Tensor] = []
        odds = hidden.new_zeros((), dtype=torch.float32)
        for _ in range(longest):
            best = self.language.logits(hidden).log_softmax(-1).max(-1)
            token = int(best.indices)
            if token == tokenizer.turn_end:
                break
            ids.append(token)
            odds = odds + best.values
            step = self.language.embed(torch.tensor([[token]], device=vectors.device))
            hidden = self.language(step, cache)[0, -1]
            if token == tokenizer.seg:
                states.append(hidden)
                certainty.append(odds.exp())
                odds = torch.zeros_like(odds)
        if not states:
            return Spoken(tuple(ids), vectors.new_zeros((0, vectors.shape[-1])), odds.new_zeros(0))
        return Spoken(tuple(ids), torch.stack(states), torch.stack(certainty))

    def repeat(self, vectors: Tensor, cache: KeyValueCache, ids: Sequence[int]) -> Spoken:
        """Like :meth:`say`, but the answer is given: its states as if the model had said it."""
        tokens = torch.tensor(list(ids), dtype=torch.long, device=vectors.device)
        everything = torch.cat([vectors, self.language.embed(tokens).to(vectors.dtype)])
        hidden = self.language(everything[None], cache)[0, len(vectors) :]
        states = hidden[tokens == self.language.tokenizer.seg]
        return Spoken(tuple(ids), states, torch.ones(len(states), device=states.device))

    def draw(self, image: ImageFeatures, states: Tensor) -> Drawn:
        """Masks and scores for ``[SEG]`` states (N, W), N at least 1."""
        prompts = self.projection(states.float())[None]
        decoded = self.segmenter.decode(image.grid, prompts.to(image.grid.dtype))
        return Drawn(decoded.logits[0], self.judge(decoded)[0])
