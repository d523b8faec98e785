"""The folder of SA-Med2D-20M (Ye et al. 2023): one picture a slice, one mask file an instance.

``images/<modality>_<n>--<data set>--<case>--<plane>_<slice>.png`` and for each instance
``masks/<the same>--<class>_<instance>.png``, with ``SAMed2D_v1.json`` (image -> masks) and
``SAMed2D_v1_class_mapping_id.json`` (data set -> class names). Masks that carry the name of the
label after the data set instead of a class number are read too, and need no mapping.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from mediround.data.sources.broken_case import BrokenCase
from mediround.data.sources.case import Case
from mediround.data.sources.file_pairs import PICTURES, files_in, inside, stem
from mediround.data.sources.json_members import json_members
from mediround.data.sources.label_table import canonical
from mediround.data.sources.picture_case import MaskFile, MaskFilesCase
from mediround.errors import CaseError, DatasetError
from mediround.imaging.image import Modality

_MODALITIES: Final = {
    "ct": Modality.CT,
    "mr": Modality.MR,
    "us": Modality.US,
    "x": Modality.XR,
    "xray": Modality.XR,
    "endoscopy": Modality.ENDOSCOPY,
}
_LICENCE: Final = "CC BY-NC-SA 4.0"


class _Name(NamedTuple):
    """The parts of a file name; ``label`` is a class number or a label's name."""

    modality: str
    dataset: str
    case: str
    place: str
    label: str = ""


class SaMed2dSource:
    """A folder of SA-Med2D-20M, or a part of it.

    The cases keep the name of the data set that they come from, and their slices name what that
    data set labels. Patients are the cases of that data set.

    Args:
        folder: holds ``images`` and ``masks``; the list of masks is read from the json as a
            stream, or made from the folder where there is none.

    Raises:
        DatasetError: a folder is missing, or a json cannot be used.
    """

    modality = Modality.UNKNOWN
    licence = _LICENCE

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in ("images", "masks"):
            if not (folder / part).is_dir():
                raise DatasetError(f"{folder.name} has no folder {part}", expected="SA-Med2D-20M")
        listed = sorted(folder.glob("SAMed2D*.json"))
        mappings = [path for path in listed if "class_mapping" in path.name]
        lists = [path for path in listed if path not in mappings]
        self._list = lists[0] if lists else None
        self._classes = _read_classes(mappings[0]) if mappings else {}

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def entities(self) -> tuple[str, ...]:
        """Canonical names of all classes; without a class mapping those of the mask files."""
        if self._classes:
            every = (name for each in self._classes.values() for name in each.values())
            return tuple(dict.fromkeys(every))
        named = (_parsed(path.name) for path in files_in(self.folder / "masks", PICTURES))
        labels = {each.label for each in named if isinstance(each, _Name)}
        return tuple(sorted({canonical(label) for label in labels if label}))

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """Data set inside -> canonical names of its classes, as far as the mapping tells them."""
        return {
            name: tuple(dict.fromkeys(classes.values())) for name, classes in self._classes.items()
        }

    def cases(self) -> Iterator[Case]:
        """See ``Source.cases``: in the order of the json, or by name."""
        for image, masks in self._pairs():
            name = stem(Path(image))
            try:
                if isinstance(masks, CaseError):
                    raise masks
                parsed = _parse(name)
                place = parsed.dataset, name, f"{parsed.dataset}--{parsed.case}"
                yield self._case(place, parsed, image, masks)
            except CaseError as error:
                yield BrokenCase(self.name, name, name, error)

    def _pairs(self) -> Iterator[tuple[str, Sequence[str] | CaseError]]:
        """Image -> its masks, or what is wrong with it."""
        if self._list is not None:
            for image, masks in json_members(self._list):
                if isinstance(masks, list):
                    yield image, [str(mask) for mask in masks]
                else:
                    found = f"{self._list.name} has no list for {image}"
                    yield image, CaseError(found, expected="image -> masks")
            return
        yield from self._pairs_of_folder()

    def _pairs_of_folder(self) -> Iterator[tuple[str, Sequence[str] | CaseError]]:
        found: dict[_Name, list[str]] = {}
        for path in files_in(self.folder / "masks", PICTURES):
            parsed = _parsed(path.name)
            if isinstance(parsed, CaseError):
                yield f"masks/{path.name}", parsed
            else:
                found.setdefault(parsed._replace(label=""), []).append(f"masks/{path.name}")
        for path in files_in(self.folder / "images", PICTURES):
            parsed = _parsed(stem(path))
            image = f"images/{path.name}"
            yield image, parsed if isinstance(parsed, CaseError) else found.pop(parsed, [])
        for key, masks in sorted(found.items()):
            yield "images/" + "--".join(key[:4]) + ".png", masks

    def _case(
        self, place: tuple[str, str, str], parsed: _Name, image: str, masks: Sequence[str]
    ) -> Case:
        labels = [_parse(Path(mask).name).label for mask in masks]
        classes = self._classes.get(parsed.dataset, {})
        names = dict(enumerate(dict.fromkeys(classes.values()), start=1))
        if not masks:
            raise CaseError(f"{image} has no mask")
        entities = []
        for label, mask in zip(labels, masks, strict=True):
            number = label.partition("_")[0]
            if number.isdecimal() and number not in classes:
                raise CaseError(
                    f"{mask} is of class {number}, which the class mapping does not name",
                    expected=f"one of {', '.join(classes) or 'a class mapping'}",
                )
            entities.append(classes[number] if number.isdecimal() else canonical(label))
        for entity in dict.fromkeys(entities):
            if entity not in names.values():
                names[len(names) + 1] = entity
        label_of = {entity: label for label, entity in names.items()}
        files = tuple(
            MaskFile(inside(self.folder, mask), label_of[entity])
            for mask, entity in zip(masks, entities, strict=True)
        )
        modality = _MODALITIES.get(parsed.modality.partition("_")[0].lower(), Modality.OTHER)
        return MaskFilesCase(*place, inside(self.folder, image), files, names, modality)


def _parse(file: str) -> _Name:
    """The parts of an image's or a mask's name.

    Raises:
        CaseError: it has too few or too many.
    """
    parts = stem(Path(file)).split("--") if file.lower().endswith(PICTURES) else file.split("--")
    if len(parts) == 4:
        return _Name(*parts)
    if len(parts) == 5:
        return _Name(*parts)
    if len(parts) == 6:
        modality, dataset, label, case, place, _ = parts
        return _Name(modality, dataset, case, place, label)
    raise CaseError(
        f"the file name {file} has {len(parts)} parts between --",
        expected="<modality>_<n>--<data set>--<case>--<plane>_<slice>[--<class>_<instance>]",
    )


def _parsed(file: str) -> _Name | CaseError:
    """As ``_parse``; what is wrong is a value, so that one file does not end a list of files."""
    try:
        return _parse(file)
    except CaseError as error:
        return error


def _read_classes(path: Path) -> dict[str, dict[str, str]]:
    """Data set -> four-digit class number -> canonical name, whichever way the file maps them."""
    try:
        listed: Mapping[str, Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): _numbers(classes) for name, classes in listed.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DatasetError(
            f"{path.name} cannot be used ({type(error).__name__}: {error})",
            expected='for instance {"ACDC": {"left ventricle": "0001"}}',
        ) from error


def _numbers(classes: Mapping[str, Any]) -> dict[str, str]:
    numbered: dict[str, str] = {}
    for key, value in classes.items():
        number, name = (key, value) if str(key).isdecimal() else (value, key)
        numbered[f"{int(number):04}"] = canonical(str(name))
    return dict(sorted(numbered.items()))
