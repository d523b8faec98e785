from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediround.data.dialogues import enquiries
from mediround.data.dialogues.builder import measure
from mediround.data.dialogues.enquiries import answer, figures
from mediround.geometry import BoolMask

Masks = dict[str, BoolMask]
Ellipse = Callable[..., BoolMask]


def test_answers_about_one_mask(upper_abdomen: Masks) -> None:
    scene = measure(upper_abdomen, oriented=True)
    assert answer(scene, "ask_name", ("liver",)) == "That is the liver."
    assert answer(scene, "ask_side", ("left kidney",)) == "On the patient's left."
    assert answer(scene, "ask_side", ("liver",)) is None
    assert answer(scene, "ask_count", ("liver",)) == "It is in one piece."
    where = answer(scene, "ask_where", ("stomach",))
    assert where == "In the upper right quarter of the picture."


def test_a_plural_name_takes_a_plural_verb(ellipse: Ellipse) -> None:
    scene = measure({"portal vein and splenic vein": ellipse((40, 40), (9, 9))}, oriented=True)
    name = ("portal vein and splenic vein",)
    assert answer(scene, "ask_name", name) == "Those are the portal vein and splenic vein."


def test_sizes_are_told_in_the_unit_that_is_known() -> None:
    mask = np.zeros((100, 100), dtype=bool)
    mask[:20, :30] = True
    by_share = measure({"liver": mask}, oriented=True)
    assert answer(by_share, "ask_size", ("liver",)) == "About 6 % of the picture."
    by_area = measure({"liver": mask}, oriented=True, spacing=(2.0, 0.5))
    assert answer(by_area, "ask_size", ("liver",)) == "About 6 cm²."


def test_pieces_are_counted_unless_they_may_be_noise(ellipse: Ellipse) -> None:
    two = ellipse((25, 48), (8, 8)) | ellipse((75, 48), (8, 8))
    assert answer(measure({"nerve": two}, oriented=False), "ask_count", ("nerve",)) == (
        "There are two separate pieces."
    )
    doubtful = ellipse((25, 48), (10, 10)) | ellipse((75, 48), (2, 2))
    assert answer(measure({"nerve": doubtful}, oriented=False), "ask_count", ("nerve",)) is None


def test_answers_about_two_masks(upper_abdomen: Masks) -> None:
    scene = measure(upper_abdomen, oriented=True)
    liver, spleen = (int(upper_abdomen[name].sum()) for name in ("liver", "spleen"))
    larger = f"The liver, with about {figures(liver / spleen)} times the area of the spleen"
    assert answer(scene, "ask_larger", ("spleen", "liver")) == f"{larger} in this image."
    assert answer(scene, "ask_larger", ("left kidney", "right kidney")) is None
    assert answer(scene, "ask_order", ("aorta", "inferior vena cava")) == (
        "To the left of it, as seen by the patient."
    )
    assert answer(scene, "ask_touch", ("liver", "spleen")) == "No, there is a gap between them."


def test_touching_structures_touch(short_axis: Masks) -> None:
    scene = measure(short_axis, oriented=False)
    pair = ("left ventricle cavity", "left ventricular myocardium")
    assert answer(scene, "ask_touch", pair) == "Yes, they touch."


def test_without_orientation_directions_are_those_of_the_picture(upper_abdomen: Masks) -> None:
    scene = measure(upper_abdomen, oriented=False)
    assert answer(scene, "ask_order", ("aorta", "inferior vena cava")) == (
        "To the right of it in the picture."
    )


@pytest.mark.parametrize("kind", sorted(enquiries.TWO))
def test_exchanging_two_masks_changes_directions_only(kind: str, upper_abdomen: Masks) -> None:
    scene = measure(upper_abdomen, oriented=True)
    for one in upper_abdomen:
        for other in set(upper_abdomen) - {one}:
            there, back = answer(scene, kind, (one, other)), answer(scene, kind, (other, one))
            assert there != back or there is None or kind != "ask_order"
            assert there == back or kind == "ask_order"


@given(st.floats(0.001, 1e6))
def test_figures_are_within_five_per_cent_and_short(value: float) -> None:
    said = figures(value)
    assert "e" not in said or value < 1e-3
    assert float(said) == pytest.approx(value, rel=0.051)
    assert len(said.strip("0.").replace(".", "")) <= 2
