from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_fill_holes, distance_transform_edt

from mediround import anatomy
from mediround.data.scene.relations import (
    CONE,
    DIRECTIONS,
    ENCLOSED,
    RESEGMENTING,
    SIZE_RATIO,
    TOUCH,
    Link,
    RelationKind,
    Scene,
)
from mediround.geometry import BoolMask

K = RelationKind
Masks = dict[str, BoolMask]
Ellipse = Callable[..., BoolMask]
Maps = st.SearchStrategy[Masks]


def scene(masks: Masks, *, oriented: bool = True) -> Scene:
    return Scene(masks, anatomy.load(), oriented=oriented)


def answers(masks: Masks, kind: RelationKind, **options: bool) -> dict[str, str]:
    links = scene(masks, **options).links
    return {" + ".join(link.references): link.target for link in links if link.kind is kind}


def brute_gap(a: BoolMask, b: BoolMask) -> float:
    """From the distance transform of the whole picture, without outlines and trees."""
    return max(0.0, float(distance_transform_edt(~a)[b].min()) - 1.0)


def centre(mask: BoolMask) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return float(columns.mean()), float(rows.mean())


def fits(link: Link, candidate: str, masks: Masks) -> bool:
    """Whether ``candidate`` satisfies the relation, by its plain definition."""
    first = masks[link.references[0]]
    mask = masks[candidate]
    areas = {name: int(masks[name].sum()) for name in (*link.references, candidate)}
    others = {n: m for n, m in masks.items() if n not in link.references}
    gaps = {n: brute_gap(first, m) for n, m in others.items()}
    if link.kind is K.IDENTITY:
        return candidate == link.references[0]
    if link.kind in (K.LARGER_OF, K.SMALLER_OF):
        pick = max if link.kind is K.LARGER_OF else min
        return candidate == pick(link.references, key=lambda name: areas[name])
    if candidate in link.references:
        return False
    if link.kind in DIRECTIONS:
        step = DIRECTIONS[link.kind]
        return candidate == min(ahead(first, others, step), key=lambda name: gaps[name])
    if link.kind is K.NEAREST_TO:
        return gaps[candidate] == min(gaps.values())
    if link.kind is K.TOUCHING:
        return gaps[candidate] <= TOUCH
    if link.kind in (K.SURROUNDS, K.INSIDE):
        outer, inner = (mask, first) if link.kind is K.SURROUNDS else (first, mask)
        holes = binary_fill_holes(outer) & ~outer
        return float((holes & inner).sum()) >= ENCLOSED * float(inner.sum())
    assert link.kind is K.BETWEEN
    return on_the_line(mask, first, masks[link.references[1]])


def ahead(reference: BoolMask, others: Masks, step: tuple[int, int]) -> list[str]:
    x, y = centre(reference)
    found = []
    for name, mask in others.items():
        cx, cy = centre(mask)
        forward = (cx - x) * step[0] + (cy - y) * step[1]
        sideways = abs((cx - x) * step[1]) + abs((cy - y) * step[0])
        if forward > 0 and sideways <= CONE * forward:
            found.append(name)
    return found


def on_the_line(mask: BoolMask, a: BoolMask, b: BoolMask) -> bool:
    (ax, ay), (bx, by) = centre(a), centre(b)
    steps = np.linspace(0, 1, 2000)
    columns = np.rint(ax + steps * (bx - ax)).astype(int)
    rows = np.rint(ay + steps * (by - ay)).astype(int)
    return bool(mask[rows, columns].any())


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_exactly_the_target_satisfies_a_measured_relation(
    data: st.DataObject, label_maps: Maps
) -> None:
    masks = data.draw(label_maps)
    for link in scene(masks).links:
        if link.kind in (K.COUNTERPART, K.SIBLING, K.FACT):
            continue
        candidates = link.references if link.kind in RESEGMENTING else tuple(masks)
        assert [name for name in candidates if fits(link, name, masks)] == [link.target], link


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_sizes_that_look_alike_are_not_compared(data: st.DataObject, label_maps: Maps) -> None:
    masks = data.draw(label_maps)
    for link in scene(masks).links:
        if link.kind is K.LARGER_OF:
            small, large = sorted(int(masks[name].sum()) for name in link.references)
            assert large >= SIZE_RATIO * small


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_gaps_agree_with_the_distance_transform(data: st.DataObject, label_maps: Maps) -> None:
    masks = data.draw(label_maps)
    measured = scene(masks)
    names = sorted(masks)
    for one, other in pairwise(names):
        assert measured.gap(one, other) == pytest.approx(brute_gap(masks[one], masks[other]))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_mirroring_the_patient_swaps_left_and_right(data: st.DataObject, label_maps: Maps) -> None:
    masks = data.draw(label_maps)
    mirrored = {name: mask[:, ::-1] for name, mask in masks.items()}
    assert answers(masks, K.LEFT_OF) == answers(mirrored, K.RIGHT_OF)
    assert answers(masks, K.BEHIND) == answers(mirrored, K.BEHIND)


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_no_direction_is_spoken_of_without_orientation(
    data: st.DataObject, label_maps: Maps
) -> None:
    masks = data.draw(label_maps)
    assert not [link for link in scene(masks, oriented=False).links if link.kind in DIRECTIONS]


