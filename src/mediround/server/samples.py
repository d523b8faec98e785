"""The samples: files that `mediround weights pull` brings, offered where they are at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mediround import weights
from mediround.server.history import NotFoundError
from mediround.server.views import SampleView


@dataclass(frozen=True)
class _Sample:
    entry: str
    file: str
    title: str
    description: str
    slice: int | None = None


_SAMPLES = {
    "chest-abdomen-ct": _Sample(
        "sample-ct",
        "cxr.nii.gz",
        "CT of chest and upper abdomen",
        "Contrast CT, 133 slices: liver, kidneys, spleen, heart, vessels.",
        17,
    ),
    "t1-brain": _Sample(
        "sample-brain",
        "MNI152_T1_1mm_brain.nii.gz",
        "T1 weighted brain",
        "The average of 152 brains, 182 slices: thalamus, putamen, hippocampus, ventricles.",
        76,
    ),
    "ct-slice": _Sample(
        "sample-dicom", "693_UNCR.dcm", "CT slice", "One axial slice as a DICOM file."
    ),
    "head-mr": _Sample("sample-dicom", "MR2_UNCR.dcm", "MR slice", "One slice as a DICOM file."),
    "ultrasound": _Sample(
        "sample-dicom", "US1_UNCR.dcm", "Ultrasound", "A colour picture as a DICOM file."
    ),
    "radiograph": _Sample(
        "sample-dicom", "RG1_UNCR.dcm", "Radiograph", "A plain X-ray as a DICOM file."
    ),
}


def all_samples() -> list[SampleView]:
    """Every sample, and whether its file is on this machine."""
    return [
        SampleView(
            name=name,
            title=sample.title,
            description=sample.description,
            available=_path(sample) is not None,
            slice=sample.slice,
        )
        for name, sample in _SAMPLES.items()
    ]


def file_of(name: str) -> Path:
    """The file of a sample.

    Raises:
        NotFoundError: no such sample, or its file is not on this machine.
    """
    sample = _SAMPLES.get(name)
    if sample is None:
        raise NotFoundError("there is no such sample")
    found = _path(sample)
    if found is None:
        raise NotFoundError(
            "this sample is not on this machine",
            remedy=f"fetch it: mediround weights pull {sample.entry}",
        )
    return found


def _path(sample: _Sample) -> Path | None:
    path = weights.status(sample.entry).folder / sample.file
    return path if path.is_file() else None
