"""Whether a rewritten question still asks the same: the same references, no name let slip.

A check that is too strict costs a rewrite, one that is too lax a wrong example: so whatever is in
doubt is refused, and the question keeps its own words.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from functools import cache
from importlib import resources
from itertools import product
from typing import Any, Final, Literal

from mediround import anatomy
from mediround.data.words import chinese, phrasebook, questions
from mediround.data.words.phrasebook import Split
from mediround.dialogue import Round, markers

Reason = Literal["form", "references", "language", "leak", "names", "meaning", "request"]

LONGEST: Final = 400  # characters; generated questions stay below half of it
_SPLITS: Final[tuple[Split, ...]] = ("train", "heldout")
_CONTROL: Final = re.compile(r"[\n\r\t{}]|<\||\|>|\[SEG\]|https?:", re.IGNORECASE)
_BRACKETS: Final = re.compile(r"\[[^\]]*\]?|\]")
_SQUEEZED: Final = re.compile(r"[\W\d_]+")
_SHORTEST_HIDDEN: Final = 4  # letters of a name looked for inside other words

# What a question turns on: a rewrite must have exactly those of the original.
_POLES: Final[Mapping[str, str]] = {
    "left": r"\bleft(?:wards?)?\b|左",
    "right": r"\bright(?:wards?)?\b|右",
    "front": r"\bfront|\banterior|\bventral|\bforward|\bahead\b|\bfore\b|\bbefore \[|[前腹]",
    "back": r"\bbehind\b|\bposterior|\bdorsal|\brear\b|\bback(?:wards?)?\b|\bhind\b|[后背]",
    "up": r"\babove\b|\bsuperior|\bupper|\bcranial|\btop\b|上(?:方|面|侧)",
    "down": r"\bbelow\b|\binferior|\blower|\bcaudal|\bbottom\b|\bbeneath\b|下(?:方|面|侧)",
    "large": r"\blarg|\bbig|\bgreater|\bmore\b|\bbroader|\bwider|\bbulkier|\bgrander|\bheftier"
    r"|较大|更大|最大|更多|较多",
    "small": r"\bsmall|\blittler|\bnarrower|\bslighter|\bdaintier|\bpunier|\btin(?:y|ier)"
    r"|\bless(?:er)?\b|\bfewer|较小|更小|最小|更少|较少",
    "far": r"\bfarthest|\bfurthest|\bfarther|\bfurther|最远|较远",
    "not": r"\bnot\b|\bno\b|\b(?:is|are|do|does)n['’]t\b|\bwithout\b|不(?:是|要|属|含)|没有|勿|除",
    "both": r"\bboth\b|两侧|双侧",
    "paired": r"\bcontralat|\bopposite|\bother side|\bcounterpart|\bmirror|\bpair|\bpartner"
    r"|\bacross\b|\bcorrespond|\bmatch|\bgoes with\b|对侧|另一侧|成对|一对|对称|镜像|配对",
}
# Which of several: with fewer references "the first structure behind [1]" is only the nearest.
_ORDINALS: Final[Mapping[str, str]] = {
    "first": r"\bfirst\b|第一",
    "second": r"\bsecond\b|第二",
    "third": r"\bthird\b|第三",
}
_SEVERAL: Final = 3
_NAMING: Final = re.compile(
    r"\bnam(?:e|es|ed|ing)\b|\bcall(?:ed)?\b|\blabel|\bterm\b|\bidentif|\bidentity\b|\banonym"
    r"|\bwhat\s+(?:is|are|was)\b|\bwhat['’]s\b|名|叫什么|是什么|匿",
    re.IGNORECASE,
)


def split_request(query: str) -> tuple[str, str]:
    """``query`` as (question, request not to name the structure); the second may be empty.

    Joined again they give ``query``; the request begins with the space before it.
    """
    for request in _requests():
        if query.endswith(request) and len(query) > len(request):
            question = query[: -len(request)]
            kept = question.rstrip()
            return kept, question[len(kept) :] + request
    return query, ""


def is_unnamed(each: Round) -> bool:
    """Whether the answer of a round brings structures and names none of them."""
    shown = [entity for entity in each.entities if entity.mask is not None]
    said = {*mentioned(each.text)}
    return bool(shown) and not any(
        entity.name is not None and (entity.name in said or entity.name in each.text.lower())
        for entity in shown
    )


def mentioned(text: str) -> frozenset[str]:
    """Canonical names of the structures that ``text`` names, in English or Chinese."""
    return frozenset((*anatomy.load().recognise(text), *chinese.recognise(text)))


def refusal(
    question: str, rewritten: str, *, targets: Collection[str], unnamed: bool
) -> Reason | None:
    """Why ``rewritten`` may not replace ``question``; None when it may.

    Args:
        question: the original, without a request not to name the structure.
        rewritten: the candidate, likewise.
        targets: names of the structures that answer.
        unnamed: the answer must not name them.

    Returns:
        ``"form"``: empty, too long, not one plain line; ``"references"``: not the same numbers in
        the same order; ``"language"``; ``"leak"``: it gives a target away; ``"names"``: it names
        other structures than the original; ``"meaning"``: another side, direction, size, place in
        an order, or negation; ``"request"``: it asks for a name that shall not be told, or asks
        not to tell one.
    """
    if not rewritten.strip() or len(rewritten) > LONGEST or _CONTROL.search(rewritten):
        return "form"
    if markers(rewritten) != markers(question) or _odd_brackets(rewritten):
        return "references"
    if chinese.is_chinese(rewritten) != chinese.is_chinese(question):
        return "language"
    if any(_gives_away(target, question, rewritten) for target in targets):
        return "leak"
    if mentioned(rewritten) != mentioned(question):
        return "names"
    if _turns_on(rewritten) != _turns_on(question):
        return "meaning"
    if unnamed and _NAMING.search(rewritten) and not _NAMING.search(question):
        return "request"
    return None


def _turns_on(text: str) -> frozenset[str]:
    """Directions, sizes, negations and, among several references, places in their order."""
    words = {**_POLES, **(_ORDINALS if len(markers(text)) >= _SEVERAL else {})}
    return frozenset(
        name for name, pattern in words.items() if re.search(pattern, text, re.IGNORECASE)
    )


def _odd_brackets(text: str) -> bool:
    return any(not re.fullmatch(r"\[\d+\]", found) for found in _BRACKETS.findall(text))


def _gives_away(target: str, question: str, rewritten: str) -> bool:
    """Whether ``rewritten`` names ``target``, openly or hidden, where ``question`` does not."""
    if target in mentioned(question):
        return False
    if target in mentioned(rewritten):
        return True
    before, after = question.casefold(), rewritten.casefold()
    squeezed = _SQUEEZED.sub("", before), _SQUEEZED.sub("", after)
    if any(name in squeezed[1] and name not in squeezed[0] for name in _hidden_names(target)):
        return True
    return any(telling.search(after) and not telling.search(before) for telling in _telling(target))


@cache
def _hidden_names(target: str) -> tuple[str, ...]:
    """Names of ``target`` as letters alone, which spaces and hyphens cannot hide."""
    known = anatomy.load().find(target)
    said = {target} if known is None else {*known.spoken_names, *known.labels}
    plain = {_SQUEEZED.sub("", name.casefold()) for name in said}
    long = {name for name in plain if len(name) >= _SHORTEST_HIDDEN}
    return tuple(sorted(long | set(chinese.names(target))))


@cache
def _telling(target: str) -> tuple[re.Pattern[str], ...]:
    """Short forms and beginnings of words that point to ``target``."""
    known = anatomy.load().find(target)
    said = {target} if known is None else set(known.spoken_names)
    short = {
        s
        for long, forms in _table("abbreviations.toml")["en"].items()
        if long in said
        for s in forms
    }
    side, _, unsided = target.partition(" ")
    beginnings = _table("telling_words.toml")["beginnings"]
    stems = beginnings.get(target, beginnings.get(unsided, ()) if side in chinese.SIDES else ())
    words = [rf"\b{re.escape(form.casefold())}(?!\w)" for form in short]
    return tuple(re.compile(pattern) for pattern in (*words, *(rf"\b{stem}" for stem in stems)))


@cache
def _requests() -> tuple[str, ...]:
    """Every request not to name the structure, the longest first."""
    known = {
        request
        for split, language in product(_SPLITS, phrasebook.LANGUAGES)
        for request in phrasebook.requests_without_name(split, language)
    }
    for split in _SPLITS:
        known.update(questions.forms("whole", "unnamed_several", split))
    return tuple(sorted(known, key=len, reverse=True))


@cache
def _table(file: str) -> dict[str, Any]:
    source = resources.files("mediround.data.words").joinpath(file)
    return tomllib.loads(source.read_text(encoding="utf-8"))
