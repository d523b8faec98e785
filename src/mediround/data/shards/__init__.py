"""A data set of dialogues on disk, as ``docs/format.md`` defines it.

folder  DialogueFolder, Record, Sample: what is read and written
image   StoredImage: an image as PNG and JSON
card    README.md and croissant.json
"""

from mediround.data.shards.folder import (
    FORMAT,
    DialogueFolder,
    IndexEntry,
    Manifest,
    Record,
    Sample,
    ShardEntry,
    read_shard,
    record_line,
)
from mediround.data.shards.image import StoredImage

__all__ = [
    "FORMAT",
    "DialogueFolder",
    "IndexEntry",
    "Manifest",
    "Record",
    "Sample",
    "ShardEntry",
    "StoredImage",
    "read_shard",
    "record_line",
]
