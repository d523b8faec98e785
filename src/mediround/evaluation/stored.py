"""Dialogues that somebody has annotated: in a built data set, or in a file beside its images."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mediround import anatomy
from mediround.data.dialogues.builder import DialogueSettings
from mediround.data.official import InexpressibleError, OfficialRecord, to_dialogue
from mediround.data.official.masks import Root
from mediround.data.shards import DialogueFolder, IndexEntry
from mediround.dialogue import Dialogue, Entity, Round
from mediround.errors import DatasetError
from mediround.evaluation.selection import Chosen, Labelled, Part, spread
from mediround.geometry import BoolMask
from mediround.imaging import Image, Modality, Volume, open_image


@dataclass(frozen=True, eq=False)
class Picture:
    """An image with every mask that is known of it."""

    dataset: str
    patient: str
    name: str
    image: Image
    known: Mapping[str, BoolMask]
    oriented: bool = False

    def masks(self) -> Mapping[str, BoolMask]:
        """Entity name -> bool mask (H, W)."""
        return self.known


@dataclass(frozen=True)
class BuiltImage:
    """One image of a built data set; ``folder`` is where the set lies, ``entry`` its line there."""

    folder: Path
    entry: IndexEntry

    @property
    def dataset(self) -> str:
        """Name of the data set that the image is from."""
        return self.entry.dataset

    @property
    def case(self) -> str:
        """Key of the image."""
        return self.entry.key

    @property
    def slices(self) -> tuple[str, ...]:
        """The image."""
        return (self.entry.slice,)

    def read(self) -> Iterator[Labelled]:
        """The image, from its shard."""
        sample = DialogueFolder(self.folder).fetch(self.entry)
        facts = sample.facts
        yield Picture(
            facts.dataset, facts.patient, facts.slice, sample.image(), facts.masks(), facts.oriented
        )

    def dialogues(
        self, each: Labelled, mixture: DialogueSettings, *, per_slice: int | None, seed: int
    ) -> list[Dialogue]:
        """The stored dialogues, ``per_slice`` at most."""
        del each, mixture, seed  # nothing is made here
        records = DialogueFolder(self.folder).fetch(self.entry).records
        return [record.dialogue for record in records[:per_slice]]


@dataclass(frozen=True)
class FileImage:
    """One image file and the dialogues about it.

    Attributes:
        path: the image.
        dataset: as the dialogues say, else the stem of their file.
        patient: as the dialogues say, else the image.
        case: the image's path as the dialogues write it.
        said: the dialogues.
    """

    path: Path
    dataset: str
    patient: str
    case: str
    said: tuple[Dialogue, ...]

    @property
    def slices(self) -> tuple[str, ...]:
        """The image."""
        return (self.case,)

    def image(self) -> Image:
        """Its pixels, of the modality that the dialogues say.

        Raises:
            DatasetError: a volume.
            ImageFileError: it cannot be read.
        """
        image = open_image(self.path, modality=_modality(self.said))
        if isinstance(image, Volume):
            raise DatasetError(f"{self.case} is a volume", expected="a single image per dialogue")
        return image

    def read(self) -> Iterator[Labelled]:
        """The image with the masks of its dialogues.

        Raises:
            DatasetError: a volume, or masks of another size.
            ImageFileError: it cannot be read.
        """
        image = self.image()
        known: dict[str, BoolMask] = {}
        for entity in (entity for each in self.said for entity in each.entities()):
            if entity.mask is None:
                continue
            if entity.mask.size != image.size:
                raise DatasetError(
                    f"a mask of {self.case} has {entity.mask.size[0]} x {entity.mask.size[1]} "
                    "pixels",
                    expected=f"{image.size[0]} x {image.size[1]} like the image",
                )
            known.setdefault(entity.name or "unnamed", entity.mask.decode())
        yield Picture(self.dataset, self.patient, self.case, image, known)

    def dialogues(
        self, each: Labelled, mixture: DialogueSettings, *, per_slice: int | None, seed: int
    ) -> list[Dialogue]:
        """The dialogues of the file, ``per_slice`` at most."""
        del each, mixture, seed  # nothing is made here
        return list(self.said[:per_slice])


def built_dialogues(
    folder: Path, part: Part, limit: int | None, only: Collection[str]
) -> list[Chosen]:
    """Images of a set that ``mediround data build`` wrote.

    Args:
        folder: the set.
        part: a split of it, or "all".
        limit: most images of each data set in it, evenly spread.
        only: names of data sets in it; all when empty.

    Raises:
        DatasetError: the set is damaged, has no such split or data set, or nothing is left.
    """
    held = DialogueFolder(folder)
    wanted = None if part == "all" else part
    if wanted is not None and wanted not in held.manifest.splits:
        raise DatasetError(
            f"{folder.name} has no split {wanted!r}",
            expected=f"one of {', '.join(held.manifest.splits)}, or all",
        )
    groups: dict[str, list[IndexEntry]] = {}
    for entry in held.index():
        if wanted in (None, entry.split) and (not only or entry.dataset in only):
            groups.setdefault(entry.dataset, []).append(entry)
    missing = sorted(set(only) - set(groups))
    if missing or not groups:
        known = ", ".join(held.manifest.sources)
        raise DatasetError(
            f"the {part} part of {folder.name} holds no {', '.join(missing) or 'dialogues'}",
            expected=f"some of {known}",
        )
    return [
        BuiltImage(folder, entry)
        for name in sorted(groups)
        for entry in spread(groups[name], limit)
    ]


def typed_dialogues(file: Path, limit: int | None) -> tuple[list[Chosen], dict[str, str], bool]:
    """Images that a file of dialogues speaks about.

    Args:
        file: ``.jsonl`` with a dialogue a line, ``.json`` with one dialogue or a list of them, or
            the official release's bracket JSON. Paths of images and masks are relative to it.
        limit: most images, evenly spread.

    Returns:
        The images; dialogues that cannot be used, with the reason; and whether the format is the
        official one.

    Raises:
        DatasetError: the file cannot be parsed, or no dialogue of it can be used.
    """
    items = _items(file)
    official = any(isinstance(item, dict) and "conversations" in item for item in items)
    groups: dict[tuple[str, str, str], list[Dialogue]] = {}
    refused: dict[str, str] = {}
    for number, item in enumerate(items, start=1):
        try:
            dialogue = _official(item, file.parent) if official else _typed(item)
            image = _inside(file.parent, dialogue.image)
        except InexpressibleError as error:
            refused[f"dialogue {number}"] = error.reason
            continue
        except DatasetError as error:
            refused[f"dialogue {number}"] = error.found
            continue
        origin = item if isinstance(item, dict) else {}
        dataset, patient = origin.get("dataset", file.stem), origin.get("patient", image)
        groups.setdefault((image, str(dataset), str(patient)), []).append(_named(dialogue))
    if not groups:
        reason = next(iter(refused.values()), "it is empty")
        raise DatasetError(
            f"no dialogue of {file.name} can be used: {reason}",
            expected="typed dialogues with images, or official bracket JSON",
        )
    made: list[Chosen] = [
        FileImage(file.parent / image, dataset, patient, image, tuple(said))
        for (image, dataset, patient), said in spread(
            sorted(groups.items(), key=lambda item: item[0]), limit
        )
    ]
    return made, refused, official


def _items(file: Path) -> list[Any]:
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".jsonl":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        content = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(
            f"{file.name} cannot be read as JSON ({type(error).__name__})",
            expected="typed dialogues or official bracket JSON",
        ) from error
    return content if isinstance(content, list) else [content]


def _typed(item: Any) -> Dialogue:
    try:
        if isinstance(item, dict) and "dialogue" in item:
            return Dialogue.model_validate(item["dialogue"])
        return Dialogue.model_validate(item)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DatasetError(f"{where or 'it'}: {first['msg']}") from error


def _official(item: Any, root: Path) -> Dialogue:
    return to_dialogue(OfficialRecord.from_json(item), Root(root).mask)


def _inside(root: Path, path: str | None) -> str:
    """``path``, checked not to leave ``root``."""
    if not path:
        raise DatasetError(
            "a dialogue names no image",
            expected="the path of its image",
            remedy="evaluate the built folder instead of a file taken out of it",
        )
    if not (root / path).resolve().is_relative_to(root.resolve()):
        raise DatasetError(f"the path {path!r} leaves the folder of the dialogues")
    return path


def _named(dialogue: Dialogue) -> Dialogue:
    """The dialogue with targets named as their answers call them, where they have no name."""
    rounds = tuple(
        each.model_copy(update={"entities": tuple(_with_name(e, each) for e in each.entities)})
        for each in dialogue.rounds
    )
    return dialogue.model_copy(update={"rounds": rounds})


def _with_name(entity: Entity, each: Round) -> Entity:
    if entity.name is not None or entity.mask is None:
        return entity
    said = anatomy.load().recognise(each.text) if len(each.entities) == 1 else ()
    return entity.model_copy(update={"name": said[0] if len(said) == 1 else "unnamed"})


def _modality(said: tuple[Dialogue, ...]) -> Modality | None:
    try:
        return Modality(said[0].modality or "")
    except ValueError:
        return None  # the file says, or its values suggest
