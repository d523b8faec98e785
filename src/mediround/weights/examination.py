"""What somebody's checkpoints hold, and what an import would make of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mediround.errors import WeightsError
from mediround.weights.architecture import Architecture
from mediround.weights.checkpoint_files import Container
from mediround.weights.layouts import Part
from mediround.weights.naming import Naming
from mediround.weights.tensors import Move, TensorFile, write_files

#: What a MediRound is made from: LLaVA-Med or LLaVA, CLIP, and MedSAM or SAM.
BASE: frozenset[Part] = frozenset({"language", "projector", "tower", "sam"})


@dataclass(frozen=True)
class SourceReport:
    """What one checkpoint turned out to be.

    Attributes:
        path: what was asked for.
        layout: how its tensors are named; see :data:`mediround.weights.layouts.LAYOUTS`.
        container: how they are packed.
        naming: with or without peft, by version.
        wrapper: where the state dict lay inside the file, such as "module"; "" at the top.
        files: names of the files that were read.
        passed_over: names of weight files beside them that were not.
    """

    path: Path
    layout: str
    container: Container
    naming: Naming
    wrapper: str
    files: tuple[str, ...]
    passed_over: tuple[str, ...]


@dataclass(frozen=True)
class Examination:
    """What an import would do; every key of the sources is in exactly one of the first three.

    Attributes:
        used: key in its source -> canonical names made of it.
        unexpected: keys that no part of a MediRound has.
        ignored: key -> why it is known and not needed.
        missing: canonical names that are needed and not there.
        misshapen: canonical name -> what is wrong with its shape.
        parts: what the sources hold together.
        moves: the copies to be made, to canonical names.
        architecture: sizes of the model; None unless it is whole and complete.
        sources: what each source turned out to be.
        folders: where configurations and tokenizer may lie.
        fresh: canonical names of heads that were made for this import and are untrained.
        seed: of these.
    """

    used: Mapping[str, tuple[str, ...]]
    unexpected: tuple[str, ...]
    ignored: Mapping[str, str]
    missing: tuple[str, ...]
    misshapen: Mapping[str, str]
    parts: tuple[Part, ...]
    moves: tuple[Move, ...]
    architecture: Architecture | None
    sources: tuple[SourceReport, ...]
    folders: tuple[Path, ...]
    fresh: tuple[str, ...] = ()
    seed: int | None = None

    @property
    def is_base(self) -> bool:
        """Whether it is all that a MediRound is made from, and nothing of its own."""
        return set(self.parts) == BASE

    @property
    def bytes(self) -> int:
        """Size of what would be written."""
        return sum(move.bytes for move in self.moves)

    @property
    def naming(self) -> Naming:
        """How the first source with peft's names is named, "plain" if none has them."""
        return next((s.naming for s in self.sources if s.naming != "plain"), "plain")

    def require_complete(self) -> None:
        """Raise unless every needed tensor is there in its shape.

        Raises:
            WeightsError: tensors are missing or misshapen; names the first.
        """
        if self.missing:
            raise WeightsError(
                f"{len(self.missing)} needed tensors are missing: {some(self.missing)}",
                expected=f"all of {', '.join(self.parts)}",
                remedy="give the checkpoint that holds them as a further source",
            )
        if self.misshapen:
            name, fault = next(iter(self.misshapen.items()))
            raise WeightsError(
                f"{len(self.misshapen)} tensors have a wrong shape: {name} {fault}",
                expected="shapes that fit each other and the configuration",
            )

    def write(
        self,
        file: Path,
        *,
        rename: Callable[[str], str] = str,
        tick: Callable[[int], None] | None = None,
    ) -> None:
        """Write all tensors into one safetensors file, values and types as they were.

        Args:
            file: its folder exists.
            rename: canonical name -> name in the file.
            tick: told now and then how many bytes are there.

        Raises:
            WeightsError: not complete.
            OutputError: no space, or the folder cannot be written.
        """
        self.require_complete()
        moves = tuple(replace(move, target=rename(move.target)) for move in self.moves)
        write_files([TensorFile(file, "safetensors", moves)], tick=tick)

    def to_json(self) -> dict[str, Any]:
        """The report, as plain values."""
        return {
            "sources": [
                {
                    "path": str(source.path),
                    "layout": source.layout,
                    "container": source.container,
                    "naming": source.naming,
                    "wrapper": source.wrapper,
                    "files": list(source.files),
                    "passed_over": list(source.passed_over),
                }
                for source in self.sources
            ],
            "parts": list(self.parts),
            "stage": self.architecture.stage if self.architecture else None,
            "assumed": dict(self.architecture.assumed) if self.architecture else {},
            "tensors": len(self.moves),
            "bytes": self.bytes,
            "dtypes": dict(Counter(move.tensor.dtype for move in self.moves)),
            "used": {key: list(names) for key, names in self.used.items()},
            "missing": list(self.missing),
            "unexpected": list(self.unexpected),
            "ignored": dict(self.ignored),
            "misshapen": dict(self.misshapen),
            "fresh": list(self.fresh),
            "fresh_seed": self.seed,
        }


def some(names: Sequence[str]) -> str:
    """The first three of some names."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
