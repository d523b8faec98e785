"""A CT series and a DICOM SEG drawn on it."""

from __future__ import annotations

from pathlib import Path

import highdicom
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

COUNT, ROWS, COLUMNS = 4, 10, 12


def ct_series(folder: Path, patient: str = "SECRET-17") -> list[pydicom.Dataset]:
    """Axial slices 3 mm apart whose stored values are 1000 + k."""
    folder.mkdir(parents=True, exist_ok=True)
    root = f"1.2.826.0.1.3680043.8.498.{sum(patient.encode())}"
    found = []
    for k in range(COUNT):
        dataset = pydicom.Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(f"{root}.3.{k + 1}")
        values: dict[str, object] = {
            "SOPClassUID": CTImageStorage,
            "SOPInstanceUID": f"{root}.3.{k + 1}",
            "StudyInstanceUID": f"{root}.1",
            "SeriesInstanceUID": f"{root}.2",
            "FrameOfReferenceUID": f"{root}.4",
            "PatientName": "Secret^Name",
            "PatientID": patient,
            "PatientBirthDate": "",
            "PatientSex": "",
            "AccessionNumber": "",
            "StudyID": "1",
            "StudyDate": "",
            "StudyTime": "",
            "ReferringPhysicianName": "",
            "SeriesNumber": 1,
            "InstanceNumber": k + 1,
            "Modality": "CT",
            "Rows": ROWS,
            "Columns": COLUMNS,
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 16,
            "BitsStored": 16,
            "HighBit": 15,
            "PixelRepresentation": 1,
            "PixelSpacing": [0.5, 0.75],
            "SliceThickness": 3,
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "ImagePositionPatient": [10, 20, 30 + 3 * k],
            "RescaleSlope": 1,
            "RescaleIntercept": -1024,
            "PixelData": np.full((ROWS, COLUMNS), 1000 + k, np.int16).tobytes(),
        }
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        dataset.save_as(folder / f"{k}.dcm", enforce_file_format=True)
        found.append(dataset)
    return found


def seg_masks() -> NDArray[np.bool_]:
    """(COUNT, ROWS, COLUMNS, 2): a liver in slices 0 to 2, a lesion inside it in slice 1."""
    masks = np.zeros((COUNT, ROWS, COLUMNS, 2), dtype=np.bool_)
    masks[0:3, 1:6, 2:9, 0] = True
    masks[1, 2:4, 3:5, 1] = True
    return masks


def write_seg(
    path: Path, images: list[pydicom.Dataset], kind: str = "BINARY", *, overlap: bool = True
) -> Path:
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=codes.SCT.Organ,
            segmented_property_type=code,
            algorithm_type="MANUAL",
        )
        for number, label, code in (
            (1, "structure A", codes.SCT.Liver),
            (2, "Lesion", codes.SCT.Lesion),
        )
    ]
    masks = seg_masks()
    if not overlap:
        masks[..., 0] &= ~masks[..., 1]
    seg = highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=masks if kind != "FRACTIONAL" else masks * 0.7,
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid="1.2.826.0.1.3680043.8.498.9.5",
        series_number=2,
        sop_instance_uid=f"1.2.826.0.1.3680043.8.498.9.{len(path.name)}",
        instance_number=1,
        manufacturer="none",
        manufacturer_model_name="none",
        software_versions="0",
        device_serial_number="0",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    seg.save_as(path)
    return path
