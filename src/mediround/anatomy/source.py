"""Reads ``entities/*.toml`` into entities, with sides expanded and relations closed.

An entry whose name contains ``{side}`` stands for two entities; ``{side}`` and ``{other}`` are
filled in everywhere, and the two become each other's pair. A relation is written once, at
whichever end reads better; its inverse is added here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, cast

from mediround.anatomy.entity import (
    ENTITY_KINDS,
    INVERSES,
    SUBSTANCE_KINDS,
    EntityType,
    SnomedCode,
)

_TEXT_LISTS = ("synonyms", "lay", "labels", "together", "descriptions")
_KEYS = {
    *_TEXT_LISTS,
    *ENTITY_KINDS,
    *SUBSTANCE_KINDS,
    *("name", "noun", "body_region", "system", "side", "pair", "part_of", "snomed"),
}

_Links = dict[str, dict[str, list[str]]]


def read_entities() -> tuple[EntityType, ...]:
    """All entities of the package data, in file order, with their relations in both directions."""
    entries = [side for entry in _read_entries() for side in _expand_sides(entry)]
    links, media = _close_relations(entries)
    return tuple(_build(entry, links[entry["name"]], media[entry["name"]]) for entry in entries)


def _read_entries() -> Iterator[dict[str, Any]]:
    import tomllib  # both cost more than the rest of the package, and only reading needs them
    from importlib.resources import files

    folder = files(__package__).joinpath("entities")
    for path in sorted(folder.iterdir(), key=lambda item: item.name):
        if not path.name.endswith(".toml"):
            continue
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        for entry in document["entity"]:
            unknown = set(entry) - _KEYS
            assert not unknown, f"{path.name}: {entry['name']} has unknown keys {sorted(unknown)}"
            yield {"body_region": document["body_region"], **entry}


def _expand_sides(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "{side}" not in entry["name"]:
        yield entry
        return
    for side, other in (("left", "right"), ("right", "left")):
        sided = cast("dict[str, Any]", _fill(entry, side, other))
        yield {**sided, "side": side, "pair": entry["name"].replace("{side}", other)}


def _fill(value: object, side: str, other: str) -> object:
    if isinstance(value, str):
        return value.replace("{side}", side).replace("{other}", other)
    if isinstance(value, list):
        return [_fill(item, side, other) for item in value]
    if isinstance(value, dict):
        return {key: _fill(item, side, other) for key, item in value.items()}
    return value


def _close_relations(entries: list[dict[str, Any]]) -> tuple[_Links, _Links]:
    """Every relation at both of its ends, and for each flow what flows."""
    links: _Links = defaultdict(lambda: defaultdict(list))
    media: _Links = defaultdict(lambda: defaultdict(list))
    inverses = {**{inverse: kind for kind, inverse in INVERSES.items()}, **INVERSES}
    for entry in entries:
        name = entry["name"]
        for medium, targets in entry.get("flows_into", {}).items():
            for target in targets:
                media[name][target].append(medium)
        for kind in ENTITY_KINDS:
            ends = media[name] if kind == "flows_into" else entry.get(kind, ())
            for end in ends:
                _link(links, name, kind, end)
                _link(links, end, inverses[kind], name)
        for kind in SUBSTANCE_KINDS:
            for substance in entry.get(kind, ()):
                _link(links, name, kind, substance)
    return links, media


def _link(links: _Links, name: str, kind: str, end: str) -> None:
    if end not in links[name][kind]:
        links[name][kind].append(end)


def _build(
    entry: dict[str, Any], links: Mapping[str, list[str]], media: Mapping[str, list[str]]
) -> EntityType:
    lists = {key: tuple(entry.get(key, ())) for key in _TEXT_LISTS}
    return EntityType(
        name=entry["name"],
        noun=entry["noun"],
        body_region=entry["body_region"],
        system=entry["system"],
        laterality=cast("Literal['left', 'right'] | None", entry.get("side")),
        pair=entry.get("pair"),
        part_of=entry.get("part_of"),
        relations=MappingProxyType({kind: tuple(ends) for kind, ends in links.items()}),
        media=MappingProxyType({end: tuple(what) for end, what in media.items()}),
        snomed=SnomedCode(*entry["snomed"]) if "snomed" in entry else None,
        **lists,
    )
