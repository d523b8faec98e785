"""Dialogues to learn from, wherever they are: built data sets, typed files, official files.

A *talk* is one dialogue about one image. Talks are cheap; pixels and masks are read when asked.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol

from mediround.data.shards import DialogueFolder, IndexEntry, Sample
from mediround.dialogue import Dialogue
from mediround.errors import DatasetError
from mediround.evaluation.selection import spread
from mediround.evaluation.stored import FileImage, typed_dialogues
from mediround.imaging import Image
from mediround.training.staged.recipe import DataSettings

Split = Literal["train", "validation"]

_OPENED = 64
"""Images whose pixels and dialogues are remembered."""


class Pictured(Protocol):
    """An image with dialogues about it."""

    @property
    def key(self) -> str:
        """Names it; equal keys, equal pixels."""

    def image(self) -> Image:
        """Its pixels."""

    def dialogues(self) -> Sequence[Dialogue]:
        """What is said about it."""


@dataclass(frozen=True)
class Talk:
    """Dialogue ``number`` about an image."""

    pictured: Pictured
    number: int

    @property
    def key(self) -> str:
        """Unique among all talks."""
        return f"{self.pictured.key}-{self.number}"

    @property
    def dialogue(self) -> Dialogue:
        """The rounds."""
        return self.pictured.dialogues()[self.number]


@dataclass(frozen=True)
class Shelved:
    """An image of a built data set."""

    folder: Path
    entry: IndexEntry

    @property
    def key(self) -> str:
        """Of its pixels."""
        return self.entry.key

    def image(self) -> Image:
        """Read from its shard."""
        return _sample(self).image()

    def dialogues(self) -> Sequence[Dialogue]:
        """Read from its shard."""
        return [record.dialogue for record in _sample(self).records]

    def __hash__(self) -> int:
        return hash((self.folder, self.entry.key))


@dataclass(frozen=True)
class Filed:
    """An image file, and the dialogues of a file that lies beside it."""

    held: FileImage
    key: str

    def image(self) -> Image:
        """Read from the file."""
        return _opened(self)

    def dialogues(self) -> Sequence[Dialogue]:
        """As the file of dialogues says."""
        return self.held.said

    def __hash__(self) -> int:
        return hash(self.key)


def find_talks(sources: Iterable[Path], settings: DataSettings) -> dict[Split, Sequence[Talk]]:
    """All dialogues of several sources, by split.

    Args:
        sources: folders that ``mediround data build`` wrote, and files of typed or official
            dialogues.
        settings: splits, shares, limits.

    Raises:
        DatasetError: a source is none of these, or no dialogue is there to learn from.
    """
    found: dict[Split, list[Talk]] = {"train": [], "validation": []}
    for source in sources:
        held = _built(source, settings) if source.is_dir() else _filed(source, settings.held_out)
        for split, talks in held.items():
            found[split] += talks
    if not found["train"]:
        raise DatasetError(
            "there are no dialogues to learn from",
            expected=f"a split {settings.train!r} of a built data set, or files of dialogues",
        )
    return {split: spread(talks, settings.limit) for split, talks in found.items()}


def fingerprints(sources: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of what says what each source holds.

    Of a built data set the manifest, which has the hash of every shard in it, and the data card;
    of a file itself.
    """
    found: dict[str, str] = {}
    for source in sources:
        cards = ("dataset.json", "README.md") if source.is_dir() else ("",)
        for card in cards:
            path = source / card if card else source
            if not path.is_file():
                continue
            with path.open("rb") as file:
                found[f"{source.name}/{card}".rstrip("/")] = hashlib.file_digest(
                    file, "sha256"
                ).hexdigest()
    return found


def _built(folder: Path, settings: DataSettings) -> dict[Split, list[Talk]]:
    held = DialogueFolder(folder)
    if settings.train not in held.manifest.splits:
        raise DatasetError(
            f"{folder.name} has no split {settings.train!r}",
            expected=f"one of {', '.join(held.manifest.splits)}",
        )
    found: dict[Split, list[Talk]] = {"train": [], "validation": []}
    names: dict[str, Split] = {settings.validation: "validation", settings.train: "train"}
    for entry in held.index():
        if entry.split in names:
            pictured = Shelved(folder, entry)
            found[names[entry.split]] += [Talk(pictured, n) for n in range(entry.dialogues)]
    return found


def _filed(file: Path, held_out: float) -> dict[Split, list[Talk]]:
    chosen, _, _ = typed_dialogues(file, None)
    found: dict[Split, list[Talk]] = {"train": [], "validation": []}
    for each in chosen:
        assert isinstance(each, FileImage)
        name = json.dumps([str(file), each.case])
        pictured = Filed(each, hashlib.sha256(name.encode()).hexdigest()[:32])
        # By patient, so that nobody is in both; by hash, so that more data moves nobody.
        share = int(hashlib.sha256(each.patient.encode()).hexdigest()[:8], 16) / 16**8
        split: Split = "validation" if share < held_out else "train"
        found[split] += [Talk(pictured, number) for number in range(len(each.said))]
    return found


@lru_cache(maxsize=_OPENED)
def _sample(shelved: Shelved) -> Sample:
    return DialogueFolder(shelved.folder).fetch(shelved.entry)


@lru_cache(maxsize=_OPENED)
def _opened(filed: Filed) -> Image:
    return filed.held.image()
