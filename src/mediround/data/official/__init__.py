"""Dialogues in the official release's bracket JSON, to and from typed ones.

brackets    the five markers inside text
record      one dialogue as JSON, checked for shape
reading     official record -> typed dialogue
writing     typed dialogue -> official record, or why not
pruning     a dialogue without the rounds that cannot be written
slots       which reference belongs to which round, as the official evaluation counts
masks       the files that markers name
json_items  a list of dialogues, one at a time
typed_files typed dialogues as lines of JSON or a built data set
conversion  files into files, with a count of everything that was lost
"""

from mediround.data.official.reading import to_dialogue
from mediround.data.official.record import InexpressibleError, OfficialRecord, Turn
from mediround.data.official.writing import Written, from_dialogue

__all__ = [
    "InexpressibleError",
    "OfficialRecord",
    "Turn",
    "Written",
    "from_dialogue",
    "to_dialogue",
]
