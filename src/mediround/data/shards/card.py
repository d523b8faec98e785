"""What a data set of dialogues says about itself: a card for people, Croissant for programs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mediround.data.shards.folder import FORMAT, INDEX, MANIFEST, Manifest

_UNKNOWN = "not stated"
_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The JSON-LD context of Croissant 1.0, in which "containedIn" is schema.org's."""

_INDEX_FIELDS: Mapping[str, tuple[str, str]] = {
    "key": ("sc:Text", "Name of the image: 32 hexadecimal digits of its SHA-256."),
    "split": ("sc:Text", "Split of its patient."),
    "shard": ("sc:Text", "The tar that holds the image and its dialogues."),
    "dataset": ("sc:Text", "The labelled data set that the image comes from."),
    "patient": ("sc:Text", "Whose image it is; a patient is in one split."),
    "modality": ("sc:Text", "CT, MR, US, XR, ENDOSCOPY, OTHER or UNKNOWN."),
    "dialogues": ("sc:Integer", "Number of dialogues about the image."),
}

_FILE_FIELDS: Mapping[str, tuple[str, str]] = {
    "filename": ("sc:Text", "Key of the image, and .dialogues.jsonl."),
    "content": ("sc:Text", "The dialogues about it, one JSON object a line: docs/format.md."),
}
_LINES = "dialogue-files"

_COLUMNS = ("patients", "images", "dialogues", "rounds", "masks")


def data_card(manifest: Manifest) -> str:
    """The card, Markdown with the front matter that data hubs read."""
    settings = manifest.settings
    totals = _totals(manifest)
    needing = totals.get("later_rounds_needing_references", 0)
    later = totals.get("later_rounds", 0)
    licences = {name: each["licence"] or _UNKNOWN for name, each in manifest.sources.items()}
    lines = [
        "---",
        "task_categories: [image-segmentation, visual-question-answering]",
        "tags: [medical, dialogue, reasoning-segmentation]",
        "license: other",
        "---",
        "",
        "# Multi-round dialogues about labelled medical images",
        "",
        f"{totals['dialogues']:,} dialogues with {totals['rounds']:,} rounds about "
        f"{totals['images']:,} images. In each round somebody asks for structures of the image, "
        "by name, by description or in relation to masks that came before; the answer brings "
        "their masks. Questions were composed from templates and relations computed from the "
        "masks; nobody wrote or checked them one by one.",
        "",
        "## Splits",
        "",
        *_table(("split", *_COLUMNS), [(s, *_cells(c)) for s, c in manifest.splits.items()]),
        "",
        "Patients are in one split only. Of the rounds after the first, "
        f"{_percent(needing, later)} need their reference: their words alone fit several "
        f"structures of the image. {totals.get('twins', 0):,} dialogues are twins: two have the "
        "same words, other references and another answer.",
        "",
        "## Where the images come from",
        "",
        *_table(
            ("data set", "modality", "images", "dialogues", "bad cases", "licence"),
            [
                (name, s["modality"], s["images"], s["dialogues"], s["bad_cases"], licences[name])
                for name, s in manifest.sources.items()
            ],
        ),
        "",
        "Images and masks keep the licence of the data set that they come from: the strictest "
        "one that is listed binds whoever uses all of them. A licence that is not stated has to "
        "be looked up at the origin.",
        "",
        "## Structures",
        "",
        *(f"- {name}: {', '.join(s['entities'])}" for name, s in manifest.sources.items()),
        "",
        "## How it was made",
        "",
        f"`mediround data build`, seed {settings['seed']}, {settings['dialogues']} dialogues, "
        f"balance {settings['balance']}. `{MANIFEST}` holds every setting; equal settings over "
        "equal sources give equal bytes. `report.json` lists what was left out and why.",
        "",
        "## Limits",
        "",
        "- Relations are those between labelled structures: the nearest structure is the nearest "
        "*labelled* one.",
        "- Errors of the labels are errors of the answers.",
        "- Not for use on patients.",
        "",
    ]
    return "\n".join(lines)


def croissant(manifest: Manifest, folder: Path) -> dict[str, Any]:
    """Croissant 1.0 metadata of a data set in ``folder``, whose index is already written."""
    totals = _totals(manifest)
    licences = sorted({each["licence"] or _UNKNOWN for each in manifest.sources.values()})
    files = [
        _file(name, kind, hashlib.sha256((folder / name).read_bytes()).hexdigest())
        for name, kind in ((INDEX, "application/jsonlines"), (MANIFEST, "application/json"))
    ]
    files += [
        _file(shard.path, "application/x-tar", shard.sha256, size=shard.bytes)
        for shard in manifest.shards
    ]
    files.append(
        {
            "@type": "cr:FileSet",
            "@id": _LINES,
            "name": _LINES,
            "description": "The dialogues about each image, one JSON object a line.",
            "containedIn": [{"@id": shard.path} for shard in manifest.shards],
            "encodingFormat": "application/jsonlines",
            "includes": "*.dialogues.jsonl",
        }
    )
    return {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "name": FORMAT,
        "description": f"{totals['dialogues']:,} multi-round dialogues about {totals['images']:,} "
        "labelled medical images.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "citeAs": "MediRound, arXiv:2511.12110",
        "license": licences,
        "version": f"{manifest.version}.0.0",
        "distribution": files,
        "recordSet": [
            # Lines of JSON are columns to Croissant, and members of a tar are whole files.
            _records("images", "key", _INDEX_FIELDS, ("fileObject", INDEX, "column")),
            _records("dialogues", "filename", _FILE_FIELDS, ("fileSet", _LINES, "fileProperty")),
        ],
    }


def _file(name: str, kind: str, sha256: str, *, size: int | None = None) -> dict[str, Any]:
    told = {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "encodingFormat": kind,
        "sha256": sha256,
    }
    return told if size is None else told | {"contentSize": f"{size} B"}


def _records(
    name: str, key: str, fields: Mapping[str, tuple[str, str]], source: tuple[str, str, str]
) -> dict[str, Any]:
    """Records from a ``source``: file object or set, its name, and how a field is found in it."""
    kind, place, by = source
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "key": {"@id": f"{name}/{key}"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{field}",
                "name": field,
                "description": description,
                "dataType": type_,
                "source": {kind: {"@id": place}, "extract": {by: field}},
            }
            for field, (type_, description) in fields.items()
        ],
    }


def _totals(manifest: Manifest) -> dict[str, int]:
    totals: dict[str, int] = dict.fromkeys(_COLUMNS, 0)
    for counts in manifest.splits.values():
        for name, count in counts.items():
            totals[name] = totals.get(name, 0) + count
    return totals


def _cells(counts: Mapping[str, int]) -> list[int]:
    return [counts.get(name, 0) for name in _COLUMNS]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "none"


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    shown = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in r] for r in rows]
    return [
        f"| {' | '.join(head)} |",
        f"| {' | '.join('---' for _ in head)} |",
        *(f"| {' | '.join(row)} |" for row in shown),
    ]
