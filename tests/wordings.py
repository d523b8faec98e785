"""Questions as generated dialogues ask them: every frame and every phrase at least once."""

from __future__ import annotations

from mediround.data.words import phrasebook
from mediround.data.words.phrasebook import (
    DESCRIBE,
    NAME,
    PAIR,
    Language,
    Split,
)


def wordings(
    kind: str, split: Split, *, fact: str | None = None, language: Language = "en"
) -> tuple[str, ...]:
    """Forms of one kind of question, with its gaps, no two alike.

    Args:
        kind: ``"name"`` (gap ``{name}``), ``"describe"`` (``{description}``), ``"pair"``
            (``{name}`` and ``{other}``), ``"unnamed"`` (no gap) or a relation
            (``{a}``, ``{b}``; facts also ``{noun}``, ``{medium}``).
        split: training or held out.
        fact: for the kind "fact", which anatomical fact.
        language: of the words.
    """
    article = "the " if language == "en" else ""
    if kind == "unnamed":
        return phrasebook.requests_without_name(split, language)
    if kind == PAIR:
        pairs = phrasebook.frames(split, pair=True, language=language)
        return tuple(
            frame.replace("{x}", f"{article}{{name}}").replace("{y}", f"{article}{{other}}")
            for frame in pairs
        )
    gaps: tuple[str, ...]
    if kind in (NAME, DESCRIBE):
        gaps = (f"{article}{{{'name' if kind == NAME else 'description'}}}",)
    else:
        gaps = phrasebook.phrases(kind, split, fact, language)
    frames = phrasebook.frames(split, language=language)
    # Not each with each, which are millions.
    composed = tuple(
        frames[n % len(frames)].replace("{x}", gaps[n % len(gaps)])
        for n in range(max(len(frames), len(gaps)))
    )
    return composed + (phrasebook.questions(split, language) if kind == "identity" else ())
