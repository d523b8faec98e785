"""COCO json: polygons, run lengths plain or compressed, and crowds."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
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
        label: its category; None where that is no number.
        outline: polygons, or run lengths with "size" and "counts"; None where there is none.
        crowd: it covers several instances that are not told apart.
    """

    number: str
    label: int | None
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
            if each.label is None or each.label not in self.names:
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
            self._images, self._broken = _images(listed["images"])
            self._annotations, lost = _by_image(listed["annotations"])
            said = [str(each.get("name", "")) for each in listed.get("licenses", ())]
        except (
            OSError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RecursionError,
        ) as error:
            raise DatasetError(
                f"{file.name} cannot be used ({type(error).__name__}: {error})",
                expected="a COCO json with images, annotations and categories",
            ) from error
        self.licence = ", ".join(dict.fromkeys(name for name in said if name))
        if lost:
            self._broken["annotations"] = CaseError(
                f"{file.name} has {len(lost)} annotations that belong to no image, such as "
                f"{lost[0]}",
                expected="objects with image_id and category_id",
            )
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
        files = {key: str(image.get("file_name", "")) for key, image in self._images.items()}
        stems = Counter(stem(Path(file)) for file in files.values())
        for key, image in self._images.items():
            file, name = files[key], stem(Path(files[key]))
            given = image.get("patient_id", image.get("patient"))
            patient = patient_in(name, self.patient_pattern) if given is None else str(given)
            # Files of one name in several folders are told apart by their ids.
            place = (
                self.name,
                name if name and stems[name] == 1 else f"{name or 'image'} {key}",
                patient,
            )
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
        for name, why in self._broken.items():
            yield BrokenCase(self.name, name, name, why)

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


def _images(listed: Any) -> tuple[dict[str, dict[str, Any]], dict[str, CaseError]]:
    """Id -> image, and what cannot be used: no object, no id, an id for the second time."""
    found: dict[str, dict[str, Any]] = {}
    broken: dict[str, CaseError] = {}
    for place, image in enumerate(_list(listed, "images"), start=1):
        key = image.get("id") if isinstance(image, dict) else None
        if key is None:
            broken[f"image at place {place}"] = CaseError(
                f"{_excerpt(image)} in the list of images", expected="an object with an id"
            )
        elif str(key) in found:
            broken[f"second image {key}"] = CaseError(f"two images have the id {key}")
        else:
            found[str(key)] = image
    return found, broken


def _by_image(listed: Any) -> tuple[dict[str, list[Annotation]], list[str]]:
    """Image -> its annotations, and excerpts of those that belong to none."""
    found: dict[str, list[Annotation]] = {}
    lost = []
    for each in _list(listed, "annotations"):
        if not isinstance(each, dict) or each.get("image_id") is None:
            lost.append(_excerpt(each))
            continue
        annotation = Annotation(
            str(each.get("id", "without id")),
            _number(each.get("category_id")),
            each.get("segmentation"),
            bool(each.get("iscrowd", 0)),
        )
        found.setdefault(str(each["image_id"]), []).append(annotation)
    return found, lost


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{name} is no list")
    return value


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _excerpt(value: Any) -> str:
    return json.dumps(value)[:60]


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    try:
        return int(image["height"]), int(image["width"])
    except (KeyError, TypeError, ValueError):
        return None
