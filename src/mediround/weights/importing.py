"""Somebody's checkpoints -> canonical tensors, every key accounted for.

``examine`` opens the files in a child process and decides from names and shapes alone what goes
where; ``Examination.write`` then copies, tensor by tensor, without ever holding a checkpoint in
memory. Several sources together may make up one model: LLaVA-Med, CLIP and MedSAM, or a model
and its adapter.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

from mediround.errors import CheckpointFileError
from mediround.weights.architecture import (
    Architecture,
    infer_language,
    infer_lora,
    infer_sam,
    infer_tower,
)
from mediround.weights.checkpoint_files import CheckpointFiles, find_files
from mediround.weights.configurations import Configurations, read_configurations
from mediround.weights.examination import BASE, Examination, SourceReport, some
from mediround.weights.expected import (
    HEADS,
    expected_ranks,
    expected_shapes,
    sam_shapes,
    tower_shapes,
)
from mediround.weights.layouts import LAYOUTS, Part, detect, part_of, place
from mediround.weights.naming import naming_of, strip
from mediround.weights.tensors import Listing, Move, Tensor, list_tensors

#: Written beside what was imported.
RECORD_FILE = "imported.json"
#: Without one of these no MediRound runs; judge, corrector and adapters may be absent.
WHOLE: frozenset[Part] = BASE | {*HEADS}


@dataclass
class _Account:
    """Every key of every source, while they are read."""

    used: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    moves: dict[str, Move] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    parts: set[Part] = field(default_factory=set)

    def take(self, tensor: Tensor, targets: tuple[str, ...], source: Path) -> None:
        rows = tensor.shape[0] // len(targets) if tensor.shape else 0
        for number, target in enumerate(targets):
            if target in self.moves:
                raise CheckpointFileError(
                    f"{target} comes twice, from {self.keys[target]} in "
                    f"{self.moves[target].tensor.file.name} and {tensor.key} in {source.name}",
                    expected="each tensor once",
                    remedy="leave one of the sources out",
                )
            part = (number * rows, (number + 1) * rows) if len(targets) > 1 else None
            self.moves[target] = Move(tensor, target, part)
            self.keys[target] = tensor.key
        self.used[tensor.key] = targets


def examine(
    sources: Sequence[Path], *, bases: Sequence[Path] = (), lora_alpha: int | None = None
) -> Examination:
    """Find out what ``sources`` are and what an import would make of them.

    Args:
        sources: checkpoints that together make up a model or parts of it.
        bases: folders with configuration and tokenizer, no tensors of which are read.
        lora_alpha: the scale of the adapters, when ``adapter_config.json`` does not tell it and
            the official default (16) does not hold.

    Raises:
        CheckpointFileError: something is no checkpoint, of no known layout, ambiguous, or would
            run code.
    """
    account = _Account()
    found = [find_files(source) for source in sources]
    listings = list_tensors([file for checkpoint in found for file in checkpoint.files])
    reports = tuple(_read(checkpoint, listings, account) for checkpoint in found)
    everywhere = (*bases, *(checkpoint.folder for checkpoint in found))
    configurations = read_configurations(everywhere)
    parts = _parts(account)
    wanted = expected_ranks(parts, account.moves, configurations)
    surplus = [target for target in account.moves if target not in wanted]
    dropped = {account.keys[target] for target in surplus}
    for target in surplus:
        del account.moves[target]
    missing = tuple(name for name in wanted if name not in account.moves)
    shapes = {name: move.shape for name, move in account.moves.items()}
    misshapen = _flat(shapes, wanted)
    architecture = None
    if not missing and not misshapen:
        architecture, misshapen = _measure(parts, shapes, configurations, account.moves, lora_alpha)
    return Examination(
        used={key: names for key, names in account.used.items() if key not in dropped},
        unexpected=tuple(sorted({*account.unknown, *dropped})),
        ignored=account.ignored,
        missing=missing,
        misshapen=misshapen,
        parts=parts,
        moves=tuple(account.moves.values()),
        architecture=architecture,
        sources=reports,
        folders=everywhere,
    )


def completed(
    examination: Examination, added: Path, *, fresh: tuple[str, ...], seed: int
) -> Examination:
    """``examination`` with the tensors of a file of this program's own.

    Args:
        examination: complete.
        added: canonical names; they take the place of tensors that were there.
        fresh: names of those that nobody has trained.
        seed: of these.

    Raises:
        WeightsError: the tensors do not fit each other.
    """
    listing = list_tensors([added])[added]
    moves = {move.target: move for move in examination.moves}
    moves |= {tensor.key: Move(tensor, tensor.key) for tensor in listing.tensors}
    present = {part for part in map(part_of, moves) if part is not None}
    parts = _ordered({*examination.parts, *present})
    shapes = {name: move.shape for name, move in moves.items()}
    configurations = read_configurations(examination.folders)
    architecture, misshapen = _measure(parts, shapes, configurations, moves, None)
    whole = replace(
        examination,
        parts=parts,
        moves=tuple(moves.values()),
        architecture=architecture,
        misshapen=misshapen,
        fresh=fresh,
        seed=seed,
    )
    whole.require_complete()
    return whole


def _read(
    found: CheckpointFiles, listings: Mapping[Path, Listing], account: _Account
) -> SourceReport:
    """Enter every key of one source into the account."""
    source = found.source
    tensors = [tensor for file in found.files for tensor in listings[file].tensors]
    others = {k: kind for file in found.files for k, kind in listings[file].others.items()}
    _check_index(tensors, found.indexed)
    names = strip([tensor.key for tensor in tensors])
    layout = detect(name for name in names.values() if name is not None)
    if layout is None:
        raise CheckpointFileError(
            f"{source.name} holds {len(names)} tensors of no known layout: {some(tuple(names))}",
            expected=f"one of {', '.join(known.name for known in LAYOUTS)}",
        )
    account.parts.update(_recorded_parts(source) or layout.parts)
    account.ignored.update((key, f"no tensor but {kind}") for key, kind in others.items())
    tied: list[tuple[Tensor, tuple[str, ...], str]] = []
    for tensor in tensors:
        name = names[tensor.key]
        if name is None:
            account.ignored[tensor.key] = "superseded by the copy that was trained"
            continue
        targets, reason = place(layout, name)
        if not targets:
            if reason:
                account.ignored[tensor.key] = reason
            else:
                account.unknown.append(tensor.key)
        elif reason:
            tied.append((tensor, targets, reason))
        else:
            account.take(tensor, targets, source)
    for tensor, targets, reason in tied:
        if all(target in account.moves for target in targets):
            account.ignored[tensor.key] = reason
        else:
            account.take(tensor, targets, source)
    return SourceReport(
        path=source,
        layout=layout.name,
        container=found.container,
        naming=naming_of(names),
        wrapper=listings[found.files[0]].wrapper,
        files=tuple(file.name for file in found.files),
        passed_over=found.passed_over,
    )


def _recorded_parts(source: Path) -> tuple[Part, ...]:
    """What an earlier import of parts wrote into ``source``; nothing for any other checkpoint."""
    file = source / RECORD_FILE
    if not file.is_file():
        return ()
    try:
        parts = json.loads(file.read_text(encoding="utf-8"))["parts"]
        return tuple(part for part in get_args(Part) if part in parts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointFileError(f"{file.name} cannot be read ({type(error).__name__})") from error


def _check_index(tensors: Sequence[Tensor], indexed: Mapping[str, Path]) -> None:
    """What an index promises must be in the shard that it names; no key comes twice."""
    there = Counter(tensor.key for tensor in tensors)
    twice = [key for key, count in there.items() if count > 1]
    if twice:
        files = [t.file.name for t in tensors if t.key == twice[0]]
        raise CheckpointFileError(
            f"{twice[0]} is in {' and in '.join(files)}",
            expected="each tensor once",
            remedy="name the file that is meant",
        )
    where = {tensor.key: tensor.file for tensor in tensors}
    lost = [key for key, file in indexed.items() if where.get(key) != file]
    if lost:
        raise CheckpointFileError(
            f"{indexed[lost[0]].name} lacks {lost[0]}, which the index says is there",
            remedy="fetch the shards again",
        )


def _parts(account: _Account) -> tuple[Part, ...]:
    """Parts that must be complete: what the layouts promise, and what is there in pieces."""
    present = {part for part in map(part_of, account.moves) if part is not None}
    return _ordered(account.parts | present)


def _ordered(parts: Set[Part]) -> tuple[Part, ...]:
    every: tuple[Part, ...] = get_args(Part)
    return tuple(part for part in every if part in parts)


def _flat(shapes: Mapping[str, tuple[int, ...]], wanted: Mapping[str, int]) -> dict[str, str]:
    return {
        name: f"has the shape {list(shape)}"
        for name, shape in shapes.items()
        if len(shape) != wanted[name] or 0 in shape
    }


def _measure(
    parts: tuple[Part, ...],
    shapes: Mapping[str, tuple[int, ...]],
    configurations: Configurations,
    moves: Mapping[str, Move],
    lora_alpha: int | None,
) -> tuple[Architecture | None, dict[str, str]]:
    """Sizes if the model is whole, and which shapes contradict them."""
    assumed: dict[str, float] = {}
    architecture = None
    wanted: dict[str, tuple[int, ...]] = {}
    if WHOLE.issubset(parts):
        jcm = shapes.get("model.mask_quality_MLP.fc1.weight")
        architecture = Architecture(
            language=infer_language(shapes, configurations.language),
            tower=infer_tower(shapes, configurations, assumed),
            sam=infer_sam(shapes),
            seg_width=shapes["model.text_hidden_fcs.0.2.weight"][0],
            jcm_inner=None if jcm is None else jcm[0],
            lora=infer_lora(shapes, configurations.adapter, lora_alpha, assumed),
            dtype=moves["model.embed_tokens.weight"].tensor.dtype,
            assumed=assumed,
        )
        wanted = expected_shapes(architecture)
    elif "sam" in parts:
        wanted = sam_shapes(infer_sam(shapes))
    if architecture is None and "tower" in parts:
        wanted |= tower_shapes(infer_tower(shapes, configurations, assumed))
    faults = {
        name: f"has the shape {list(shapes[name])}, expected {list(shape)}"
        for name, shape in wanted.items()
        if shapes[name] != shape
    }
    return architecture, faults
