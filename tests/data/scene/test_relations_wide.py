from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediround import anatomy
from mediround.data.dialogues.builder import axes_of, measure
from mediround.data.scene.relations import Scene
from mediround.data.scene.relations_wide import (
    FARTHER,
    WideKind,
    WideLink,
    rankings,
    wide_links,
)
from mediround.geometry import BoolMask
from mediround.imaging.image import Edges

K = WideKind
Masks = dict[str, BoolMask]
Ellipse = Callable[..., BoolMask]
Maps = st.SearchStrategy[Masks]


def answers(scene: Scene, kind: WideKind) -> dict[str, str]:
    return {link.references[0]: link.target for link in wide_links(scene) if link.kind is kind}


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_rankings_are_what_sorting_says(data: st.DataObject, label_maps: Maps) -> None:
    masks = data.draw(label_maps)
    scene = measure(masks, oriented=True)
    areas = {name: int(mask.sum()) for name, mask in masks.items()}
    heights = {name: float(np.nonzero(mask)[0].mean()) for name, mask in masks.items()}
    for link in rankings(scene, list(masks)):
        by_area = sorted(link.references, key=areas.__getitem__)
        by_height = sorted(link.references, key=heights.__getitem__)
        expected = {
            K.LARGEST_OF: by_area[-1],
            K.SMALLEST_OF: by_area[0],
            K.NTH_FROM_TOP: by_height[
                ("first", "second", "third").index(dict(link.terms).get("ordinal", "first"))
            ],
        }
        assert link.target == expected[link.kind]


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_the_farthest_leads_by_a_margin(data: st.DataObject, label_maps: Maps) -> None:
    masks = data.draw(label_maps)
    scene = measure(masks, oriented=True)
    for reference, target in answers(scene, K.FARTHEST_FROM).items():
        others = set(masks) - {reference, target}
        assert others
        for name in others:
            assert scene.gap(reference, target) > FARTHER * scene.gap(reference, name)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_turning_the_picture_upside_down_swaps_above_and_below(
    data: st.DataObject, label_maps: Maps
) -> None:
    masks = data.draw(label_maps)
    turned = {name: mask[::-1] for name, mask in masks.items()}
    for above, below, axes in ((K.ABOVE, K.BELOW, "LI"), (K.PICTURE_ABOVE, K.PICTURE_BELOW, None)):
        upright = measure(masks, oriented=False, axes=axes)
        flipped = measure(turned, oriented=False, axes=axes)
        assert answers(upright, above) == answers(flipped, below)


def test_axes_say_where_the_patient_is(ellipse: Ellipse) -> None:
    masks = {"liver": ellipse((48, 30), (8, 8)), "left kidney": ellipse((48, 70), (8, 8))}
    coronal = measure(masks, oriented=False, axes="LI")
    assert answers(coronal, K.ABOVE) == {"left kidney": "liver"}
    assert answers(coronal, K.BELOW) == {"liver": "left kidney"}
    axial = measure(masks, oriented=True)
    assert answers(axial, K.ABOVE) == {}
    assert {link.kind.value for link in axial.links} >= {"in_front_of", "behind"}
    unknown = measure(masks, oriented=False)
    assert answers(unknown, K.PICTURE_ABOVE) == {"left kidney": "liver"}
    assert answers(axial, K.PICTURE_ABOVE) == {}


def test_axes_follow_from_the_edges_of_a_picture() -> None:
    assert axes_of(Edges(left="R", right="L", top="A", bottom="P")) == "LP"
    assert measure({}, oriented=False, axes="LP").steps == measure({}, oriented=True).steps


@pytest.mark.parametrize("axes", ["L", "LR", "LL", "XP", "LPS"])
def test_impossible_axes_are_refused(axes: str, upper_abdomen: Masks) -> None:
    with pytest.raises(ValueError, match="axes are"):
        measure(upper_abdomen, oriented=False, axes=axes)


def test_parts_lie_in_their_wholes(ellipse: Ellipse) -> None:
    atlas = anatomy.load()
    part = next(name for name in atlas.names() if atlas.wholes(name))
    whole = atlas.wholes(part)[0]
    inside = {whole: ellipse((48, 48), (30, 30)), part: ellipse((40, 40), (8, 8))}
    assert answers(measure(inside, oriented=True), K.PART_OF) == {whole: part}
    assert answers(measure(inside, oriented=True), K.WHOLE_OF) == {part: whole}
    apart = {whole: ellipse((30, 30), (10, 10)), part: ellipse((80, 80), (8, 8))}
    assert answers(measure(apart, oriented=True), K.PART_OF) == {}


def test_links_of_equal_words_ask_the_same_question() -> None:
    one = WideLink(K.NTH_FROM_TOP, ("a", "b", "c"), "a", terms=(("ordinal", "first"),))
    other = WideLink(K.NTH_FROM_TOP, ("a", "b", "d"), "b", terms=(("ordinal", "first"),))
    assert one.question == other.question
    assert one.question != WideLink(K.NTH_FROM_TOP, one.references, "b").question
