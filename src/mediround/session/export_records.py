"""A session as data: COCO json, a typed dialogue, the official release's bracket JSON.

Each has the image beside it as a PNG: as it is where its pixels are 8-bit, else as it is displayed.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from mediround import __version__
from mediround.data.official.brackets import Bracket, split
from mediround.data.official.conversion import convert_to_official
from mediround.data.official.typed_files import TypedItem
from mediround.dialogue import Entity
from mediround.geometry import BoolMask, encode_rle, mask_to_box
from mediround.imaging.output import ensure_folder, replacing
from mediround.imaging.overlay import display
from mediround.imaging.png import encode_png
from mediround.session.export_case import Case, facts_of, place_of, question_of
from mediround.session.notice import NOTICE

_JSON, _LINES = (".json",), (".jsonl", ".json")
_UNNAMED = "unnamed"


def export_coco(case: Case, path: Path) -> list[Path]:
    """One COCO json with an image, a category a name and an annotation a mask (compressed RLE).

    Raises:
        InputError: there are no masks.
        OutputError: a file cannot be written.
    """
    drawn = case.drawn
    target = place_of(path, _JSON, "coco.json")
    picture = _write_image(case, target.parent)
    names = list(dict.fromkeys(entity.name or _UNNAMED for entity, _ in drawn))
    height, width = case.image.size
    content = {
        "info": {
            "description": NOTICE,
            "version": __version__,
            "model": case.stored.model,
            "weights_sha256": case.stored.weights_sha256,
        },
        "licenses": [],
        "images": [
            {"id": 1, "file_name": _name(picture, target), "height": height, "width": width}
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(names, start=1)],
        "annotations": [
            _annotation(case, entity, mask, 1 + names.index(entity.name or _UNNAMED))
            for entity, mask in drawn
        ],
    }
    with replacing(target) as handle:
        handle.write(json.dumps(content, ensure_ascii=False).encode())
    return [target, picture]


def export_dialogue(case: Case, path: Path) -> list[Path]:
    """The dialogue as one line of JSON, which ``data convert`` and training read.

    Raises:
        OutputError: a file cannot be written.
    """
    target = place_of(path, _LINES, "dialogue.jsonl")
    picture = _write_image(case, target.parent)
    dialogue = case.dialogue.model_copy(update={"image": _name(picture, target)})
    with replacing(target) as handle:
        handle.write(TypedItem(target.name, dialogue).line())
    return [target, picture]


def export_official(case: Case, path: Path, *, drop: bool) -> list[Path]:
    """A list of one official dialogue, with ``images/`` and ``masks/`` beside it.

    Raises:
        InputError: the format cannot say a round (several targets, an absent one, two
            references) and ``drop`` is False.
        OutputError: a file cannot be written.
    """
    target = place_of(path, _JSON, "official.json")
    with tempfile.TemporaryDirectory(prefix="mediround-") as folder:
        typed, picture = export_dialogue(case, Path(folder, "dialogue.jsonl"))
        found = convert_to_official(typed, target, drop=drop)
    if not found.written:
        # Dropping left nothing; an empty list would look like success.
        target.unlink()
        found.check()
    items = json.loads(target.read_bytes())
    masks = {part for item in items for part in _masks_named(item)}
    image = target.parent / "images" / picture.name
    return [target, image, *(target.parent / name for name in sorted(masks))]


def _annotation(case: Case, entity: Entity, mask: BoolMask, category: int) -> dict[str, Any]:
    box = mask_to_box(mask)
    corners = (0.0, 0.0, 0.0, 0.0) if box is None else (box.x0, box.y0, box.width, box.height)
    facts = facts_of(entity)
    return {
        "id": entity.id,
        "image_id": 1,
        "category_id": category,
        "segmentation": encode_rle(mask),
        "area": int(np.count_nonzero(mask)),
        "bbox": list(corners),
        "iscrowd": 0,
        "score": facts.pop("score"),
        "attributes": {**facts, "question": question_of(case.dialogue, entity.id)},
    }


def _write_image(case: Case, folder: Path) -> Path:
    """The image as ``images/<hash>.png``, 8 bits: its name holds nothing of a patient."""
    image = case.image
    pixels = image.pixels if image.pixels.dtype == np.uint8 else display(image)
    target = ensure_folder(folder / "images") / f"{image.content_hash[:32]}.png"
    with replacing(target) as handle:
        handle.write(encode_png(np.ascontiguousarray(pixels)))
    return target


def _name(picture: Path, target: Path) -> str:
    return picture.relative_to(target.parent).as_posix()


def _masks_named(item: dict[str, Any]) -> set[str]:
    parts = [part for turn in item["conversations"] for part in split(turn["value"])]
    return {part.path for part in parts if isinstance(part, Bracket) and "MASK" in part.kind}
