"""Measurements of a model through the sessions that people use."""

from mediround.evaluation.cases import Case, References, Setting, Text
from mediround.evaluation.evaluate import EvaluationSettings, Progress, evaluate

__all__ = [
    "Case",
    "EvaluationSettings",
    "Progress",
    "References",
    "Setting",
    "Text",
    "evaluate",
]
