"""The data hold together: every name, relation and code of the atlas."""

from __future__ import annotations

from collections import Counter
from typing import cast

import pytest
from pydicom.sr._concepts_dict import concepts

from mediround import anatomy
from mediround.anatomy.entity import ENTITY_KINDS, INVERSES, SUBSTANCE_KINDS

ATLAS = anatomy.load()

_TOTAL_SEGMENTATOR = """
spleen kidney_right kidney_left gallbladder liver stomach pancreas adrenal_gland_right
adrenal_gland_left lung_upper_lobe_left lung_lower_lobe_left lung_upper_lobe_right
lung_middle_lobe_right lung_lower_lobe_right esophagus trachea thyroid_gland small_bowel duodenum
colon urinary_bladder prostate kidney_cyst_left kidney_cyst_right sacrum vertebrae_S1 vertebrae_L5
vertebrae_L4 vertebrae_L3 vertebrae_L2 vertebrae_L1 vertebrae_T12 vertebrae_T11 vertebrae_T10
vertebrae_T9 vertebrae_T8 vertebrae_T7 vertebrae_T6 vertebrae_T5 vertebrae_T4 vertebrae_T3
vertebrae_T2 vertebrae_T1 vertebrae_C7 vertebrae_C6 vertebrae_C5 vertebrae_C4 vertebrae_C3
vertebrae_C2 vertebrae_C1 heart aorta pulmonary_vein brachiocephalic_trunk subclavian_artery_right
subclavian_artery_left common_carotid_artery_right common_carotid_artery_left
brachiocephalic_vein_left brachiocephalic_vein_right atrial_appendage_left superior_vena_cava
inferior_vena_cava portal_vein_and_splenic_vein iliac_artery_left iliac_artery_right
iliac_vena_left iliac_vena_right humerus_left humerus_right scapula_left scapula_right
clavicula_left clavicula_right femur_left femur_right hip_left hip_right spinal_cord
gluteus_maximus_left gluteus_maximus_right gluteus_medius_left gluteus_medius_right
gluteus_minimus_left gluteus_minimus_right autochthon_left autochthon_right iliopsoas_left
iliopsoas_right brain skull rib_left_1 rib_left_2 rib_left_3 rib_left_4 rib_left_5 rib_left_6
rib_left_7 rib_left_8 rib_left_9 rib_left_10 rib_left_11 rib_left_12 rib_right_1 rib_right_2
rib_right_3 rib_right_4 rib_right_5 rib_right_6 rib_right_7 rib_right_8 rib_right_9 rib_right_10
rib_right_11 rib_right_12 sternum costal_cartilages
"""
TOTAL_SEGMENTATOR = _TOTAL_SEGMENTATOR.split()

DATASET_LABELS = [
    *("spleen", "right kidney", "left kidney", "gallbladder", "esophagus", "liver", "stomach"),
    *("aorta", "inferior vena cava", "portal vein and splenic vein", "pancreas"),
    *("right adrenal gland", "left adrenal gland", "right ventricle cavity"),
    *("left ventricular myocardium", "left ventricle cavity", "nerve", "blood vessel"),
    *("anterior hippocampus", "posterior hippocampus", "necrotic tumour core"),
    *("peritumoral oedema", "non-enhancing tumour", "enhancing tumour", "brainstem"),
    *("third ventricle", "fourth ventricle"),
    *(
        f"{side} {structure}"
        for side in ("left", "right")
        for structure in (
            *("cerebral white matter", "cerebral cortex", "lateral ventricle"),
            *("cerebellar white matter", "cerebellar cortex", "thalamus", "caudate nucleus"),
            *("putamen", "globus pallidus", "hippocampus", "amygdala"),
        )
    ),
]

_COMMON_ORGANS = """
spleen kidney_right kidney_left gallbladder liver stomach pancreas adrenal_gland_right
adrenal_gland_left lung_upper_lobe_left lung_lower_lobe_left lung_upper_lobe_right
lung_middle_lobe_right lung_lower_lobe_right esophagus trachea thyroid_gland small_bowel duodenum
colon urinary_bladder prostate heart aorta pulmonary_vein superior_vena_cava inferior_vena_cava
spinal_cord brain sacrum sternum
"""
COMMON_ORGANS = _COMMON_ORGANS.split()


def test_covers_at_least_150_entities() -> None:
    assert len(ATLAS) >= 150
    assert len(set(ATLAS.names())) == len(ATLAS)


def test_finds_every_class_of_the_total_task_as_an_entity_of_its_own() -> None:
    assert len(TOTAL_SEGMENTATOR) == 117
    found = [ATLAS[label.replace("_", " ")].name for label in TOTAL_SEGMENTATOR]
    assert len(set(found)) == 117


@pytest.mark.parametrize("label", DATASET_LABELS)
def test_labels_of_the_training_sets_are_canonical(label: str) -> None:
    assert ATLAS[label].name == label
    assert len(ATLAS[label].descriptions) >= 2


@pytest.mark.parametrize("label", COMMON_ORGANS)
def test_common_organs_have_two_descriptions(label: str) -> None:
    assert len(ATLAS[label.replace("_", " ")].descriptions) >= 2


