"""Whole files of dialogues from one format into the other, with a count of what was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediround.data.official.json_items import ItemWriter, read_items
from mediround.data.official.masks import MaskFolder, Root
from mediround.data.official.pruning import prune
from mediround.data.official.reading import read_record
from mediround.data.official.record import EXTRA, ORIGIN, InexpressibleError, OfficialRecord
from mediround.data.official.typed_files import TypedItem, read_typed
from mediround.data.official.writing import from_dialogue, objections
from mediround.errors import ImageFileError
from mediround.imaging import Image, ensure_folder
from mediround.imaging.output import replacing
from mediround.imaging.overlay import display, write_picture
from mediround.quirks import OfficialQuirks

Progress = Callable[[int], None]
"""Called with the number of dialogues read so far."""

_SHOWN = 3


@dataclass
class Conversion:
    """What a conversion did.

    Attributes:
        read, written: dialogues.
        refused: reason -> dialogues that the other format cannot say.
        dropped: reason -> rounds left out of dialogues that were written.
        respelled: dialogues whose official text would be written differently, to the same effect.
        without_reference: dialogues that the official loader stops at, since nothing in them
            refers to anything.
        examples: where the first refusals are.
    """

    read: int = 0
    written: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    respelled: int = 0
    without_reference: int = 0
    examples: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        counted = {"refused": dict(self.refused), "dropped": dict(self.dropped)}
        return vars(self) | counted

    def refuse(self, where: str, reason: str) -> None:
        """Count a dialogue that cannot be said."""
        self.refused[reason] += 1
        if len(self.examples) < _SHOWN:
            self.examples.append(f"{where}: {reason}")

    def check(self) -> None:
        """Raise unless everything was converted.

        Raises:
            InexpressibleError: it was not.
        """
        if self.refused:
            raise InexpressibleError(
                f"{sum(self.refused.values())} of {self.read} dialogues cannot be said in the "
                f"other format ({'; '.join(self.examples)})",
                where="nothing was converted",
                remedy="--drop leaves out what cannot be said, and counts it",
            )


def convert_to_typed(
    source: Path,
    out: Path,
    *,
    root: Path | None = None,
    drop: bool = False,
    quirks: OfficialQuirks | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Official JSON -> JSON lines of typed dialogues, masks inline, images copied beside them.

    Args:
        source: a JSON list of official dialogues, or one of them.
        out: the file to write.
        root: folder of the images and masks; by default the folder of ``source``.
        drop: leave out and count what cannot be said, instead of converting nothing.
        quirks: of these, ``only_255_is_mask``.
        progress: told how many have been read.

    Raises:
        InexpressibleError: a dialogue cannot be said and ``drop`` is False; nothing is written.
        DatasetError: the file is no list of dialogues.
    """
    found = Conversion()
    data = Root(root or source.parent, quirks or OfficialQuirks())
    target = Root(ensure_folder(out.parent))
    with replacing(out) as handle:
        for number, value in enumerate(read_items(source)):
            found.read += 1
            try:
                item, respelled = _typed(value, data, f"dialogue {number}")
                data.copy(item.dialogue.image or "", target)
            except (InexpressibleError, ImageFileError) as error:
                found.refuse(f"dialogue {number}", getattr(error, "reason", str(error)))
                continue
            handle.write(item.line())
            found.written += 1
            found.respelled += respelled
            found.without_reference += not any(each.references for each in item.dialogue.rounds)
            if progress is not None:
                progress(found.read)
        if not drop:
            found.check()
    return found


def convert_to_official(
    source: Path,
    out: Path,
    *,
    drop: bool = False,
    plain: bool = False,
    progress: Progress | None = None,
) -> Conversion:
    """Typed dialogues -> official JSON, with ``images/`` and ``masks/`` beside it.

    Args:
        source: JSON lines, or a folder that ``data build`` has written.
        out: the file to write; its folder is the official ``dataset_dir``.
        drop: leave out and count what cannot be said, instead of converting nothing.
        plain: keep nothing under the key ``mediround``.
        progress: told how many have been read.

    Raises:
        InexpressibleError: a dialogue cannot be said and ``drop`` is False; nothing is written.
        DatasetError: the source holds no typed dialogues.
    """
    if not drop:
        # Masks are files of their own: nothing is written before everything is known to fit.
        _rehearse(source, progress)
    found = Conversion()
    folder, target = Root(source.parent), Root(ensure_folder(out.parent))
    masks = MaskFolder(target)
    with replacing(out) as handle:
        writer = ItemWriter(handle)
        for item in read_typed(source):
            found.read += 1
            try:
                value = _official(item, folder, target, masks, found, drop=drop, plain=plain)
            except (InexpressibleError, ImageFileError) as error:
                found.refuse(item.where, getattr(error, "reason", str(error)))
                continue
            writer.write(value)
            if progress is not None:
                progress(found.read)
        writer.close()
        found.written = writer.written
        if not drop:
            found.check()
    return found


def _typed(value: Any, data: Root, where: str) -> tuple[TypedItem, bool]:
    """The dialogue, and whether its official text would be written differently."""
    record = OfficialRecord.from_json(value)
    read = read_record(record, data.mask)
    size = data.image_size(read.dialogue.image or "")
    for entity in read.dialogue.entities():
        if entity.mask is not None and entity.mask.size != size:
            raise InexpressibleError("a mask has another size than its image")
    item = TypedItem(where, read.dialogue, record.origin)
    if objections(read.dialogue):
        return item, True
    again = from_dialogue(read.dialogue, lambda _, entity: read.paths[entity.id])
    return item, again.record.turns != record.turns


def _rehearse(source: Path, progress: Progress | None) -> None:
    found = Conversion()
    for item in read_typed(source):
        found.read += 1
        _, reasons = prune(item.dialogue)
        if reasons:
            found.refuse(item.where, reasons[0])
        if progress is not None:
            progress(found.read)
    found.check()


def _official(
    item: TypedItem,
    folder: Root,
    target: Root,
    masks: MaskFolder,
    found: Conversion,
    *,
    drop: bool,
    plain: bool,
) -> dict[str, Any]:
    dialogue, reasons = prune(item.dialogue)
    if dialogue is None:
        raise InexpressibleError(reasons[0])
    if drop:
        found.dropped.update(reasons)
    image = dialogue.image or ""
    if item.picture is None:
        folder.copy(image, target)
        if any(e.mask and e.mask.size != folder.image_size(image) for e in dialogue.entities()):
            raise InexpressibleError("a mask has another size than its image")
    elif not target.path(image).exists():
        ensure_folder(target.path(image).parent)
        write_picture(target.path(image), _eight_bits(item.picture()))
    written = from_dialogue(
        dialogue, lambda place, entity: masks.name(image, place, entity), plain=plain
    )
    for path, mask in written.masks.items():
        masks.write(path, mask)
    value = written.record.to_json()
    if item.origin and not plain:
        value.setdefault(EXTRA, {})[ORIGIN] = dict(item.origin)
    found.without_reference += not any(each.references for each in dialogue.rounds)
    return value


def _eight_bits(image: Image) -> NDArray[np.uint8]:
    """(H, W, 3) as the official loader reads it: 8 bits as they are, more as they are displayed."""
    if image.pixels.dtype != np.uint8:
        return display(image)
    gray = image.pixels.ndim == 2
    return np.repeat(image.pixels[..., None], 3, axis=2) if gray else image.pixels
