"""A blinded study with readers: choose cases of two evaluations, hide which is which."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mediround.dialogue import Rle
from mediround.errors import DatasetError
from mediround.evaluation.cases import Case
from mediround.evaluation.comparison import Report
from mediround.evaluation.gallery import images_of, view_of
from mediround.evaluation.selection import Chosen, generator
from mediround.evaluation.study_page import Shown, page
from mediround.evaluation.writing import write_json, write_text
from mediround.imaging import Image
from mediround.imaging.output import ensure_folder
from mediround.imaging.overlay import Layer, draw, encode

Side = Literal["left", "right"]

PAGE, KEY = "study.html", "key.json"


@dataclass(frozen=True)
class Item:
    """One question to the readers.

    Attributes:
        item: its number on the page, as text.
        left, right: names of the reports whose masks stand there.
        dataset, patient, slice, dialogue, round, target, entity: the case.
        dice: name of a report -> Dice of its mask.
    """

    item: str
    left: str
    right: str
    dataset: str
    patient: str
    slice: str
    dialogue: int
    round: int
    target: int
    entity: str
    dice: dict[str, float]


def export(
    first: Report, second: Report, chosen: Sequence[Chosen], out: Path, *, count: int, seed: int
) -> list[Item]:
    """Write a page for readers and the key to it.

    Cases are drawn from those in which the two masks differ, as evenly over structures as they
    can be; their order and the sides are random. ``study.html`` names no model, needs no network
    and gives the ratings as CSV; ``key.json`` must not be shown to readers.

    Args:
        first: one evaluation.
        second: another one of the same dialogues.
        chosen: where the images are.
        out: folder, made when missing.
        count: most cases.
        seed: of all choices.

    Raises:
        DatasetError: the reports have no differing masks in common, or an image is not in
            ``chosen``.
        OutputError: ``out`` cannot be written.
    """
    pairs = _pick(first, second, count, seed)
    wanted = {(one.dataset, one.slice) for one, _ in pairs}
    images = images_of(wanted, chosen)
    missing = sorted(wanted - images.keys())
    if missing:
        raise DatasetError(
            f"the image {missing[0][1]} of {missing[0][0]} is not in the data",
            expected="the data that both reports were made from",
        )
    rng = generator(seed, "sides")
    items, shown = [], []
    for number, (one, two) in enumerate(pairs, start=1):
        swap = bool(rng.integers(2))
        left, right = (two, one) if swap else (one, two)
        names = (second.name, first.name) if swap else (first.name, second.name)
        items.append(_item(str(number), names, one, two, (first.name, second.name)))
        image = images[one.dataset, one.slice]
        shown.append(_shown(str(number), left, right, image))
    folder = ensure_folder(out)
    title = f"{len(items)} cases, seed {seed}"
    write_text(folder / PAGE, page(shown, title))
    write_json(
        folder / KEY,
        {"reports": [first.name, second.name], "seed": seed, "items": [asdict(i) for i in items]},
    )
    return items


def _pick(first: Report, second: Report, count: int, seed: int) -> list[tuple[Case, Case]]:
    one, two = first.masks(), second.masks()
    by_entity: dict[str, list[tuple[Case, Case]]] = {}
    rng = generator(seed, "study")
    shared = sorted(one.keys() & two.keys())
    for place in rng.permutation(len(shared)):
        pair = one[shared[place]], two[shared[place]]
        if _same_truth(*pair) and _differ(*pair):
            by_entity.setdefault(pair[0].entity or "", []).append(pair)
    if not by_entity:
        raise DatasetError(
            f"{first.name} and {second.name} share no target that they drew differently",
            expected="two evaluations of the same dialogues",
        )
    picked: list[tuple[Case, Case]] = []
    while by_entity and len(picked) < count:
        for entity in sorted(by_entity):
            picked.append(by_entity[entity].pop())
            if not by_entity[entity]:
                del by_entity[entity]
    picked = picked[:count]
    return [picked[place] for place in rng.permutation(len(picked))]


def _same_truth(one: Case, two: Case) -> bool:
    return one.entity == two.entity and one.truth == two.truth


def _differ(one: Case, two: Case) -> bool:
    return one.mask != two.mask and not (one.mask is None and two.mask is None)


def _item(
    number: str, sides: tuple[str, str], one: Case, two: Case, names: tuple[str, str]
) -> Item:
    dice = {
        name: case.overlap.dice
        for name, case in zip(names, (one, two), strict=True)
        if case.overlap is not None
    }
    return Item(
        item=number,
        left=sides[0],
        right=sides[1],
        dataset=one.dataset,
        patient=one.patient,
        slice=one.slice,
        dialogue=one.dialogue,
        round=one.round,
        target=one.target,
        entity=one.entity or "",
        dice=dice,
    )


def _shown(number: str, left: Case, right: Case, image: Image) -> Shown:
    view = view_of(image, left)
    other = view_of(image, right)
    both = type(view)(
        min(view.x0, other.x0),
        min(view.y0, other.y0),
        max(view.x1, other.x1),
        max(view.y1, other.y1),
    )

    def picture(code: Rle | None) -> bytes:
        layers = [] if code is None else [Layer(1, code.decode())]
        return encode(draw(image, layers, view=both), "JPEG")

    return Shown(number, left.entity or "", picture(None), picture(left.mask), picture(right.mask))


def read_key(path: Path) -> dict[str, Any]:
    """The key that :func:`export` wrote.

    Raises:
        DatasetError: it is missing or damaged.
    """
    file = path / KEY if path.is_dir() else path
    try:
        key: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        key["items"] = [Item(**each) for each in key["items"]]
        first, second = key["reports"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{file.name} cannot be used ({type(error).__name__})",
            expected=f"the {KEY} of 'mediround study export'",
        ) from error
    key["reports"] = [str(first), str(second)]
    return key
