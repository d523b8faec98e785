"""Measurements of a model through the sessions that people use."""

from mediround.evaluation.cases import Case
from mediround.evaluation.evaluate import Progress, evaluate
from mediround.evaluation.plan import EvaluationSettings
from mediround.evaluation.settings import References, Setting, Text

__all__ = [
    "Case",
    "EvaluationSettings",
    "Progress",
    "References",
    "Setting",
    "Text",
    "evaluate",
]
