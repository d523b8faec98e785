"""Answers in words: what they claim, whatever the wording."""

from __future__ import annotations

import pytest

from mediround.evaluation.answers import Claims, agrees


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("On the left, from the patient's view.", "On the patient's left.", True),
        ("On the patient's right.", "On the patient's left.", False),
        ("Left or right, I cannot tell.", "On the patient's left.", False),
        ("It covers 1.2 % of the image.", "About 1.4 % of the picture.", True),
        ("It covers 2.4 % of the image.", "About 1.4 % of the picture.", False),
        ("About 14 cm².", "About 1.4 % of the picture.", False),
        ("13 square centimetres", "About 14 cm².", True),
        ("There are 3 pieces.", "There are three separate pieces.", True),
        ("It is in one piece.", "There are three separate pieces.", False),
        ("This is the left kidney.", "That is the left kidney.", True),
        ("This is the right kidney.", "That is the left kidney.", False),
        ("The liver.", "The liver, with about 11 times the area of the spleen.", True),
        (
            "The spleen, with about 11 times the area of the liver.",
            "The liver, with about 11 times the area of the spleen.",
            False,
        ),
        ("[2] is larger.", "[2] is larger than the other.", True),
        ("[1] is larger.", "[2] is larger than the other.", False),
        ("Yes.", "Yes, they touch.", True),
        ("No, there is a gap.", "Yes, they touch.", False),
        ("Behind it.", "In front of it.", False),
        ("", "In front of it.", False),
        ("Whatever.", "Iodine.", None),
    ],
)
def test_claims_are_compared(answer: str, expected: str, right: bool | None) -> None:
    assert agrees(answer, expected) is right


def test_a_sided_name_is_no_place() -> None:
    assert Claims.of("That is the left kidney.").places == frozenset()
