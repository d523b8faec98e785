"""Equal seeds draw equal dialogues; the held-out ones those of all published numbers."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from mediround import anatomy
from mediround.data.dialogues.builder import DialogueSettings, build_dialogue, twins
from mediround.data.scene.relations import RelationKind, Scene
from mediround.dialogue import Dialogue
from mediround.geometry import BoolMask

Masks = dict[str, BoolMask]

DIGESTS = {
    ("train", True): "8b9e1848760552d9",
    ("train", False): "fa2e0162ded94382",
    ("heldout", True): "68baab002b6f5989",
    ("heldout", False): "f54df7bfc09c4930",
}
TWIN_DIGEST = "ddb785b2bc7176d3"


def structure(dialogue: Dialogue) -> list[object]:
    """Everything but the words: kinds, targets, references, evidence, unnamed or not."""
    rounds = [
        [
            each.relation.kind if each.relation else None,
            [entity.name for entity in each.entities],
            list(each.references),
            sorted(each.relation.evidence.items()) if each.relation else [],
            each.text,
        ]
        for each in dialogue.rounds
    ]
    return [[entity.name for entity in dialogue.given], rounds]


def digest(dialogues: list[Dialogue]) -> str:
    text = json.dumps([structure(each) for each in dialogues], default=float)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def measured(masks: Masks, oriented: bool) -> Scene:
    return Scene({name: masks[name] for name in sorted(masks)}, anatomy.load(), oriented=oriented)


@pytest.mark.parametrize(("split", "oriented"), list(DIGESTS))
def test_equal_seeds_give_equal_dialogues(
    split: str, oriented: bool, upper_abdomen: Masks, short_axis: Masks
) -> None:
    settings = DialogueSettings(wording_split=split)  # type: ignore[arg-type]
    drawn = []
    for masks, regions in ((upper_abdomen, ("pancreas", "esophagus")), (short_axis, ())):
        scene = measured(masks, oriented)
        drawn += [
            build_dialogue(
                masks,
                np.random.default_rng((7, number)),
                settings=settings,
                modality="CT",
                oriented=oriented,
                region_names=regions,
                scene=scene,
            )
            for number in range(60)
        ]
    assert digest(drawn) == DIGESTS[split, oriented]


def test_equal_seeds_give_the_twins_of_the_first_release(upper_abdomen: Masks) -> None:
    scene = measured(upper_abdomen, True)
    drawn = [
        dialogue
        for number, kind in enumerate(RelationKind)
        for pair in twins(
            upper_abdomen,
            kind,
            np.random.default_rng((11, number)),
            settings=DialogueSettings(wording_split="heldout"),
            modality="CT",
            oriented=True,
            scene=scene,
        )
        for dialogue in pair
    ]
    assert digest(drawn) == TWIN_DIGEST
