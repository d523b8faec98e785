"""The modality that a few words of a data set mean."""

from __future__ import annotations

import re
from typing import Final

from mediround.imaging.image import Modality

_WORDS: Final = (
    (Modality.CT, r"\bCTA?\b|computed tomography"),
    (Modality.MR, r"MRI?\b|magnetic resonance|\bT[12]\w*|\bFLAIR\b|\bADC\b|\bDWI\b|\bPD\b"),
    (Modality.US, r"(?i:ultraso|sonogra|echocardio)|\bUS\b"),
    (Modality.XR, r"(?i:x-?ray|radiogra|mammogra|fluorosc)|\b(?:XR|CXR|DX|CR|MG)\b"),
    (Modality.ENDOSCOPY, r"(?i:endoscop|colonoscop|laparoscop|gastroscop)"),
    (Modality.OTHER, r"(?i:dermoscop|fundus|histolog|patholog|microscop|\boct\b|\bpet\b|photo)"),
)


def modality_in(text: str) -> Modality:
    """The first modality that ``text`` names, UNKNOWN if it names none.

    Short forms count in capitals only: "CT", "T1 MRI", "FLAIR", "US".
    """
    for modality, pattern in _WORDS:
        if re.search(pattern, text):
            return modality
    return Modality.UNKNOWN