def test_directions_are_the_patients(upper_abdomen: Masks) -> None:
    masks = upper_abdomen
    assert answers(masks, K.LEFT_OF)["inferior vena cava"] == "aorta"
    assert answers(masks, K.RIGHT_OF)["aorta"] == "inferior vena cava"


def test_front_is_the_top_of_the_picture(ellipse: Ellipse) -> None:
    masks = {"esophagus": ellipse((48, 40), (4, 4)), "aorta": ellipse((50, 56), (5, 5))}
    assert answers(masks, K.IN_FRONT_OF) == {"aorta": "esophagus"}
    assert answers(masks, K.BEHIND) == {"esophagus": "aorta"}


def test_a_second_candidate_makes_the_relation_ambiguous(ellipse: Ellipse) -> None:
    masks = {
        "aorta": ellipse((48, 48), (4, 4)),
        "left kidney": ellipse((70, 40), (4, 4)),
        "spleen": ellipse((70, 56), (4, 4)),
    }
    assert "aorta" not in answers(masks, K.LEFT_OF)
    assert "aorta" not in answers(masks, K.NEAREST_TO)


def test_between_needs_one_structure_on_the_line(ellipse: Ellipse) -> None:
    masks = {
        "liver": ellipse((15, 48), (8, 8)),
        "pancreas": ellipse((48, 48), (8, 8)),
        "spleen": ellipse((80, 48), (8, 8)),
    }
    assert answers(masks, K.BETWEEN) == {"liver + spleen": "pancreas"}
    masks["stomach"] = ellipse((48, 35), (8, 4))
    assert "liver + spleen" not in answers(masks, K.BETWEEN)


def test_a_ring_surrounds_what_it_holds(short_axis: Masks) -> None:
    assert answers(short_axis, K.SURROUNDS) == {
        "left ventricle cavity": "left ventricular myocardium"
    }
    assert answers(short_axis, K.INSIDE) == {"left ventricular myocardium": "left ventricle cavity"}


def test_counterparts_go_both_ways(short_axis: Masks) -> None:
    assert answers(short_axis, K.COUNTERPART) == {
        "left ventricle cavity": "right ventricle cavity",
        "right ventricle cavity": "left ventricle cavity",
    }


def test_parts_of_one_structure_are_siblings_not_counterparts(ellipse: Ellipse) -> None:
    masks = {
        "anterior hippocampus": ellipse((40, 30), (8, 8)),
        "posterior hippocampus": ellipse((40, 60), (8, 8)),
    }
    assert answers(masks, K.COUNTERPART) == {}
    assert answers(masks, K.SIBLING) == {
        "anterior hippocampus": "posterior hippocampus",
        "posterior hippocampus": "anterior hippocampus",
    }


def test_facts_hold_between_structures_that_are_shown(
    ellipse: Ellipse, upper_abdomen: Masks
) -> None:
    masks = upper_abdomen | {"gallbladder": ellipse((34, 30), (3, 4))}
    facts = {(link.fact, link.references[0]): link for link in scene(masks).links if link.fact}
    stored = facts["stores_product_of", "liver"]
    assert (stored.target, stored.terms) == ("gallbladder", (("noun", "organ"),))
    assert ("stores_product_of", "liver") not in {
        (link.fact, link.references[0]) for link in scene(upper_abdomen).links
    }


def test_a_fact_about_a_flow_says_what_flows(ellipse: Ellipse) -> None:
    masks = {
        "esophagus": ellipse((48, 48), (4, 4)),
        "stomach": ellipse((70, 40), (9, 9)),
    }
    terms = {link.fact: dict(link.terms) for link in scene(masks).links if link.fact}
    assert terms["flows_into"]["medium"] == "food"
    assert terms["receives_from"]["medium"] == "food"


def test_scattered_structures_have_no_centre_to_point_from(ellipse: Ellipse) -> None:
    scattered = ellipse((15, 48), (5, 5)) | ellipse((80, 48), (5, 5))
    masks = {"spleen": scattered, "aorta": ellipse((48, 48), (5, 5))}
    assert answers(masks, K.LEFT_OF) == {}


def test_unknown_names_have_geometry_but_no_anatomy(ellipse: Ellipse) -> None:
    masks = {"blob a": ellipse((20, 48), (5, 5)), "blob b": ellipse((60, 48), (9, 9))}
    kinds = {link.kind for link in scene(masks).links}
    assert K.NEAREST_TO in kinds
    assert not kinds & {K.COUNTERPART, K.SIBLING, K.FACT}


def test_empty_masks_are_left_out(upper_abdomen: Masks) -> None:
    masks = upper_abdomen | {"pancreas": np.zeros((96, 96), dtype=bool)}
    assert "pancreas" not in scene(masks).shapes


def test_masks_of_different_shape_are_refused() -> None:
    masks = {"spleen": np.ones((4, 4), dtype=bool), "liver": np.ones((4, 5), dtype=bool)}
    with pytest.raises(ValueError, match=r"\(4, 4\), \(4, 5\)"):
        scene(masks)
