"""What describes a data set of dialogues as a whole: index, report, card, manifest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mediround.data.building.dialogues import COUNTED
from mediround.data.building.journal import Journal, Refused
from mediround.data.building.origins import Origin, origins
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
    known = origins(sources, (image for shard in laid_out.shards for image, _ in shard.images))
    per_source: dict[str, Counter[str]] = {name: Counter() for name in known}
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
    _write_json(out / REPORT, _report(laid_out, refused, journal.empty_cases()))
    manifest = Manifest(
        settings=json.loads(json.dumps(settings.described())),
        sources=_sources(known, per_source, refused, sources),
        splits={split: dict(sorted(tally.items())) for split, tally in tallies.items()},
        shards=tuple(shards),
    )
    with replacing(out / "README.md") as file:
        file.write(data_card(manifest).encode())
    with replacing(out / MANIFEST) as file:
        file.write(manifest.model_dump_json(indent=1).encode() + b"\n")
    _write_json(out / "croissant.json", croissant(manifest, out))
    return manifest


def _sources(
    known: Mapping[str, Origin],
    counts: Mapping[str, Mapping[str, int]],
    refused: Sequence[Refused],
    sources: Sequence[Source],
) -> dict[str, Any]:
    """What the manifest says of each data set; and of sources with bad cases of their own."""
    bad = Counter(each.dataset for each in refused)
    told: dict[str, Any] = {
        name: {
            "modality": origin.modality.value,
            "licence": origin.licence,
            "entities": list(origin.entities),
            "images": counts[name].get("images", 0),
            "dialogues": counts[name].get("dialogues", 0),
            "bad_cases": bad[name],
        }
        | ({} if origin.source == name else {"source": origin.source})
        for name, origin in known.items()
    }
    for source in sources:
        if bad[source.name] and source.name not in told:
            empty = {"entities": [], "images": 0, "dialogues": 0, "bad_cases": bad[source.name]}
            stated = {"modality": source.modality.value, "licence": source.licence}
            told[source.name] = stated | empty
    return told


def _report(laid_out: Plan, refused: Sequence[Refused], empty: Sequence[str]) -> dict[str, Any]:
    return {
        "bad_cases": [
            {"dataset": each.dataset, "case": each.case, "reason": each.reason} for each in refused
        ],
        "cases_without_structures": list(empty),
        "duplicates": dict(laid_out.duplicates),
        "without_structures": list(laid_out.empty),
        "images_without_dialogues": laid_out.unused,
    }


def _write_json(path: Path, value: Any) -> None:
    with replacing(path) as file:
        file.write((json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())
