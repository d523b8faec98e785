"""Plain pictures with masks: ``images`` and ``masks``, and a names file.

The masks are label maps (``masks/<case>.png``), or one binary file a structure:
``masks/<case>/<structure>.png``, ``masks/<structure>/<case>.png`` or
``masks/<case>_<structure>.png``. A number after the structure tells instances apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from mediround.data.sources.broken_case import BrokenCase
from mediround.data.sources.case import Case
from mediround.data.sources.file_pairs import (
    IMAGE_FOLDERS,
    MASK_FOLDERS,
    PICTURES,
    by_case,
    case_of,
    check_pattern,
    files_in,
    only,
    patient_in,
    stem,
    subfolder,
)
from mediround.data.sources.label_names import FILES, find_names_file, numbered, read_names
from mediround.data.sources.label_table import LabelTable, canonical
from mediround.data.sources.picture_case import MaskFile, MaskFilesCase, PictureCase
from mediround.errors import CaseError, DatasetError
from mediround.imaging.image import Modality

_INSTANCE = re.compile(r"[_\- ]?\d+$")


class _Binary(NamedTuple):
    case: str
    structure: str
    path: Path


class PictureMaskSource:
    """Pictures with label maps or with binary masks.

    Args:
        folder: holds ``images`` and ``masks`` (or similar).
        names: the names file; None looks for one in the folder. Label maps need one. For binary
            masks it is optional and maps the words of file names to names.
        modality: how the pictures were made.
        patient_pattern: regular expression with one group, the patient in the name of a case;
            without it every picture is another patient.
        strict: refuse label values without a name.

    Raises:
        DatasetError: a folder or the names file is missing or cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        *,
        names: Path | None = None,
        modality: Modality = Modality.UNKNOWN,
        patient_pattern: str | None = None,
        strict: bool = True,
    ) -> None:
        check_pattern(patient_pattern)
        self.folder, self.modality, self.patient_pattern = folder, modality, patient_pattern
        self.licence = ""
        image_folder = subfolder(folder, IMAGE_FOLDERS)
        mask_folder = subfolder(folder, MASK_FOLDERS)
        if image_folder is None or mask_folder is None:
            raise DatasetError(
                f"{folder.name} lacks a folder of images or one of masks",
                expected=f"one of {', '.join(IMAGE_FOLDERS)} and one of {', '.join(MASK_FOLDERS)}",
            )
        self._images = {stem(path): path for path in files_in(image_folder, PICTURES)}
        self._label_maps: dict[str, list[Path]] = {}
        self._binary: dict[str, list[_Binary]] = {}
        file = names or find_names_file(folder)
        named = read_names(file) if file else {}
        cases = {case_of(path) for path in self._images.values()} | set(self._images)
        maps = files_in(mask_folder, PICTURES)
        if any(case_of(path) in cases or stem(path) in cases for path in maps):
            if file is None:
                raise DatasetError(
                    f"{folder.name} does not say what its labels are called",
                    expected=f"a names file, one of {', '.join(FILES)}",
                    remedy='write one, for instance names.json with {"1": "polyp"}',
                )
            self._label_maps = by_case(maps)
            self.table = LabelTable(numbered(named, file.name), strict=strict)
            return
        for each in _binary_masks(mask_folder, maps, sorted(self._images)):
            self._binary.setdefault(each.case, []).append(each)
        if not self._binary:
            raise DatasetError(
                f"{mask_folder.name} of {folder.name} holds no mask that belongs to an image",
                expected="<case>.png, <case>/<structure>.png, <structure>/<case>.png or "
                "<case>_<structure>.png",
            )
        self._names = _entities_of(self._binary, named)
        self.table = LabelTable(dict(enumerate(dict.fromkeys(self._names.values()), start=1)))

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def entities(self) -> tuple[str, ...]:
        """Canonical names of the labels."""
        return self.table.entities

    def cases(self) -> Iterator[Case]:
        """See ``Source.cases``; images without masks and masks without image are bad cases."""
        orphans = set(self._binary) - set(self._images)
        if self._label_maps:
            orphans = set(self._label_maps) - {case_of(p) for p in self._images.values()}
        for name in sorted({*self._images, *orphans}):
            place = self.name, name, patient_in(name, self.patient_pattern)
            try:
                yield self._case(place, name)
            except CaseError as error:
                yield BrokenCase(*place, error)

    def _case(self, place: tuple[str, str, str], name: str) -> Case:
        image = self._images.get(name)
        if image is None:
            lost = [each.path for each in self._binary.get(name, [])]
            path = (lost or self._label_maps[name])[0]
            raise CaseError(f"{path.name} has no image {name}", expected="an image of this name")
        if self._label_maps:
            maps = self._label_maps.get(case_of(image), [])
            label_map = only(
                [path for path in maps if stem(path) == name] or maps, "label map", image.name
            )
            return PictureCase(*place, image, label_map, self.table, self.modality)
        if name not in self._binary:
            raise CaseError(f"{image.name} has no mask", expected="at least one mask file")
        label_of = {entity: label for label, entity in self.table.names.items()}
        masks = tuple(
            MaskFile(each.path, label_of[self._names[each.structure]])
            for each in self._binary[name]
        )
        return MaskFilesCase(*place, image, masks, self.table.names, self.modality)


def _binary_masks(folder: Path, flat: list[Path], images: list[str]) -> Iterator[_Binary]:
    """Every binary mask of a folder, with its case and the words for its structure."""
    longest_first = sorted(images, key=len, reverse=True)
    for path in flat:
        name = stem(path)
        case = next((i for i in longest_first if re.match(re.escape(i) + r"[_\- ]", name)), None)
        if case is None:
            yield _Binary(name, "", path)
        else:
            yield _Binary(case, name[len(case) :].lstrip("_- "), path)
    known = set(images)
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        for path in files_in(inner, PICTURES):
            if inner.name in known:
                yield _Binary(inner.name, stem(path), path)
            else:
                yield _Binary(stem(path), inner.name, path)


def _entities_of(binary: Mapping[str, list[_Binary]], named: Mapping[str, str]) -> dict[str, str]:
    """Words in file names -> canonical name; trailing numbers tell instances apart."""
    words = sorted({each.structure for masks in binary.values() for each in masks})
    found: dict[str, str] = {}
    for word in words:
        plain = _INSTANCE.sub("", word)
        if word in named or plain in named:
            found[word] = named.get(word, named.get(plain, ""))
        elif named and plain:
            raise DatasetError(
                f"mask files call a structure {word!r}",
                expected=f"one of the names file: {', '.join(list(named)[:10])}",
            )
        else:
            found[word] = canonical(plain) if plain else ""
    return found
