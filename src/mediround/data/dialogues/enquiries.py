"""Questions about masks that are answered in words alone, computed from the masks.

Each answer is None where people might disagree: sizes that look alike, a place near the middle of
two quarters, pieces so small that they may be noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from mediround.data.scene.relations import SIZE_RATIO, TOUCH, Scene, lies_clearly
from mediround.data.words.answers import said, spoken
from mediround.data.words.wording import Language, called, is_plural

Answer = Callable[..., str | None]

_IN_PICTURE: Final[Mapping[str, tuple[int, int]]] = {
    "picture_left": (-1, 0),
    "picture_right": (1, 0),
    "picture_above": (0, -1),
    "picture_below": (0, 1),
}
_OFF_CENTRE: Final = 0.08  # of the picture's side: nearer to a middle line is on it


def name_of(_: Scene, name: str, language: Language) -> str | None:
    """What the structure is called."""
    key = "are_names" if is_plural(name) else "is_name"
    return said(key, language, name=called(name, language))


def side_of(scene: Scene, name: str, language: Language) -> str | None:
    """The side of the body, for structures that have a counterpart on the other side."""
    known = scene.atlas.find(name)
    if known is None or known.laterality is None:
        return None
    return said(known.laterality, language)


def size_of(scene: Scene, name: str, language: Language) -> str | None:
    """The area in two figures: cm² where the spacing is known, else per cent of the picture."""
    shape = scene.shapes[name]
    if scene.spacing is not None:
        area = shape.area * scene.spacing[0] * scene.spacing[1] / 100
        return said("area", language, figure=figures(area))
    return said("share", language, figure=figures(100 * shape.area / shape.mask.size))


def unit_of(scene: Scene, language: Language) -> str:
    """What a question for a size may add: in which unit."""
    return said("in_area" if scene.spacing else "in_share", language)


def count_of(scene: Scene, name: str, language: Language) -> str | None:
    """How many separate pieces the mask has."""
    pieces = scene.shapes[name].pieces
    if pieces is None:
        return None
    if pieces == 1:
        return said("one_piece", language)
    return said("pieces", language, count=spoken(pieces, language))


def place_of(scene: Scene, name: str, language: Language) -> str | None:
    """The quarter of the picture, or its middle."""
    shape = scene.shapes[name]
    height, width = shape.mask.shape
    across, down = shape.centre[0] / width - 0.5, shape.centre[1] / height - 0.5
    if not shape.compact:
        return None
    if abs(across) < _OFF_CENTRE and abs(down) < _OFF_CENTRE:
        return said("middle", language)
    if abs(across) < _OFF_CENTRE or abs(down) < _OFF_CENTRE:
        return None
    vertical, horizontal = "upper" if down < 0 else "lower", "left" if across < 0 else "right"
    return said(f"{vertical}_{horizontal}", language)


def larger_of(scene: Scene, name: str, other: str, language: Language) -> str | None:
    """Which of two covers more pixels, and by how much."""
    large, small = sorted((scene.shapes[name], scene.shapes[other]), key=lambda s: -s.area)
    ratio = large.area / small.area
    if ratio < SIZE_RATIO:
        return None
    names = {"name": called(large.name, language), "other": called(small.name, language)}
    return said("larger", language, figure=figures(ratio), **names)


def order_of(scene: Scene, name: str, other: str, language: Language) -> str | None:
    """Where the first lies as seen from the second; the patient's directions where known."""
    target, reference = scene.shapes[name], scene.shapes[other]
    if not reference.compact:
        return None
    steps = {f"towards_{letter}": step for letter, step in scene.steps.items()} or _IN_PICTURE
    fitting = [key for key, step in steps.items() if lies_clearly(target, reference, step)]
    return said(fitting[0], language) if len(fitting) == 1 else None


def contact_of(scene: Scene, name: str, other: str, language: Language) -> str | None:
    """Whether two outlines touch."""
    pixels = scene.gap(name, other)
    if pixels <= TOUCH:
        return said("touching", language)
    return said("apart", language) if pixels > TOUCH + 2 * scene.margin else None


ONE: Final[Mapping[str, Answer]] = {
    "ask_name": name_of,
    "ask_side": side_of,
    "ask_size": size_of,
    "ask_count": count_of,
    "ask_where": place_of,
}
TWO: Final[Mapping[str, Answer]] = {
    "ask_larger": larger_of,
    "ask_order": order_of,
    "ask_touch": contact_of,
}
WEIGHTS: Final[Mapping[str, float]] = {
    "ask_name": 3.0,
    "ask_side": 1.0,
    "ask_size": 1.5,
    "ask_count": 0.7,
    "ask_where": 1.5,
    "ask_larger": 2.0,
    "ask_order": 2.0,
    "ask_touch": 0.7,
}
TELLING: Final = frozenset({"ask_name", "ask_larger"})
"""Kinds whose answers name the structures that they are about."""
UNGUESSABLE: Final = frozenset({"ask_size"})
"""Kinds whose answer no reader of the words can know, even one who knows the names."""


def answer(
    scene: Scene, kind: str, names: tuple[str, ...], language: Language = "en"
) -> str | None:
    """The answer to a question about the masks of ``names``; None where there is no clear one."""
    key = (kind, names, language)
    if key not in scene.kept:
        scene.kept[key] = (ONE[kind] if kind in ONE else TWO[kind])(scene, *names, language)
    found = scene.kept[key]
    assert found is None or isinstance(found, str)  # nobody else keeps anything under this key
    return found


def figures(value: float) -> str:
    """Two significant figures without exponent: 0.034, 3.4, 34, 340."""
    if value >= 10:
        digits = max(0, len(str(int(value))) - 2)
        return str(round(value / 10**digits) * 10**digits)
    return f"{value:.2g}"
