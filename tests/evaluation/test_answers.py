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
        ("约 13 平方厘米。", "约 12 平方厘米。", True),
        ("约 20 平方厘米。", "约 12 平方厘米。", False),
        ("约 12 平方厘米。", "约占图像的 12%。", False),
        ("患者左侧。", "在患者的左侧。", True),
        ("在患者的右侧。", "在患者的左侧。", False),
        ("在图像的右上象限。", "在图像的左上象限。", False),
        ("共有三个部分。", "共有三个互不相连的部分。", True),
        ("它是连续的一整块。", "共有三个互不相连的部分。", False),
        ("脾脏较大。", "左肾较大，在本图中其面积约为脾脏的 2 倍。", False),
        ("左肾。", "左肾较大，在本图中其面积约为脾脏的 2 倍。", True),
        ("这是肝脏。", "那是肝脏。", True),
        ("没有接触。", "是的，两者相接触。", False),
        ("是的。", "是的，两者相接触。", True),
        ("随便。", "不客气。", None),
        ("Whatever.", "Iodine.", None),
    ],
)
def test_claims_are_compared(answer: str, expected: str, right: bool | None) -> None:
    assert agrees(answer, expected) is right


def test_a_sided_name_is_no_place() -> None:
    assert Claims.of("That is the left kidney.").places == frozenset()
