"""Micro-batches: what several threads ask of a model at the same time is computed as one.

Nobody waits for strangers: a call that finds nothing running starts at once, with whatever has
gathered until then. So a lone question is as fast as ever, and a crowd fills the accelerator. Only
where the same threads come again and again, as answers grow word by word, those that have just
been served together are waited for, for a moment.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor

from mediround.model.kv_cache import KeyValueCache
from mediround.model.mask_decoder import Decoded
from mediround.model.mediround import MediRound
from mediround.model.packed_linear import ROWS_ALIKE, is_packed
from mediround.model.roles import LanguageRole, SegmenterRole, Writer

A = TypeVar("A")
R = TypeVar("R")


class Gathering(Generic[A, R]):
    """A function of many arguments, called with one by many threads.

    Args:
        run: gives a result for each argument, in their order.
        most: arguments of one call of ``run``.
        patience: seconds after a call in which those that it served are waited for.
    """

    def __init__(
        self, run: Callable[[Sequence[A]], Sequence[R]], most: int, patience: float = 0.0
    ) -> None:
        self._run, self._most, self._patience = run, most, patience
        self._changed = threading.Condition()
        self._waiting: list[tuple[A, Future[R]]] = []
        self._busy = False
        self._expected, self._until = 0, 0.0
        self.calls = self.arguments = 0

    def __call__(self, argument: A) -> R:
        """The result for ``argument``; raises what ``run`` raises."""
        own: Future[R] = Future()
        with self._changed:
            self._waiting.append((argument, own))
            self._changed.notify_all()
        while not own.done():
            with self._changed:
                while not own.done() and (self._busy or self._patience_left() > 0):
                    self._changed.wait(None if self._busy else self._patience_left())
                if own.done():
                    break
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                self._busy = True
            self._do(batch)
        return own.result()

    def _patience_left(self) -> float:
        """Seconds for which somebody is still waited for."""
        if len(self._waiting) >= min(self._expected, self._most):
            return 0.0
        return self._until - time.monotonic()

    def _do(self, batch: Sequence[tuple[A, Future[R]]]) -> None:
        try:
            results = self._run([argument for argument, _ in batch])
            for (_, future), result in zip(batch, results, strict=True):
                future.set_result(result)
        except BaseException as error:  # noqa: BLE001 - handed to everybody who waits for it
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        finally:
            with self._changed:
                self._busy = False
                self._expected = len(batch) + len(self._waiting)
                self._until = time.monotonic() + self._patience
                self.calls += 1
                self.arguments += len(batch)
                self._changed.notify_all()


class GatheringSegmenter(SegmenterRole):
    """As its ``inner`` one, for calls of one image each from several threads.

    Args:
        inner: what computes.
        most: images computed as one.
    """

    def __init__(self, inner: SegmenterRole, most: int) -> None:
        super().__init__()
        self.inner = inner
        self.position = inner.position
        self.encoding: Gathering[Tensor, tuple[Tensor, Tensor]] = Gathering(self._encode, most)
        self.decoding: Gathering[tuple[Tensor, Tensor], Decoded] = Gathering(self._decode, most)
        self._last = threading.local()

    def trunk(self, pixels: Tensor) -> Tensor:
        """See ``SegmenterRole``; the neck is computed with it, and kept for ``tail``."""
        self._last.trunk, self._last.tail = self.encoding(pixels)
        return self._last.trunk  # type: ignore[no-any-return]  # modules return Any

    def tail(self, features: Tensor) -> Tensor:
        """See ``SegmenterRole``."""
        if getattr(self._last, "trunk", None) is not features:
            return self.inner.tail(features)
        tail: Tensor = self._last.tail
        del self._last.trunk, self._last.tail
        return tail

    def decode(self, image: Tensor, prompts: Tensor) -> Decoded:
        """See ``SegmenterRole``."""
        return self.decoding((image, prompts))

    def lower(self, dtype: torch.dtype) -> None:
        """See ``SegmenterRole``."""
        self.inner.lower(dtype)

    @property
    def dtype(self) -> torch.dtype:
        """See ``SegmenterRole``."""
        return self.inner.dtype

    @property
    def device(self) -> torch.device:
        """See ``SegmenterRole``."""
        return self.inner.device

    def _encode(self, pictures: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        trunk = self.inner.trunk(torch.cat(list(pictures)))
        return list(zip(_each(trunk), _each(self.inner.tail(trunk)), strict=True))

    def _decode(self, asked: Sequence[tuple[Tensor, Tensor]]) -> list[Decoded]:
        """Those with equally many prompts together."""
        found: dict[int, Decoded] = {}
        shapes = [prompts.shape for _, prompts in asked]
        for shape in dict.fromkeys(shapes):
            places = [place for place, each in enumerate(shapes) if each == shape]
            whole = self.inner.decode(
                torch.cat([asked[place][0] for place in places]),
                torch.cat([asked[place][1] for place in places]),
            )
            values = (whole.logits, whole.mask_tokens, whole.iou)
            parts = zip(*(_each(value) for value in values), strict=True)
            found |= {place: Decoded(*part) for place, part in zip(places, parts, strict=True)}
        return [found[place] for place in range(len(asked))]


def _each(batch: Tensor) -> list[Tensor]:
    """(B, …) -> B times (1, …)."""
    return [batch[place : place + 1] for place in range(len(batch))]


BETWEEN_WORDS = 0.02
"""Seconds in which an answer that goes on asks for its next word."""


class GatheringLanguage(LanguageRole):
    """As its ``role``; single positions that several threads read at the same time become one step.

    That is how answers grow, word by word, and a step costs little more for several than for one.

    Args:
        role: what computes.
        most: positions of one step.
    """

    def __init__(self, role: LanguageRole, most: int) -> None:
        super().__init__()
        self.role = role
        self.inner, self.tokenizer = role.inner, role.tokenizer
        self.width, self.context = role.width, role.context
        self.seg, self.turn_end = role.seg, role.turn_end
        self.steps: Gathering[tuple[Tensor, KeyValueCache], Tensor] = Gathering(
            self._step, most, BETWEEN_WORDS
        )

    def forward(
        self, vectors: Tensor, cache: KeyValueCache | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """See ``LanguageRole``."""
        if cache is None or mask is not None or vectors.shape[:2] != (1, 1):
            hidden: Tensor = self.role(vectors, cache, mask)
            return hidden
        return self.steps((vectors[0], cache))[None]

    def embed(self, ids: Tensor) -> Tensor:
        """See ``LanguageRole``."""
        return self.role.embed(ids)

    def logits(self, hidden: Tensor) -> Tensor:
        """See ``LanguageRole``."""
        return self.role.logits(hidden)

    def save_tokenizer(self, folder: Path) -> None:
        """See ``LanguageRole``."""
        self.role.save_tokenizer(folder)

    def writer(self, image_tokens: int, reference_form: Sequence[int | str]) -> Writer:
        """See ``LanguageRole``."""
        return self.role.writer(image_tokens, reference_form)

    @contextmanager
    def plain(self) -> Iterator[None]:
        """See ``LanguageRole``."""
        with self.role.plain():
            yield

    def _step(self, asked: Sequence[tuple[Tensor, KeyValueCache]]) -> list[Tensor]:
        vectors = torch.cat([vector for vector, _ in asked])
        return _each(self.role.step(vectors, [cache for _, cache in asked]))


def gather(network: MediRound, *, images: int, answers: int) -> None:
    """Let ``network`` compute what several threads ask of it as one.

    Args:
        network: the model; answers are gathered only where that does not change them, which is
            where its language model is packed.
        images: most images, and masks, of one call.
        answers: most answers that grow together.
    """
    if images > 1 and not isinstance(network.segmenter, GatheringSegmenter):
        network.segmenter = GatheringSegmenter(network.segmenter, images)
    if answers > 1 and is_packed(network.language):
        network.language = GatheringLanguage(network.language, min(answers, ROWS_ALIKE))
