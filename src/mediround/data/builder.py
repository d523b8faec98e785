"""Dialogues about one labelled image, built so that later rounds need their references.

``build_dialogue`` makes the mixture that training and evaluation draw from; ``twins`` makes pairs
that have the same words and differ only in the referenced mask, so that nothing but the mask can
lead to the right answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from mediround import anatomy
from mediround.data import wording
from mediround.data.difficulty import difficulty
from mediround.data.draft import Draft, measured_entity
from mediround.data.relations import Link, RelationKind, Scene
from mediround.data.settings import DialogueSettings
from mediround.data.wording import Speaker
from mediround.dialogue import Dialogue, Relation, Round
from mediround.errors import DatasetError
from mediround.geometry import BoolMask

__all__ = ["DialogueSettings", "build_dialogue", "twins"]


def build_dialogue(
    masks: Mapping[str, BoolMask],
    rng: np.random.Generator,
    *,
    settings: DialogueSettings,
    modality: str | None,
    oriented: bool,
    region_names: Collection[str] = (),
    scene: Scene | None = None,
) -> Dialogue:
    """One dialogue about the structures of one image.

    Args:
        masks: canonical name -> bool mask (H, W) in the pixels of the image.
        rng: the source of every choice; equal generators give equal dialogues.
        settings: the mixture.
        modality: stored with the dialogue.
        oriented: row 0 is anterior and column 0 the patient's right; without it no round speaks
            of left, right, front or behind.
        region_names: all structures that the data set labels, whether this image shows them or
            not; none of them is asked for as absent.
        scene: the measurements of these masks, when a caller builds several dialogues on them.

    Returns:
        Given masks first, then 1 to ``settings.max_rounds`` rounds; each records in ``relation``
        its kind, its references and as evidence the deciding numbers and ``needs_reference``:
        1 when the words alone fit more than one structure of this image, else 0.

    Raises:
        DatasetError: no mask has ``settings.min_pixels`` pixels.
    """
    scene = scene or _measure(masks, oriented)
    draft = Draft(scene, rng, settings, tuple(region_names))
    if not draft.usable:
        raise DatasetError(
            f"none of {len(masks)} masks has {settings.min_pixels} pixels",
            expected="at least one structure to ask for",
        )
    if rng.random() < settings.given_share:
        draft.give_masks()
    for _ in range(int(rng.integers(1, settings.max_rounds + 1))):
        if not draft.add_round():
            break
    return Dialogue(modality=modality, given=tuple(draft.given), rounds=tuple(draft.rounds))


def twins(
    masks: Mapping[str, BoolMask],
    kind: RelationKind,
    rng: np.random.Generator,
    *,
    settings: DialogueSettings,
    modality: str | None,
    oriented: bool,
    scene: Scene | None = None,
) -> list[tuple[Dialogue, Dialogue]]:
    """Pairs of one-round dialogues with the same words, other references and another answer.

    References are given masks without text; the question asks for an unnamed answer. Each link
    of the image serves in one pair at most; an image without two such links gives no pair.

    Args: see :func:`build_dialogue`.
    """
    scene = scene or _measure(masks, oriented)
    speaker = Speaker(settings.wording_split, rng, scene.atlas)
    enough = {name for name, s in scene.shapes.items() if s.area >= settings.min_pixels}
    links = [
        link
        for link in scene.links
        if link.kind is kind and enough.issuperset((*link.references, link.target))
    ]
    waiting = [links[place] for place in rng.permutation(len(links))]
    pairs: list[tuple[Dialogue, Dialogue]] = []
    while waiting:
        first = waiting.pop()
        match = next(
            (o for o in waiting if o.target != first.target and o.question == first.question), None
        )
        if match is None:
            continue
        waiting.remove(match)
        template = speaker.relation_template(first, named=False)
        markers = speaker.references(range(1, len(first.references) + 1))
        query = wording.fill(template, markers)
        one, other = (_twin(scene, link, query, rng, modality) for link in (first, match))
        pairs.append((one, other))
    return pairs


def _measure(masks: Mapping[str, BoolMask], oriented: bool) -> Scene:
    ordered = {name: masks[name] for name in sorted(masks)}
    return Scene(ordered, anatomy.load(), oriented=oriented)


def _twin(
    scene: Scene, link: Link, query: str, rng: np.random.Generator, modality: str | None
) -> Dialogue:
    order = [link.references[place] for place in rng.permutation(len(link.references))]
    given = tuple(
        measured_entity(scene, name, n, status="given") for n, name in enumerate(order, start=1)
    )
    number = len(given) + 1
    numbers = tuple(range(1, number))
    target = measured_entity(scene, link.target, number, refers_to=numbers)
    count = len(numbers)
    relation = Relation(
        kind=link.kind.value,
        references=numbers,
        evidence={**link.evidence, "needs_reference": 1.0},
        difficulty=difficulty(link.kind, references=count, rounds_back=0, anonymous=count),
    )
    answer = wording.answer_unnamed(number)
    each = Round(query=query, text=answer, entities=(target,), relation=relation)
    return Dialogue(modality=modality, given=given, rounds=(each,))
