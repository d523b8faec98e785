"""What the parts of a model must do, whichever network does it; the composition knows no more.

A configuration names a kind for each role, :mod:`mediround.model.parts` builds it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from mediround.dialogue import Round
from mediround.model.kv_cache import KeyValueCache, SideBySide
from mediround.model.mask_decoder import Decoded
from mediround.model.merged import Switch, merge, switched_off
from mediround.prompt import Prompt, Tokenizer


class SegmenterRole(nn.Module, ABC):
    """Picture + prompt tokens -> masks.

    Attributes:
        position: code of places on the picture, where the kind of perception needs one.
    """

    position: nn.Module

    @abstractmethod
    def trunk(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W), as the encoder wants them -> (B, C, side, side), without the neck."""

    @abstractmethod
    def tail(self, features: Tensor) -> Tensor:
        """Trunk features -> (B, D, side, side), what masks are drawn on."""

    @abstractmethod
    def decode(self, image: Tensor, prompts: Tensor) -> Decoded:
        """``tail``'s features (B, D, side, side) and prompts (B, P, T, D) -> masks."""

    @abstractmethod
    def lower(self, dtype: torch.dtype) -> None:
        """Compute in ``dtype``, all but the places, which stay exact."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Type of the features."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the tensors are."""


class PerceptionRole(nn.Module, ABC):
    """What the language model sees of an image and of earlier masks.

    Attributes:
        image_tokens: vectors that stand for the image.
        reference_form: how a mask is written: counts of the vectors that stand for it, and words
            of the language model between them.
        own: which of the vectors of a mask say what it is; None where none of them are trained to
            be like the words of its name.
        neighbours: relations of which one vector each follows, what stands in it to the mask.
    """

    image_tokens: int
    reference_form: tuple[int | str, ...]
    own: slice | None = None
    neighbours: tuple[str, ...] = ()
    image: nn.Module
    reference: nn.Module

    @abstractmethod
    def look(self, pixels: Tensor, trunk: Tensor, position: nn.Module) -> Tensor:
        """One image -> (image tokens, W).

        Args:
            pixels: (3, H, W), as this perception wants them.
            trunk: (1, C, side, side) of the segmenter.
            position: of the segmenter.
        """

    @abstractmethod
    def refer(self, mark: tuple[Tensor, ...], trunk: Tensor, position: nn.Module) -> Tensor:
        """One mask -> (reference tokens, W); ``mark`` is what a view makes of it."""

    @abstractmethod
    def lower(self, dtype: torch.dtype) -> None:
        """Compute what is large in ``dtype``."""

    def refill(self) -> None:
        """Compute the tables that no file holds, after the model was built without values."""


class Writer(Protocol):
    """Writes dialogues for one language model; :class:`mediround.prompt.Prompter` is one."""

    def write(self, rounds: Sequence[Round], query: str | None = None) -> Prompt:
        """The prompt of finished rounds and, if given, an open query."""

    def answer(self, text: str, first_entity: int) -> tuple[int, ...]:
        """Ids of an answer without its end."""

    def text(self, ids: Sequence[int], first_entity: int) -> str:
        """Text of a generated answer."""


