"""What a person may write for "mask number n", brought to the one form ``[n]``.

Understood: ``[2]``; "instance 2", "mask 2", "entity 2", "region 2", "structure 2"; "round 2's
output", "the output of round 2"; "it", "that one", "the last mask" for the newest mask. A
reference to something that does not exist is an error.
"""

import re
from collections.abc import Callable

from mediround.dialogue import Dialogue, Entity, markers
from mediround.errors import QueryError, UnknownReferenceError

LONGEST = 1000
"""Most characters of a question."""

_OUTPUT = r"(?:outputs?|results?|answers?|masks?|segmentations?)"
# Neither "for instance 2 kidneys" nor "the structure 2 cm below"; a segment is a part of the liver.
_NUMBERED = re.compile(
    r"(?<!for )\b(?:the\s+)?(?:instance|mask|entity|region|structure|object)\s+"
    r"(?:number\s+|no\.?\s*|#)?(\d+)\b"
    r"(?![.,]\d|\s*(?:%|(?:mm|cm|millimet\w+|centimet\w+|pixels?|px|voxels?|times)\b))",
    re.IGNORECASE,
)
_ROUND = re.compile(
    rf"\b(?:the\s+)?(?:round\s+(\d+)(?:'s|’s)\s+{_OUTPUT}"
    rf"|{_OUTPUT}\s+(?:of|from|in)\s+round\s+(\d+))\b",
    re.IGNORECASE,
)
_LAST = re.compile(
    r"\b(?:that one|(?:the\s+)?(?:last|previous|latest)\s+"
    r"(?:mask|one|structure|region|output|result))\b",
    re.IGNORECASE,
)
# "it" means the newest mask only where something is related to it; in "do not name it" or
# "outline the liver and fill it" it means the structure asked for.
_RELATED_IT = re.compile(
    r"\b(of|to|than|beside|behind|below|above|under|over|round|around|near|from|with|into|by|inside"
    r"|in front of|anterior|posterior|touching|touches|touch|borders?|bordering|drains?|draining"
    r"|supplies|supplying|feeds|feeding|stores|surrounds?|surrounding|encloses?|enclosing"
    r"|what is|what's|which is)\s+it\b(?!\s+(?:is|was|called|named)\b)",
    re.IGNORECASE,
)
# "the tumour and the swelling around it": here it is the structure that was named just before.
_OWN_ANTECEDENT = re.compile(r"\b(?:and|with|without)\s+(?:the|an?)\s+\w+\s+$", re.IGNORECASE)


def resolve(query: str, dialogue: Dialogue) -> str:
    """``query`` with every reference written as ``[n]``, stripped.

    Raises:
        QueryError: empty, longer than ``LONGEST``, or a round that answered with several masks.
        UnknownReferenceError: a reference to an entity or round that does not exist, or whose
            structure is absent.
    """
    text = query.strip()
    if not text:
        raise QueryError(
            "the question is empty", remedy="ask for a structure, e.g. 'Segment the liver.'"
        )
    if len(text) > LONGEST:
        raise QueryError(f"the question has {len(text)} characters", expected=f"at most {LONGEST}")
    text = _NUMBERED.sub(lambda found: f"[{found.group(1)}]", text)
    text = _ROUND.sub(
        lambda found: _of_round(int(found.group(1) or found.group(2)), dialogue), text
    )
    if not markers(text):
        newest = _newest(dialogue)
        if newest is not None:
            text = _LAST.sub(_constant(f"[{newest.id}]"), text)
            text = _RELATED_IT.sub(lambda found: _related(found, newest), text)
    _check(text, dialogue)
    return text


def _related(found: re.Match[str], newest: Entity) -> str:
    if _OWN_ANTECEDENT.search(found.string[: found.start()]):
        return found.group()
    return f"{found.group(1)} [{newest.id}]"


def _constant(text: str) -> Callable[[re.Match[str]], str]:
    return lambda _: text


def _newest(dialogue: Dialogue) -> Entity | None:
    drawn = (entity for entity in dialogue.entities() if entity.mask is not None)
    return max(drawn, key=lambda entity: entity.id, default=None)


def _of_round(number: int, dialogue: Dialogue) -> str:
    if not 1 <= number <= len(dialogue.rounds):
        raise UnknownReferenceError(
            f"the question refers to round {number}",
            expected=f"one of the {len(dialogue.rounds)} rounds so far",
        )
    drawn = [e for e in dialogue.rounds[number - 1].entities if e.mask is not None]
    if len(drawn) != 1:
        raise QueryError(
            f"round {number} has {len(drawn)} masks",
            expected="exactly one where a question speaks of its output",
            remedy="name the mask itself, e.g. " + (f"[{drawn[0].id}]" if drawn else "[1]"),
        )
    return f"[{drawn[0].id}]"


def _check(text: str, dialogue: Dialogue) -> None:
    entities = {entity.id: entity for entity in dialogue.entities()}
    known = [number for number, entity in entities.items() if entity.mask is not None]
    listed = ", ".join(f"[{number}]" for number in known)
    for number in markers(text):
        if number not in known:
            absent = number in entities
            what = "which is absent from the image" if absent else "which does not exist"
            raise UnknownReferenceError(
                f"the question refers to [{number}], {what}",
                expected=f"one of {listed}" if known else "no reference, there are no masks yet",
            )
