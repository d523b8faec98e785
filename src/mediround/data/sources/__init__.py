"""Labelled data sets as streams of slices: one reader a layout, one interface.

labelled_slice   LabelledSlice, Structure: an image and its masks
case             Source, Case: the interface; BadCase, readable: what could not be read
label_table      what label values mean
nnunet           NnunetSource;  nnunet_split: NnunetFolder, the division that training uses
picture_case     pictures with label maps or mask files
volume_case      NIfTI volumes with label maps
synthesised      SynthesisedSource: images made from label volumes
"""

from mediround.data.sources.case import BadCase, Case, Source, readable
from mediround.data.sources.labelled_slice import LabelledSlice, Structure
from mediround.data.sources.nnunet import NnunetSource, patient_of
from mediround.data.sources.nnunet_split import NnunetFolder, Split
from mediround.data.sources.synthesised import SynthesisedSource
from mediround.errors import CaseError

__all__ = [
    "BadCase",
    "Case",
    "CaseError",
    "LabelledSlice",
    "NnunetFolder",
    "NnunetSource",
    "Source",
    "Split",
    "Structure",
    "SynthesisedSource",
    "patient_of",
    "readable",
]