class LanguageRole(nn.Module, ABC):
    """A causal language model over vectors: text, image and reference tokens alike.

    Attributes:
        inner: the model of transformers, adapter injected or not.
        tokenizer: text <-> ids.
        width: of the vectors and states.
        context: most positions.
        seg: id of ``[SEG]``.
        turn_end: id with which an answer ends.
    """

    inner: PreTrainedModel
    tokenizer: Tokenizer
    width: int
    context: int
    seg: int
    turn_end: int
    _switch: Switch | None = None

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.inner.device

    @abstractmethod
    def embed(self, ids: Tensor) -> Tensor:
        """Token ids (..., ) -> vectors (..., W)."""

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., W) -> float32 scores (..., ids)."""

    def refill(self) -> None:
        """Compute the tables that no file holds, after the model was built without values."""

    @abstractmethod
    def save_tokenizer(self, folder: Path) -> None:
        """Write the tokenizer, where it belongs to the model's own folder."""

    @abstractmethod
    def writer(self, image_tokens: int, reference_form: Sequence[int | str]) -> Writer:
        """What writes this model's prompts."""

    def forward(
        self, vectors: Tensor, cache: KeyValueCache | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Vectors (B, N, W) -> final hidden states (B, N, W).

        Args:
            vectors: what stands at each position, in the model's own type.
            cache: keys and values of what came before; extended by these N positions.
            mask: (B, N) bool, False for padding on the right.
        """
        out = self.inner.model(
            inputs_embeds=vectors,
            attention_mask=mask,
            past_key_values=None if cache is None else cache.tensors,
            use_cache=cache is not None,
        )
        hidden: Tensor = out.last_hidden_state
        return hidden

    def hear(self, ids: Tensor, mask: Tensor, layers: int) -> Tensor:
        """Words alone through the first ``layers`` layers.

        Args:
            ids: (B, N).
            mask: (B, N) bool, False for padding on the right.
            layers: 1 to all.

        Returns:
            (B, N, W), without the final norm; of the pretrained model inside :meth:`plain`.
        """
        shallow = copy(self.inner.model)
        shallow._modules = dict(shallow._modules)  # the copy's own parts; their weights are shared
        shallow.layers = nn.ModuleList(shallow.layers[:layers])
        shallow.norm = nn.Identity()
        out = shallow(inputs_embeds=self.embed(ids), attention_mask=mask, use_cache=False)
        hidden: Tensor = out.last_hidden_state
        return hidden

    def step(self, vectors: Tensor, caches: Sequence[KeyValueCache]) -> Tensor:
        """One more vector behind each of several caches: (B, W) -> final hidden states (B, W).

        With attention ``GROUPED``. Each row is what :meth:`forward` computes for it alone: up to
        rounding, or to the last bit where layers are packed and rows alike (``ROWS_ALIKE``).
        """
        beside = SideBySide(caches)
        out = self.inner.model(
            inputs_embeds=vectors[:, None],
            # Of four axes, so that transformers leaves it alone: a row sees all of its cache.
            attention_mask=vectors.new_zeros(len(vectors), 1, 1, 1),
            position_ids=torch.tensor(beside.lengths, device=vectors.device)[:, None],
            past_key_values=beside,
            use_cache=True,
        )
        hidden: Tensor = out.last_hidden_state[:, 0]
        return hidden

    def merge_adapter(self, heard: int = 0) -> None:
        """Add the adapter to the pretrained weights, for speed; see :meth:`plain`.

        The first ``heard`` layers, through which :meth:`hear` sends every question, keep the
        pretrained ones beside, and are as fast without it.
        """
        self._switch = merge(self.inner, self.inner.model.layers[:heard])

    @contextmanager
    def plain(self) -> Iterator[None]:
        """Compute as the pretrained model did, without the adapter.

        Up to the rounding of the merged weights. What was read with the adapter does not fit: a
        cache belongs to one or the other.
        """
        assert self._switch is not None  # before merging, nobody asks
        with switched_off(self._switch):
            yield


class JudgeRole(nn.Module, ABC):
    """How good is a mask?"""

    @abstractmethod
    def score(self, prompts: Tensor, decoded: Decoded) -> Tensor:
        """Scores (B, P) in 0..1, float32, of what was decoded from ``prompts`` (B, P, T, D)."""


class PromptJudge(JudgeRole):
    """A judge that needs no mask, so that a bad one need not be drawn at all."""

    @abstractmethod
    def foresee(self, prompts: Tensor) -> Tensor:
        """Scores (B, P) in 0..1, float32, of what will be decoded from ``prompts`` (B, P, T, D)."""

    def score(self, prompts: Tensor, decoded: Decoded) -> Tensor:  # noqa: ARG002
        """Scores (B, P) of prompts (B, P, T, D), whatever was drawn from them."""
        return self.foresee(prompts)
