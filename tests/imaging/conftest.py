"""Generated DICOM slices: small, without any patient, one keyword argument a tag."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

SliceWriter = Callable[..., Path]


@pytest.fixture
def write_slice() -> SliceWriter:
    """``write_slice(path, pixels, **tags)``: a CT slice; a tag of None is left out."""

    def write(path: Path, pixels: np.ndarray[Any, Any] | None = None, **tags: object) -> Path:
        stored = np.full((8, 9), 1000, dtype=np.int16) if pixels is None else pixels
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
        values: dict[str, object] = {
            "SOPClassUID": CTImageStorage,
            "SOPInstanceUID": "1.2.3.4",
            "PatientName": "Secret^Name",
            "PatientID": "SECRET-17",
            "Modality": "CT",
            "SeriesInstanceUID": "1.2.3",
            "Rows": stored.shape[0],
            "Columns": stored.shape[1],
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": stored.dtype.itemsize * 8,
            "BitsStored": stored.dtype.itemsize * 8,
            "HighBit": stored.dtype.itemsize * 8 - 1,
            "PixelRepresentation": int(stored.dtype.kind == "i"),
            "PixelSpacing": [0.5, 0.75],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "ImagePositionPatient": [10, 20, 30],
            "RescaleSlope": 1,
            "RescaleIntercept": -1024,
            "PixelData": stored.tobytes(),
        }
        for keyword, value in {**values, **tags}.items():
            if value is not None:
                setattr(dataset, keyword, value)
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write
