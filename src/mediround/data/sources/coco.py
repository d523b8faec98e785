"""COCO json: polygons, run lengths plain or compressed, and crowds."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from mediround.data.sources.broken_case import BrokenCase
from mediround.data.sources.case import Case
from mediround.data.sources.file_pairs import check_pattern, inside, patient_in, stem
from mediround.data.sources.label_table import canonical
from mediround.data.sources.labelled_slice import LabelledSlice, Structure
from mediround.errors import CaseError, DatasetError
from mediround.geometry import BoolMask, decode_rle
from mediround.imaging.image import Image, Modality
from mediround.imaging.raster import read_raster


@dataclass(frozen=True)
class Annotation:
    """One annotation as the json has it.

    Attributes:
        number: its id.
        label: its category.
        outline: polygons, or run lengths with "size" and "counts"; None where there is none.
        crowd: it covers several instances that are not told apart.
    """

    number: str
    label: int
    outline: Any
    crowd: bool


@dataclass(frozen=True)
class CocoCase(Case):
    """One image of the json.

    Attributes:
        image_path: the picture.
        size: (height, width) that the json gives; None where it does not.
        annotations: its annotations.
        names: category -> canonical name.
        modality: how the picture was made.
    """

    image_path: Path
    size: tuple[int, int] | None
    annotations: tuple[Annotation, ...]
    names: Mapping[int, str]
    modality: Modality = Modality.UNKNOWN

    def read(self) -> Iterator[LabelledSlice]:
        """See ``Case.slices``."""
        if not self.annotations:
            return
        image = read_raster(self.image_path, modality=self.modality)
        if self.size is not None and self.size != image.size:
            raise CaseError(
                f"{self.image_path.name} has {image.size[1]} x {image.size[0]} pixels",
                expected=f"{self.size[1]} x {self.size[0]} as the json says",
            )
        structures = []
        for each in self.annotations:
            if each.label not in self.names:
                raise CaseError(
                    f"annotation {each.number} is of category {each.label}",
                    expected=f"one of {', '.join(str(label) for label in self.names)}",
                )
            mask = outline_to_mask(each, image)
            if mask.any():
                name = self.names[each.label]
                structures.append(Structure(name, mask, each.label, crowd=each.crowd))
        if structures:
            place = self.dataset, self.patient, self.name, image
            yield LabelledSlice(*place, tuple(structures), self.names, oriented=False)


class CocoSource:
    """The images of one COCO json.

    Args:
        file: the json.
        images: where its images are; None looks beside the json.
        modality: how the images were made.
        patient_pattern: regular expression with one group, the patient in a file name. A field
            ``patient_id`` or ``patient`` of an image wins; without either every image is another
            patient.

    Raises:
        DatasetError: not a COCO json of segmentations, or the folder of images is not found.
    """

    def __init__(
        self,
        file: Path,
        *,
        images: Path | None = None,
        modality: Modality = Modality.UNKNOWN,
        patient_pattern: str | None = None,
    ) -> None:
        check_pattern(patient_pattern)
        self.file, self.modality, self.patient_pattern = file, modality, patient_pattern
        try:
            listed = json.loads(file.read_text(encoding="utf-8"))
            self.names = {int(c["id"]): canonical(str(c["name"])) for c in listed["categories"]}
            self._images = {str(image["id"]): dict(image) for image in listed["images"]}
            self._annotations = _by_image(listed["annotations"])
            said = [str(each.get("name", "")) for each in listed.get("licenses", ())]
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DatasetError(
                f"{file.name} cannot be used ({type(error).__name__}: {error})",
                expected="a COCO json with images, annotations and categories",
            ) from error
        self.licence = ", ".join(dict.fromkeys(name for name in said if name))
        self.folder = images or self._find_folder()

    @property
    def name(self) -> str:
        """Name of the json without its ending."""
        return self.file.stem

    @property
    def entities(self) -> tuple[str, ...]:
        """Canonical names of the categories."""
        return tuple(dict.fromkeys(self.names.values()))

    def cases(self) -> Iterator[Case]:
        """See ``Source.cases``; annotations of images that are not listed are a bad case each."""
        for key, image in self._images.items():
            file = str(image.get("file_name", ""))
            given = image.get("patient_id", image.get("patient"))
            patient = patient_in(stem(Path(file)), self.patient_pattern)
            place = self.name, stem(Path(file)) or key, patient if given is None else str(given)
            try:
                if not file:
                    raise CaseError(f"image {key} has no file_name")
                yield CocoCase(
                    *place,
                    inside(self.folder, file),
                    _size(image),
                    tuple(self._annotations.get(key, ())),
                    self.names,
                    self.modality,
                )
            except CaseError as error:
                yield BrokenCase(*place, error)
        for key in sorted(set(self._annotations) - set(self._images)):
            count = len(self._annotations[key])
            reason = CaseError(f"{count} annotations of image {key}", expected="a listed image")
            yield BrokenCase(self.name, f"image {key}", f"image {key}", reason)

    def _find_folder(self) -> Path:
        """Where the first file names lead to existing files."""
        parent, part = self.file.parent, self.file.stem.removeprefix("instances_")
        places = [parent, parent / "images", parent / part, parent / "images" / part]
        places += [parent.parent / "images", parent.parent / part, parent.parent]
        files = [str(i["file_name"]) for i in self._images.values() if i.get("file_name")][:20]
        for place in places:
            if any((place / file).is_file() for file in files):
                return place
        raise DatasetError(
            f"none of the images of {self.file.name} was found ({', '.join(files[:3])}, …)",
            expected=f"them in {', '.join(dict.fromkeys(place.name for place in places))}",
            remedy="put the images beside the json",
        )


def outline_to_mask(annotation: Annotation, image: Image) -> BoolMask:
    """The pixels (H, W) of an annotation.

    Raises:
        CaseError: no outline, or one that does not fit the image.
    """
    height, width = image.size
    outline, who = annotation.outline, f"annotation {annotation.number}"
    if not outline:
        raise CaseError(f"{who} has no outline", expected="polygons or run lengths, not only a box")
    if isinstance(outline, Mapping):
        try:
            mask = _from_runs(outline)
        except (ValueError, TypeError, KeyError) as error:
            raise CaseError(f"{who} has run lengths that cannot be read ({error})") from error
        if mask.shape != image.size:
            raise CaseError(
                f"{who} has a mask of {mask.shape[1]} x {mask.shape[0]} pixels",
                expected=f"{width} x {height} as its image",
            )
        return mask
    polygons = [_checked_polygon(each, image.size, who) for each in outline]
    merged = coco.merge(coco.frPyObjects(polygons, height, width))
    return decode_rle({"size": merged["size"], "counts": merged["counts"].decode("ascii")})


def _from_runs(code: Mapping[str, Any]) -> BoolMask:
    counts = code["counts"]
    if isinstance(counts, str):
        return decode_rle(code)
    height, width = (int(side) for side in code["size"])
    runs = [int(run) for run in counts]
    if min(runs, default=-1) < 0 or sum(runs) != height * width:
        raise ValueError(f"runs that do not add up to {height} x {width} pixels")
    lit = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(lit, runs).reshape(width, height).T)


def _checked_polygon(points: Any, size: tuple[int, int], who: str) -> list[float]:
    """The coordinates of a polygon; the rasteriser's memory grows with their distance."""
    try:
        flat = [float(value) for value in points]
    except (TypeError, ValueError) as error:
        raise CaseError(f"{who} has a polygon that is no list of numbers") from error
    reach = 2 * max(size)
    far = any(not math.isfinite(value) or abs(value) > reach for value in flat)
    if far or len(flat) < 6 or len(flat) % 2:
        raise CaseError(
            f"{who} has a polygon of {len(flat)} numbers" + (" far outside" if far else ""),
            expected="x and y of at least three points in or near the image",
        )
    return flat


def _by_image(listed: Sequence[Mapping[str, Any]]) -> dict[str, list[Annotation]]:
    found: dict[str, list[Annotation]] = {}
    for each in listed:
        annotation = Annotation(
            str(each.get("id", "without id")),
            int(each["category_id"]),
            each.get("segmentation"),
            bool(each.get("iscrowd", 0)),
        )
        found.setdefault(str(each["image_id"]), []).append(annotation)
    return found


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    try:
        return int(image["height"]), int(image["width"])
    except (KeyError, TypeError, ValueError):
        return None
