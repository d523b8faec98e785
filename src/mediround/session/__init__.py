"""Dialogues with a model about an image: load a model, open an image, ask."""

from mediround.session.engine import Session, Turn
from mediround.session.entities import Entities, SessionEntity
from mediround.session.model import Model, load

__all__ = ["Entities", "Model", "Session", "SessionEntity", "Turn", "load"]
