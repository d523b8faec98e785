"""What a question names outright: "Please outline the larynx", and nothing beside.

A language model that never learned a name may take it for one that it did learn, and answer about
that. A name in the atlas needs no understanding.
"""

from functools import cache

from mediround import anatomy
from mediround.anatomy.naming import words
from mediround.data.words.wording import frames

_PLACES = frozenset({"around", "at", "behind", "by", "from", "next", "on", "over", "out", "with"})
"""Words of requests that, beside a name, may ask for something else nearby."""
_LONGEST = 6


def asked_by_name(question: str) -> str | None:
    """The one structure that ``question`` names; None where it says more than requests say."""
    atlas = anatomy.load()
    if len(atlas.recognise(question)) != 1:
        return None
    said = words(question)
    for length in range(min(_LONGEST, len(said)), 0, -1):
        for start in range(len(said) - length + 1):
            found = atlas.find(" ".join(said[start : start + length]))
            if found is not None:
                rest = {*said[:start], *said[start + length :]}
                return found.name if rest <= request_words() else None
    return None


def passed_over(question: str, answer: str) -> str | None:
    """The structure that ``question`` names and ``answer`` is about nothing like.

    None where the question names none outright, or the answer says no name, that one, a part or a
    whole of it, or a more general one ("nerve" for "median nerve").
    """
    asked, said = asked_by_name(question), anatomy.load().recognise(answer)
    if asked is None or not said or any(_is_near(asked, name) for name in said):
        return None
    return asked


def _is_near(asked: str, said: str) -> bool:
    wholes = anatomy.load().wholes
    unsided = asked.removeprefix("left ").removeprefix("right ")
    more_general = {*words(said)} <= {*words(asked)}
    return more_general or said in wholes(asked) or bool({asked, unsided} & {*wholes(said)})


@cache
def request_words() -> frozenset[str]:
    """Words of requests, those of places apart; from the training wordings alone."""
    said = {word for frame in frames("train") for word in words(frame.replace("{x}", " "))}
    return frozenset(said - _PLACES)
