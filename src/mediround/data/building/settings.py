"""What a build of dialogues is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np

from mediround.data.dialogues.builder import DialogueSettings
from mediround.errors import ConfigError

VERSION: Final = 1
"""Raised whenever equal settings begin to give other bytes."""

DEFAULT_SPLIT: Final[Mapping[str, float]] = {"train": 0.8, "validation": 0.1, "test": 0.1}


@dataclass(frozen=True, kw_only=True)
class BuildSettings:
    """Everything besides the sources that decides the bytes of a data set.

    Attributes:
        dialogues: how many in all.
        seed: of every random choice.
        split: name -> share of the patients, adding up to 1; dialogues follow their patient.
        mixture: of the dialogues; its ``wording_split`` is that of the split "train".
        heldout_wording: splits other than "train" use wordings that "train" never does.
        balance: 0 gives every data set equally many dialogues, 1 as many as its images and
            structures suggest; between them a power of that number.
        shard_dialogues: most dialogues of a shard.
        shard_bytes: most bytes of unpacked pixels of a shard.
        rewritten_by: the language model that rewrites questions, None without one.

    Raises:
        ConfigError: a number or share is out of range, or a split has an unusable name.
    """

    dialogues: int
    seed: int = 0
    split: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_SPLIT))
    mixture: DialogueSettings = field(default_factory=DialogueSettings.rich)
    heldout_wording: bool = True
    balance: float = 0.5
    shard_dialogues: int = 1000
    shard_bytes: int = 2**26
    rewritten_by: str | None = None

    def __post_init__(self) -> None:
        if self.dialogues < 1 or self.shard_dialogues < 1 or self.shard_bytes < 1:
            raise ConfigError(
                f"{self.dialogues} dialogues in shards of {self.shard_dialogues}",
                expected="at least 1 of each",
            )
        if not 0 <= self.balance <= 1:
            raise ConfigError(f"balance is {self.balance}", expected="0 to 1")
        shares = self.split.values()
        if not self.split or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
            raise ConfigError(
                f"the shares of the splits are {dict(self.split)}",
                expected="positive shares that add up to 1",
            )
        for name in self.split:
            if not name.replace("-", "").replace("_", "").isalnum():
                raise ConfigError(f"a split is called {name!r}", expected="letters and digits")

    def mixture_of(self, split: str) -> DialogueSettings:
        """The mixture that dialogues of ``split`` are drawn from."""
        if self.heldout_wording and split != "train":
            return replace(self.mixture, wording_split="heldout")
        return self.mixture

    def described(self) -> dict[str, Any]:
        """As JSON values, with the version of the builder."""
        return {"version": VERSION, **asdict(self), "split": dict(self.split)}


def generator(seed: int, *names: object) -> np.random.Generator:
    """A generator of its own for whatever ``names`` say, the same on every machine."""
    text = "\0".join(str(name) for name in (seed, *names))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16]))
