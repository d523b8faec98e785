"""Questions of generated dialogues in a language model's words, where those still ask the same.

A model behind any OpenAI-compatible endpoint rewords the questions; the request not to name a
structure is taken off before and put back after, so it cannot get lost. What
:mod:`mediround.data.rewriting.checks` refuses, and what stays unanswered, keeps its words and is
counted. Answers, masks and references never change.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from mediround.data.rewriting.cache import RewriteCache, cache_key
from mediround.data.rewriting.checks import is_unnamed, refusal, split_request
from mediround.data.rewriting.endpoint import MANNERS, PROMPT, Endpoint, RewriteSettings
from mediround.data.rewriting.tally import RewriteEstimate, RewriteTally
from mediround.data.words import chinese
from mediround.dialogue import Dialogue, Round

__all__ = ["RewriteEstimate", "RewriteSettings", "RewriteTally", "Rewriter", "estimate"]

LEFT_ALONE: Final = frozenset({"talk", "correction"})
"""Kinds of rounds whose words make sense only with the answer or the round before."""

_LETTERS_A_TOKEN: Final = 4.0
_OVERHEAD: Final = (30, 15)  # tokens of JSON around a question sent and around one received


@dataclass(frozen=True)
class _Place:
    """A question of a dialogue: its parts, and the key of its rewrite."""

    question: str
    request: str
    manner: str
    key: str


class Rewriter:
    """Rewrites the questions of dialogues; one per process, the cache may be shared.

    Args:
        settings: the endpoint.
        cache: file of rewrites; None forgets them when closed.
        endpoint: replaces the network, in tests.

    Raises:
        OutputError: the cache cannot be used.
    """

    def __init__(
        self,
        settings: RewriteSettings,
        cache: Path | None = None,
        *,
        endpoint: Endpoint | None = None,
    ) -> None:
        self.settings = settings
        self.tally = RewriteTally()
        self._cache = RewriteCache(cache)
        self._endpoint = endpoint or Endpoint(settings)

    def rewrite(
        self, dialogues: Sequence[Dialogue], keys: Sequence[str] | None = None
    ) -> list[Dialogue]:
        """The dialogues with new words, in order; a few thousand at once fill the batches well.

        Args:
            dialogues: all are held in memory.
            keys: one for each dialogue; equal questions of equal keys get equal words, so that
                twins, which share their words, must share a key. By default all are equal.

        Raises:
            EndpointError: the endpoint refuses, or does not answer at all. What was answered
                before is in the cache.
            OutputError: the cache cannot be written.
        """
        named = [""] * len(dialogues) if keys is None else keys
        placed = [
            [_place(each, key, self.settings) for each in dialogue.rounds]
            for dialogue, key in zip(dialogues, named, strict=True)
        ]
        places = {place.key: place for row in placed for place in row if place is not None}
        texts = self._cache.get(places)
        known = frozenset(texts)
        texts |= self._ask([place for key, place in places.items() if key not in known])
        return [
            dialogue.model_copy(
                update={
                    "rounds": tuple(
                        self._reworded(each, place, texts, known)
                        for each, place in zip(dialogue.rounds, row, strict=True)
                    )
                }
            )
            for dialogue, row in zip(dialogues, placed, strict=True)
        ]

    def close(self) -> None:
        """Close the cache and the connections."""
        self._endpoint.close()
        self._cache.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, places: Sequence[_Place]) -> dict[str, str]:
        """New words by key, kept in the cache batch by batch; unanswered keys are missing."""
        found: dict[str, str] = {}
        batches = list(_batches(places, self.settings.batch))
        asked = ([(place.question, place.manner) for place in batch] for batch in batches)
        with ThreadPoolExecutor(self.settings.parallel) as pool:
            try:
                for batch, reply in zip(
                    batches, pool.map(self._endpoint.rewrite, asked), strict=True
                ):
                    answered = {
                        place.key: text
                        for place, text in zip(batch, reply.texts, strict=True)
                        if text is not None
                    }
                    self._cache.put(answered)
                    found |= answered
                    self.tally.requests += 1
                    self.tally.retries += reply.retries
                    self.tally.input_tokens += reply.input_tokens
                    self.tally.output_tokens += reply.output_tokens
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return found

    def _reworded(
        self, each: Round, place: _Place | None, texts: dict[str, str], known: frozenset[str]
    ) -> Round:
        if place is None:
            self.tally.left_alone += 1
            return each
        self.tally.asked += 1
        self.tally.cached += place.key in known
        text = texts.get(place.key)
        if text is None:
            self.tally.unanswered += 1
            return each
        text = text.strip()
        if text == place.question:
            self.tally.unchanged += 1
            return each
        targets = [entity.name for entity in each.entities if entity.name is not None]
        reason = refusal(place.question, text, targets=targets, unnamed=is_unnamed(each))
        if reason is not None:
            self.tally.rejected[reason] += 1
            return each
        self.tally.rewritten += 1
        return each.model_copy(update={"query": text + place.request})


def estimate(
    dialogues: Iterable[Dialogue],
    settings: RewriteSettings,
    cache: Path | None = None,
    keys: Iterable[str] | None = None,
) -> RewriteEstimate:
    """What rewriting ``dialogues`` would take; sends nothing and, without a cache, writes nothing.

    Args: see :meth:`Rewriter.rewrite`; an iterator of dialogues is read once.

    Raises:
        OutputError: the cache exists and cannot be read.
    """
    questions, places = 0, dict[str, tuple[int, int]]()
    named = _repeat_empty() if keys is None else iter(keys)
    for dialogue, key in zip(dialogues, named, strict=False):
        for each in dialogue.rounds:
            place = _place(each, key, settings)
            if place is not None:
                questions += 1
                places[place.key] = _tokens(place.question), _tokens(place.manner)
    known: frozenset[str] = frozenset()
    if cache is not None and cache.exists():
        with RewriteCache(cache) as kept:
            known = frozenset(kept.get(places))
    new = [tokens for key, tokens in places.items() if key not in known]
    requests = math.ceil(len(new) / settings.batch)
    sent = requests * _tokens(PROMPT) + sum(q + m + _OVERHEAD[0] for q, m in new)
    received = sum(q + _OVERHEAD[1] for q, _ in new)
    prices = settings.input_price, settings.output_price
    cost = None
    if prices[0] is not None and prices[1] is not None:
        cost = (sent * prices[0] + received * prices[1]) / 1e6
    return RewriteEstimate(questions, len(places), len(known), requests, sent, received, cost)


def _place(each: Round, key: str, settings: RewriteSettings) -> _Place | None:
    """The question of a round with the key of its rewrite; None where it is left alone."""
    if each.relation is not None and each.relation.kind in LEFT_ALONE:
        return None
    question, request = split_request(each.query)
    if is_unnamed(each) and not request:
        return None  # nobody can tell which of its words ask for the silence
    chosen = hashlib.sha256(f"{key}\0{question}".encode()).digest()[0] % settings.variants
    manner = MANNERS[chosen]
    return _Place(question, request, manner, cache_key(settings.model, PROMPT, question, manner))


def _batches(places: Sequence[_Place], size: int) -> Iterator[Sequence[_Place]]:
    for start in range(0, len(places), size):
        yield places[start : start + size]


def _repeat_empty() -> Iterator[str]:
    while True:
        yield ""


def _tokens(text: str) -> int:
    """A rough count: one for a Chinese character, one for four other characters."""
    han = sum(chinese.is_chinese(character) for character in text)
    return han + math.ceil((len(text) - han) / _LETTERS_A_TOKEN)
