"""Files of typed dialogues as conversion reads them: JSON lines, or a built data set."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mediround.data.shards.folder import MANIFEST, DialogueFolder, Record
from mediround.dialogue import Dialogue
from mediround.errors import DatasetError
from mediround.imaging import Image

_OWN = {"image", "dialogue"}


@dataclass(frozen=True)
class TypedItem:
    """One dialogue with the path of its image, and what is known of its origin.

    Attributes:
        where: for messages.
        dialogue: ``image`` is a path below the file's folder.
        origin: fields of a :class:`Record` besides the dialogue; empty for a bare dialogue.
        picture: decodes the image where it is not a file of its own.
    """

    where: str
    dialogue: Dialogue
    origin: Mapping[str, Any] = field(default_factory=dict)
    picture: Callable[[], Image] | None = None

    def line(self) -> bytes:
        """As a line of a JSON lines file; :func:`read_typed` reads it back."""
        value = self.dialogue.model_dump(mode="json", exclude_defaults=True)
        if self.origin:
            value = {**self.origin, "dialogue": value}
        return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def read_typed(path: Path) -> Iterator[TypedItem]:
    """The dialogues of a ``.jsonl`` file or of a folder that ``data build`` has written.

    Raises:
        DatasetError: the file cannot be read, or a line is no dialogue.
    """
    if path.is_dir():
        if not (path / MANIFEST).is_file():
            raise DatasetError(
                f"{str(path)!r} holds no {MANIFEST}",
                expected="a built data set, a .jsonl of typed or a .json of official dialogues",
            )
        yield from _built(path)
        return
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _item(line, f"{path.name}:{number}")
    except OSError as error:
        raise DatasetError(f"{str(path)!r} cannot be read ({error.strerror})") from error


def _built(folder: Path) -> Iterator[TypedItem]:
    for sample in DialogueFolder(folder).samples():
        for record in sample.records:
            image = f"images/{sample.key}.png"
            dialogue = record.dialogue.model_copy(update={"image": image})
            yield TypedItem(record.id, dialogue, _origin(record), sample.image)


def _item(line: bytes, where: str) -> TypedItem:
    try:
        value = json.loads(line)
        if isinstance(value, Mapping) and "dialogue" in value:
            record = Record.model_validate({"image": "", **value})
            return TypedItem(where, record.dialogue, _origin(record))
        return TypedItem(where, Dialogue.model_validate(value))
    except (ValueError, RecursionError) as error:
        what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise DatasetError(
            f"{where} is no typed dialogue: {what}",
            expected="one dialogue a line, see docs/format.md",
        ) from error


def _origin(record: Record) -> dict[str, Any]:
    return record.model_dump(mode="json", exclude={"dialogue"}, exclude_none=True)
