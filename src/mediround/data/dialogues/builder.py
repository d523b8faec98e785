"""Dialogues about one labelled image, built so that later rounds need their references.

``build_dialogue`` makes one dialogue of the mixture that its settings ask for; ``twins`` makes
pairs that have the same words and differ only in the referenced mask, so that nothing but the mask
can lead to the right answer. ``draw_dialogues`` draws what a data set is built from.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from mediround import anatomy
from mediround.data.dialogues.difficulty import difficulty
from mediround.data.dialogues.draft import Draft, measured_entity
from mediround.data.dialogues.draft_rich import RichDraft
from mediround.data.dialogues.settings import DialogueSettings
from mediround.data.dialogues.swapping import twin_dialogues
from mediround.data.scene.relations import Link, RelationKind, Scene
from mediround.data.words import wording
from mediround.data.words.wording import Speaker
from mediround.dialogue import Dialogue, Relation, Round
from mediround.errors import DatasetError
from mediround.geometry import BoolMask
from mediround.imaging.image import Edges

__all__ = ["DialogueSettings", "axes_of", "build_dialogue", "draw_dialogues", "measure", "twins"]


def measure(
    masks: Mapping[str, BoolMask],
    *,
    oriented: bool,
    axes: str | None = None,
    spacing: tuple[float, float] | None = None,
) -> Scene:
    """The measurements that all dialogues about one image share.

    Args:
        masks: canonical name -> bool mask (H, W) in the pixels of the image.
        oriented: row 0 is anterior and column 0 the patient's right.
        axes: where columns and rows lead in the patient ("LP", "LI", "PI", …); overrides
            ``oriented``. None: as ``oriented`` says.
        spacing: (between rows, between columns) in mm; with it sizes are told in cm².
    """
    ordered = {name: masks[name] for name in sorted(masks)}
    return Scene(ordered, anatomy.load(), oriented=oriented, axes=axes, spacing=spacing)


def axes_of(edges: Edges) -> str:
    """Where columns and rows lead in the patient, from the sides at the edges of a picture."""
    return edges.right + edges.bottom


def draw_dialogues(
    masks: Mapping[str, BoolMask],
    rng: np.random.Generator,
    *,
    settings: DialogueSettings,
    modality: str | None,
    oriented: bool,
    region_names: Collection[str] = (),
    scene: Scene | None = None,
    axes: str | None = None,
    spacing: tuple[float, float] | None = None,
    complete: bool = False,
) -> tuple[Dialogue, ...]:
    """One dialogue, or two that are twins: same words, other references, other answers.

    Args: see :func:`build_dialogue` and :func:`measure`; besides,
        complete: a structure of ``region_names`` that has no mask is truly not in this image.

    Raises:
        DatasetError: no mask has ``settings.min_pixels`` pixels.
    """
    scene = scene or measure(masks, oriented=oriented, axes=axes, spacing=spacing)
    if settings.twin_share > 0 and rng.random() < settings.twin_share:
        pair = twin_dialogues(scene, rng, settings=settings, modality=modality)
        if pair is not None:
            return pair
    return (
        build_dialogue(
            masks,
            rng,
            settings=settings,
            modality=modality,
            oriented=oriented,
            region_names=region_names,
            scene=scene,
            complete=complete,
        ),
    )


def build_dialogue(
    masks: Mapping[str, BoolMask],
    rng: np.random.Generator,
    *,
    settings: DialogueSettings,
    modality: str | None,
    oriented: bool,
    region_names: Collection[str] = (),
    scene: Scene | None = None,
    complete: bool = False,
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
            not; none of them is asked for as absent, unless the labels are ``complete``.
        scene: the measurements of these masks, when a caller builds several dialogues on them.
        complete: a structure of ``region_names`` that has no mask is truly not in this image.

    Returns:
        Given masks first, then 1 to ``settings.max_rounds`` rounds; each records in ``relation``
        its kind, its references and as evidence the deciding numbers and ``needs_reference``:
        1 when the words alone fit more than one structure of this image, else 0. Rich mixtures
        are stricter: 1 when whoever knows the words, the history and the structures of the
        image, but not the masks, is wrong at least half of the time (``guess`` says how often
        such a reader is right).

    Raises:
        DatasetError: no mask has ``settings.min_pixels`` pixels.
    """
    scene = scene or measure(masks, oriented=oriented)
    draft = (
        RichDraft(scene, rng, settings, tuple(region_names), complete=complete)
        if settings.is_rich
        else Draft(scene, rng, settings, tuple(region_names))
    )
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
    scene = scene or measure(masks, oriented=oriented)
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
