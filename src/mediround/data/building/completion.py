"""What describes a data set of dialogues as a whole: index, report, card, manifest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mediround.data.building.dialogues import COUNTED
from mediround.data.building.journal import Journal, Refused
from mediround.data.building.plan import Plan
from mediround.data.building.settings import BuildSettings
from mediround.data.shards.card import croissant, data_card
from mediround.data.shards.folder import INDEX, MANIFEST, REPORT, Manifest, ShardEntry
from mediround.data.sources import Source
from mediround.imaging.output import replacing


def complete(
    laid_out: Plan,
    refused: Sequence[Refused],
    sources: Sequence[Source],
    journal: Journal,
    out: Path,
    settings: BuildSettings,
) -> Manifest:
    """Write index, report and card, and last the manifest, which says that the data set is whole.

    Args:
        laid_out: the shards in their order, and what was left out.
        refused: cases that could not be used.
        sources: what the images came from.
        journal: what is known of every shard; all of them are written.
        out: the folder of the data set.
        settings: what was asked for.

    Raises:
        OutputError: a file cannot be written.
    """
    lines = journal.finished_shards()
    shards: list[ShardEntry] = []
    tallies = {
        split: Counter[str](dict.fromkeys(("images", *COUNTED), 0) | {"patients": count})
        for split, count in laid_out.patients.items()
    }
    per_source: dict[str, Counter[str]] = {source.name: Counter() for source in sources}
    with replacing(out / INDEX) as file:
        for shard in laid_out.shards:
            line = lines[shard.path]
            for entry in line["index"]:
                file.write((json.dumps(entry, ensure_ascii=False) + "\n").encode())
                own = per_source[entry["dataset"]]
                own.update(images=1, dialogues=entry["dialogues"])
            tallies[shard.split].update({"images": line["images"], **line["tally"]})
            kept = ("path", "split", "sha256", "bytes", "images", "dialogues")
            shards.append(ShardEntry(**{name: line[name] for name in kept}))
    _write_json(out / REPORT, _report(laid_out, refused))
    manifest = Manifest(
        settings=json.loads(json.dumps(settings.described())),
        sources={s.name: _source_facts(s, per_source[s.name], refused) for s in sources},
        splits={split: dict(sorted(tally.items())) for split, tally in tallies.items()},
        shards=tuple(shards),
    )
    with replacing(out / "README.md") as file:
        file.write(data_card(manifest).encode())
    with replacing(out / MANIFEST) as file:
        file.write(manifest.model_dump_json(indent=1).encode() + b"\n")
    _write_json(out / "croissant.json", croissant(manifest, out))
    return manifest


def _source_facts(
    source: Source, counts: Mapping[str, int], refused: Sequence[Refused]
) -> dict[str, Any]:
    return {
        "modality": source.modality.value,
        "licence": source.licence,
        "entities": list(source.entities),
        "images": counts.get("images", 0),
        "dialogues": counts.get("dialogues", 0),
        "bad_cases": sum(each.dataset == source.name for each in refused),
    }


def _report(laid_out: Plan, refused: Sequence[Refused]) -> dict[str, Any]:
    return {
        "bad_cases": [
            {"dataset": each.dataset, "case": each.case, "reason": each.reason} for each in refused
        ],
        "duplicates": dict(laid_out.duplicates),
        "without_structures": list(laid_out.empty),
        "images_without_dialogues": laid_out.unused,
    }


def _write_json(path: Path, value: Any) -> None:
    with replacing(path) as file:
        file.write((json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())
