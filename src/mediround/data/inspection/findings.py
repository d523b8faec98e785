"""What a check of a data set of dialogues found."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from mediround.data.inspection.necessity import OracleReport

_SHOWN: Final = 20


@dataclass
class Findings:
    """What was checked, and what is wrong with it.

    Attributes:
        images, dialogues, rounds: that were looked at.
        problems: kind of problem -> the first of them in words.
        counts: kind of problem -> how many.
        oracle: how well words alone answer the rounds that are marked as needing references;
            None where that was not asked for.
        warnings: what a user should know although the format is kept.
    """

    images: int = 0
    dialogues: int = 0
    rounds: int = 0
    problems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter)
    oracle: OracleReport | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Nothing is wrong."""
        return not self.counts

    def add(self, kind: str, what: str) -> None:
        """Note a problem."""
        self.counts[kind] += 1
        if len(self.problems[kind]) < _SHOWN:
            self.problems[kind].append(what)

    def as_json(self) -> dict[str, Any]:
        """As JSON values."""
        oracle = None
        if self.oracle is not None:
            oracle = asdict(self.oracle) | {
                "necessary_share": self.oracle.necessary_share,
                "answered_share": self.oracle.answered_share,
                "guessed_share": self.oracle.guessed_share,
            }
        return {
            "passed": self.passed,
            "images": self.images,
            "dialogues": self.dialogues,
            "rounds": self.rounds,
            "problems": {
                kind: {"count": self.counts[kind], "first": listed}
                for kind, listed in self.problems.items()
            },
            "warnings": self.warnings,
            "oracle": oracle,
        }
