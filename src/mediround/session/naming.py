"""Which structure an answer gives as the name of each of its masks."""

from mediround import anatomy
from mediround.dialogue import MARKER


def named_masks(text: str) -> dict[int, str]:
    """Entity number -> the structure that ``text`` names last before its marker."""
    atlas = anatomy.load()
    found: dict[int, str] = {}
    end = 0
    for marker in MARKER.finditer(text):
        named = atlas.recognise(text[end : marker.start()])
        if named:
            found[int(marker.group(1))] = named[-1]
        end = marker.end()
    return found
