"""Labelled data sets as streams of slices: one reader a layout, one interface.

labelled_slice   LabelledSlice, Structure: an image and its masks
case             Source, Case: the interface; BadCase, readable: what could not be read
detection        open_sources: which reader a folder wants
label_table      what label values mean;  label_names: files that say so
nnunet           NnunetSource;  nnunet_split: NnunetFolder, the division that training uses
sa_med2d         SaMed2dSource
coco             CocoSource
label_volumes    LabelVolumeSource: NIfTI label maps and a names file
picture_masks    PictureMaskSource: pictures with label maps or binary masks
dicom_seg        DicomSegSource
synthesised      SynthesisedSource: images made from label volumes
"""

from mediround.data.sources.case import BadCase, Case, Source, readable
from mediround.data.sources.coco import CocoSource
from mediround.data.sources.detection import open_sources
from mediround.data.sources.dicom_seg import DicomSegSource
from mediround.data.sources.label_volumes import LabelVolumeSource
from mediround.data.sources.labelled_slice import LabelledSlice, Structure
from mediround.data.sources.nnunet import NnunetSource, patient_of
from mediround.data.sources.nnunet_split import NnunetFolder, Split
from mediround.data.sources.picture_masks import PictureMaskSource
from mediround.data.sources.sa_med2d import SaMed2dSource
from mediround.data.sources.synthesised import SynthesisedSource
from mediround.errors import CaseError

__all__ = [
    "BadCase",
    "Case",
    "CaseError",
    "CocoSource",
    "DicomSegSource",
    "LabelVolumeSource",
    "LabelledSlice",
    "NnunetFolder",
    "NnunetSource",
    "PictureMaskSource",
    "SaMed2dSource",
    "Source",
    "Split",
    "Structure",
    "SynthesisedSource",
    "open_sources",
    "patient_of",
    "readable",
]
