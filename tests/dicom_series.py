"""A DICOM series with the header of a real CT, its patient replaced by names to look out for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CANARIES = ("CANARY^FAMILY", "MRN-CANARY-17", "1931CANARY", "CANARY HOSPITAL")
"""Patient's name, ID, an invalid birth date, the institution."""


def write_series(
    folder: Path,
    voxels: NDArray[np.int16],
    *,
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
    shuffled: bool = True,
) -> list[Path]:
    """Write (I, J, K) values as slices of ``orientation``; files are not in the order of slices.

    Returns the files in the order of axis K.
    """
    folder.mkdir(parents=True, exist_ok=True)
    template = dcmread(str(get_testdata_file("CT_small.dcm")))
    normal = np.cross(orientation[:3], orientation[3:])
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    names = np.random.default_rng(0).permutation(voxels.shape[2])
    files = []
    for place in range(voxels.shape[2]):
        plane = voxels[:, :, place].T
        template.PatientName, template.PatientID = CANARIES[0], CANARIES[1]
        template.InstitutionName = CANARIES[3]
        # pydicom objects to an impossible date; as bytes it is stored as hospitals store it.
        template["PatientBirthDate"]._value = CANARIES[2]
        template.StudyInstanceUID, template.SeriesInstanceUID = study, series
        template.FrameOfReferenceUID, template.SOPInstanceUID = frame, generate_uid()
        template.file_meta.MediaStorageSOPInstanceUID = template.SOPInstanceUID
        template.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        template.ImageOrientationPatient = [float(value) for value in orientation]
        position = np.array([-10.5, 20.25, 30.0]) + normal * 2.5 * place
        template.ImagePositionPatient = [f"{value:.6f}" for value in position]
        template.PixelSpacing = [0.75, 0.5]
        template.SliceThickness = template.SpacingBetweenSlices = 2.5
        template.InstanceNumber = place + 1
        template.Rows, template.Columns = plane.shape
        template.PixelData = np.ascontiguousarray(plane, dtype="<i2").tobytes()
        name = int(names[place]) if shuffled else place
        files.append(folder / f"{name:03d}.dcm")
        template.save_as(files[-1])
    return files