def test_names_are_plain_and_belong_to_one_entity() -> None:
    owners = Counter(name.casefold() for entity in ATLAS for name in entity.spoken_names)
    assert [name for name, count in owners.items() if count > 1] == []
    for entity in ATLAS:
        assert entity.name == entity.name.strip()
        for word in entity.name.split():
            assert word.islower() or word.isdigit() or entity.noun == "vertebra"


def test_every_entity_is_described_in_phrases_of_its_own() -> None:
    owners = Counter(text.casefold() for entity in ATLAS for text in entity.descriptions)
    assert [text for text, count in owners.items() if count > 1] == []
    for entity in ATLAS:
        assert entity.descriptions, entity.name
        assert "" not in (entity.noun, entity.body_region, entity.system)


def test_no_description_gives_the_name_away() -> None:
    leaks = [
        (entity.name, text)
        for entity in ATLAS
        for text in entity.descriptions
        if entity.name in ATLAS.recognise(text)
    ]
    assert leaks == []


def test_descriptions_fit_after_segment_the() -> None:
    for entity in ATLAS:
        for text in entity.descriptions:
            assert not text.lower().startswith(("the ", "a ", "an ")), text
            assert not text.endswith("."), text


def test_lateral_entities_say_their_side_wherever_they_are_described() -> None:
    for entity in ATLAS:
        if entity.laterality:
            assert entity.laterality in entity.name.split()
            for text in entity.descriptions:
                assert entity.laterality in text.replace("-", " ").split(), text


def test_pairs_are_symmetric_and_of_one_kind() -> None:
    for entity in ATLAS:
        if entity.pair is not None:
            other = ATLAS[entity.pair]
            assert other.name != entity.name
            assert other.pair == entity.name
            assert other.noun == entity.noun
            assert other.system == entity.system


def test_part_of_is_acyclic_and_its_ends_are_canonical() -> None:
    for entity in ATLAS:
        seen = {entity.name}
        whole = entity.part_of
        while whole is not None:
            assert whole in ATLAS.names()
            assert whole not in seen
            seen.add(whole)
            whole = ATLAS[whole].part_of


def test_every_relation_ends_at_an_entity_that_knows_the_inverse() -> None:
    names = set(ATLAS.names())
    inverses = {**{inverse: kind for kind, inverse in INVERSES.items()}, **INVERSES}
    for entity in ATLAS:
        assert set(entity.relations) <= {*ENTITY_KINDS, *SUBSTANCE_KINDS}
        for kind in ENTITY_KINDS:
            for end in entity.relations.get(kind, ()):
                assert end in names, (entity.name, kind, end)
                assert end != entity.name
                assert entity.name in ATLAS[end].relations[inverses[kind]]


@pytest.mark.parametrize("kind", ["adjacent", "articulates_with", "companion"])
def test_symmetric_relations(kind: str) -> None:
    ends = {(entity.name, other) for entity in ATLAS for other in ATLAS.related(entity.name, kind)}
    assert ends
    assert ends == {(other, name) for name, other in ends}


@pytest.mark.parametrize("kind", ["superior_to", "anterior_to", "encloses", "drains", "supplies"])
def test_ordering_relations_never_hold_both_ways(kind: str) -> None:
    ends = {(entity.name, other) for entity in ATLAS for other in ATLAS.related(entity.name, kind)}
    assert ends
    assert not ends & {(other, name) for name, other in ends}


def test_relations_stay_on_their_side() -> None:
    """What lies above a left rib, drains a left kidney, … is left or has no side."""
    crossing = {
        (entity.name, kind, end)
        for entity in ATLAS
        for kind in ENTITY_KINDS
        for end in entity.relations.get(kind, ())
        if {entity.laterality, ATLAS[end].laterality} == {"left", "right"}
    }
    allowed = {("left hip bone", "right hip bone"), ("right hip bone", "left hip bone")}
    assert {(name, end) for name, kind, end in crossing if kind == "articulates_with"} == allowed
    assert {kind for _, kind, _ in crossing} == {"articulates_with"}


def test_everything_that_is_stored_is_produced() -> None:
    stored = {what for entity in ATLAS for what in entity.relations.get("stores", ())}
    produced = {what for entity in ATLAS for what in entity.relations.get("produces", ())}
    assert stored
    assert stored <= produced


def test_snomed_codes_are_those_of_pydicom() -> None:
    meanings: dict[str, set[str]] = {}
    snomed = cast("dict[str, dict[str, tuple[str, list[int]]]]", concepts["SCT"])
    for entry in snomed.values():
        for code, (meaning, _) in entry.items():
            meanings.setdefault(code, set()).add(meaning)
    coded = [entity for entity in ATLAS if entity.snomed]
    assert len(coded) >= 200
    for entity in coded:
        assert entity.snomed is not None
        assert entity.snomed.meaning in meanings[entity.snomed.value], entity.name


def test_a_code_and_a_side_say_which_entity() -> None:
    owners = Counter((entity.snomed, entity.laterality) for entity in ATLAS if entity.snomed)
    assert [owner for owner, count in owners.items() if count > 1] == []
