"""Which formats a session can be exported in now, and why not in the others."""

from __future__ import annotations

from collections.abc import Collection

from mediround.data.official.writing import objections
from mediround.dialogue import Dialogue
from mediround.session.export import FORMATS

_OF_IMAGE = {"dicom-seg": "the image is not DICOM", "stl": "the image is not a volume"}
_WITHOUT_MASKS, _OFFICIAL = ("dialogue", "official"), "official"


def refused_formats(dialogue: Dialogue, allowed: Collection[str]) -> dict[str, str]:
    """The formats that this dialogue cannot be exported in -> the reason.

    Args:
        dialogue: as it is now.
        allowed: what its image allows, see ``formats_of``.
    """
    refused = {
        name: _OF_IMAGE.get(name, "the image does not allow it")
        for name in FORMATS
        if name not in allowed
    }
    if all(entity.mask is None for entity in dialogue.entities()):
        nothing = (name for name in FORMATS if name not in _WITHOUT_MASKS)
        refused = dict.fromkeys(nothing, "there are no masks yet") | refused
    named = dialogue.model_copy(update={"image": "images/image.png"})
    found = objections(named)
    if found:
        refused[_OFFICIAL] = f"it cannot say this dialogue: {found[0]}"
    return refused
