"""A folder of NIfTI label maps with a names file, and images beside them or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mediround.data.sources.broken_case import BrokenCase
from mediround.data.sources.case import Case
from mediround.data.sources.file_pairs import (
    IMAGE_FOLDERS,
    MASK_FOLDERS,
    VOLUMES,
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
from mediround.data.sources.label_table import LabelTable
from mediround.data.sources.volume_case import LabelVolumeCase
from mediround.errors import CaseError, DatasetError
from mediround.imaging.image import Modality
from mediround.imaging.volume import Plane


class LabelVolumeSource:
    """NIfTI label maps, in a folder of their own or beside a folder of images.

    Image and labels belong together when their names are equal but for endings such as "_0000",
    "_seg" or "_mask".

    Args:
        folder: holds ``labels`` and ``images`` (or similar), or the label maps themselves.
        names: the names file; None looks for one in the folder.
        planes: in which planes volumes are cut.
        modality: how the images were made; UNKNOWN guesses CT from the values.
        patient_pattern: regular expression with one group, the patient in the name of a case;
            without it every case is another patient.
        strict: refuse label values without a name, where there are images.

    Raises:
        DatasetError: no label maps, no names file, or one that cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        *,
        names: Path | None = None,
        planes: Sequence[Plane] = ("axial",),
        modality: Modality = Modality.UNKNOWN,
        patient_pattern: str | None = None,
        strict: bool = True,
    ) -> None:
        check_pattern(patient_pattern)
        self.folder, self.planes, self.modality = folder, tuple(planes), modality
        self.patient_pattern = patient_pattern
        self.licence = ""
        self._labels = files_in(subfolder(folder, MASK_FOLDERS) or folder, VOLUMES)
        image_folder = subfolder(folder, IMAGE_FOLDERS)
        self.has_images = image_folder is not None
        self._images = files_in(image_folder, VOLUMES) if image_folder else []
        if not self._labels:
            raise DatasetError(
                f"{folder.name} holds no NIfTI label maps",
                expected=f".nii or .nii.gz in it, or in {', '.join(MASK_FOLDERS)}",
            )
        file = names or find_names_file(folder)
        if file is None:
            raise DatasetError(
                f"{folder.name} does not say what its labels are called",
                expected=f"a names file, one of {', '.join(FILES)}",
                remedy='write one, for instance names.json with {"1": "liver"}',
            )
        named = numbered(read_names(file), file.name)
        self.table = LabelTable(named, strict=strict and self.has_images)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def entities(self) -> tuple[str, ...]:
        """Canonical names of the labels."""
        return self.table.entities

    def cases(self) -> Iterator[Case]:
        """See ``Source.cases``; an image without labels is a bad case."""
        images = by_case(self._images)
        paired: set[str] = set()
        for label_path in self._labels:
            case = case_of(label_path)
            paired.add(case)
            yield self._case(label_path, images.get(case, []))
        for case in sorted(set(images) - paired):
            found = ", ".join(path.name for path in images[case])
            reason = CaseError(f"{found} has no label map")
            yield BrokenCase(self.name, case, patient_in(case, self.patient_pattern), reason)

    def _case(self, label_path: Path, images: Sequence[Path]) -> Case:
        name = stem(label_path)
        place = self.name, name, patient_in(name, self.patient_pattern)
        image_path = None
        if self.has_images:
            try:
                exact = [path for path in images if stem(path) == name]
                image_path = only(exact or images, "image", label_path.name)
            except CaseError as error:
                return BrokenCase(*place, error)
        return LabelVolumeCase(
            *place, self.table, self.planes, label_path, image_path, self.modality
        )
