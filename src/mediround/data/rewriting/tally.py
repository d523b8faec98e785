"""What rewriting took, or would take."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class RewriteTally:
    """What became of the questions.

    Attributes:
        asked: questions that were to be rewritten.
        left_alone: questions that never are.
        cached: answered by the cache.
        rewritten: questions that have new words.
        unchanged: the model gave the same words back.
        unanswered: the endpoint gave none.
        rejected: reason -> questions whose new words failed a check.
        requests: batches sent.
        retries: attempts after the first.
        input_tokens: as the endpoint counted them.
        output_tokens: likewise.
    """

    asked: int = 0
    left_alone: int = 0
    cached: int = 0
    rewritten: int = 0
    unchanged: int = 0
    unanswered: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    retries: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: RewriteTally) -> RewriteTally:
        return RewriteTally(**{n: v + getattr(other, n) for n, v in vars(self).items()})

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**vars(self), "rejected": dict(sorted(self.rejected.items()))}


@dataclass(frozen=True)
class RewriteEstimate:
    """What rewriting would take.

    Attributes:
        questions: to be rewritten.
        distinct: different ones, each in its manner of speaking.
        cached: of these, known already.
        requests: batches to be sent.
        input_tokens: estimated; about one for four Latin letters or one Chinese character.
        output_tokens: likewise.
        cost: in the currency of the prices; None without both prices.
    """

    questions: int
    distinct: int
    cached: int
    requests: int
    input_tokens: int
    output_tokens: int
    cost: float | None

    def __str__(self) -> str:
        cost = "unknown without prices" if self.cost is None else f"{self.cost:.2f}"
        return (
            f"{self.questions:,} questions, {self.distinct:,} distinct, {self.cached:,} cached: "
            f"{self.requests:,} requests, about {self.input_tokens:,} tokens sent and "
            f"{self.output_tokens:,} received, cost {cost}"
        )
