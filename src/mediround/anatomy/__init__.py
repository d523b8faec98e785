"""What the program knows of bodies: entities, their names, and how they hang together.

    atlas = anatomy.load()
    atlas.find("gullet").name                      "esophagus"
    atlas.pair("left kidney")                      "right kidney"
    atlas.related("hepatic vein", "drains")        ("liver",)
    atlas.recognise("The spleen and both lungs")   ("spleen", "left lung", "right lung")

The knowledge itself is in ``entities/*.toml``, one file a body region.
"""

from mediround.anatomy.atlas import Atlas, load
from mediround.anatomy.entity import EntityType, SnomedCode
from mediround.anatomy.facts import Fact

__all__ = ["Atlas", "EntityType", "Fact", "SnomedCode", "load"]
