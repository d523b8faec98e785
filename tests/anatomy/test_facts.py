"""Phrases that mean one entity by its relation to another."""

from __future__ import annotations

import string

import pytest

from mediround import anatomy

ATLAS = anatomy.load()
FACTS = [fact for name in ATLAS.names() for fact in ATLAS.facts(name)]


def test_facts_are_well_formed() -> None:
    assert FACTS
    for fact in FACTS:
        assert fact.subject in ATLAS.names()
        assert fact.object in ATLAS.names()
        assert fact.subject != fact.object
        fields = [field for _, field, _, _ in string.Formatter().parse(fact.phrase) if field]
        assert fields == ["object"]


def test_no_phrase_names_its_answer() -> None:
    for fact in FACTS:
        assert fact.subject not in ATLAS.recognise(fact.about("[1]")), fact


def test_both_views_hold_the_same_facts() -> None:
    referring = {fact for name in ATLAS.names() for fact in ATLAS.facts_referring_to(name)}
    assert referring == set(FACTS)


def test_unique_means_one_subject() -> None:
    meanings: dict[tuple[str, str], set[str]] = {}
    for fact in FACTS:
        meanings.setdefault((fact.object, fact.phrase), set()).add(fact.subject)
    for fact in FACTS:
        alone = len(meanings[fact.object, fact.phrase]) == 1
        assert fact.unique == (alone and fact.kind != "adjacent")


@pytest.mark.parametrize(
    ("object_", "phrase", "subject"),
    [
        ("liver", "the organ that stores what [1] produces", "gallbladder"),
        ("gallbladder", "the organ that produces what [1] stores", "liver"),
        ("left kidney", "the organ that stores what [1] produces", "urinary bladder"),
        ("spleen", "the vein that drains [1]", "portal vein and splenic vein"),
        ("spleen", "the organ into which the vein that drains [1] empties", "liver"),
        ("liver", "the vein into which the vein that drains [1] empties", "inferior vena cava"),
        ("left kidney", "the artery from which the artery that supplies [1] arises", "aorta"),
        ("right kidney", "the gland directly above [1]", "right adrenal gland"),
        ("right kidney", "the counterpart of [1] on the other side", "left kidney"),
        ("right atrium", "the chamber that receives blood from [1]", "right ventricle cavity"),
        (
            "left ventricle cavity",
            "the muscle wall that encloses [1]",
            "left ventricular myocardium",
        ),
        (
            "left ventricular myocardium",
            "the chamber that is enclosed by [1]",
            "left ventricle cavity",
        ),
        ("left ventricle cavity", "the artery that receives blood from [1]", "aorta"),
        (
            "third ventricle",
            "the ventricle that receives cerebrospinal fluid from [1]",
            "fourth ventricle",
        ),
        (
            "anterior hippocampus",
            "the other part of the hippocampus besides [1]",
            "posterior hippocampus",
        ),
        ("necrotic tumour core", "the region that encloses [1]", "enhancing tumour"),
        ("aorta", "the vein that runs alongside [1]", "inferior vena cava"),
        ("nerve", "the tube that runs alongside [1]", "blood vessel"),
        ("left humerus", "the bone that forms a joint with [1]", None),
    ],
)
def test_a_phrase_means_what_an_anatomist_expects(
    object_: str, phrase: str, subject: str | None
) -> None:
    fitting = [fact for fact in ATLAS.facts_referring_to(object_) if fact.about("[1]") == phrase]
    assert fitting
    if subject is None:
        assert not any(fact.unique for fact in fitting)
    else:
        assert [fact.subject for fact in fitting] == [subject]
        assert fitting[0].unique


def test_left_and_right_know_the_same_facts() -> None:
    """Mirroring the body keeps every fact between lateral entities."""

    def mirrored(name: str) -> str:
        entity = ATLAS[name]
        return entity.pair if entity.laterality and entity.pair else name

    lateral = {
        (fact.kind, fact.subject, fact.object)
        for fact in FACTS
        if ATLAS[fact.subject].laterality
        and ATLAS[fact.object].laterality
        and "lobe of the" not in fact.subject + fact.object  # three lobes right, two left
    }
    assert lateral
    assert lateral == {(kind, mirrored(a), mirrored(b)) for kind, a, b in lateral}
