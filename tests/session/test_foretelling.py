"""What an answer will likely say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediround.data.words.wording import answer, answer_absent
from mediround.model.tokenizer import TextTokenizer
from mediround.prompt import Prompter
from mediround.session.foretelling import LikelyAnswers

WRITER = Prompter(TextTokenizer.bytewise(), 4, (2,))
NAMES = ("liver", "spleen", "left kidney", "right kidney")
LIKELY = LikelyAnswers(WRITER, NAMES)


def foretold(question: str, begun: str) -> str:
    rest = LIKELY.to(question)(WRITER.answer(begun, 1))
    return WRITER.text(rest, 1 + begun.count("["))


@pytest.mark.parametrize(
    ("question", "begun", "rest"),
    [
        ("Outline the liver.", "", "The liver is [1]."),
        ("Outline the liver.", "The l", "iver is [1]."),
        ("Outline the liver.", "The s", "pleen is [1]."),
        ("The liver and the spleen.", "The liver is [1]", "and the spleen is [2]."),
        ("The kidneys.", "", "The left kidney is [1] and the right kidney is [2]."),
        ("The larynx.", "There is no s", "pleen in this image."),
        ("What lies behind [1]?", "", ""),
        ("What lies behind [1]?", "There", "is no"),
        ("What lies behind [1]?", "It", "is [1]."),
        ("What lies behind [1]?", "The r", "ight kidney is [1]."),
        ("What lies behind [1]?", "On the left", ""),
        ("Outline the liver.", "The liver is [1].", ""),
    ],
)
def test_the_rest_of_what_is_named_or_else_what_all_have_in_common(
    question: str, begun: str, rest: str
) -> None:
    assert foretold(question, begun) == rest


@given(name=st.sampled_from(NAMES[1:]), absent=st.booleans(), data=st.data())
def test_what_is_foretold_of_another_answer_is_never_wrong(
    name: str, absent: bool, data: st.DataObject
) -> None:
    ids = WRITER.answer(answer_absent(name) if absent else answer([(name, 1)]), 1)
    begun = ids[: data.draw(st.integers(len("The l"), len(ids)))]
    rest = LIKELY.to("Outline the liver.")(begun)
    fits_liver = WRITER.answer("The liver is [1].", 1)[: len(begun)] == begun
    assert fits_liver or rest == ids[len(begun) :][: len(rest)]


def test_nothing_is_foretold_of_a_model_that_knows_no_names() -> None:
    follows = LikelyAnswers(WRITER, ()).to("Outline the liver.")
    assert follows(WRITER.answer("The", 1)) == ()
