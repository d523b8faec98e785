"""The page that readers see: self-contained, no network, ratings as CSV."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources

QUALITY = ("1", "2", "3", "4", "5")
PREFERENCE = ("left", "none", "right")
COLUMNS = ("rater", "item", "left_quality", "right_quality", "preference", "comment")

_LABELS = {
    "1": "1 unusable",
    "2": "2 poor",
    "3": "3 fair",
    "4": "4 good",
    "5": "5 as I would draw it",
    "left": "Left is better",
    "none": "No difference",
    "right": "Right is better",
}


@dataclass(frozen=True)
class Shown:
    """What a reader sees of one item; pictures are JPEG files."""

    item: str
    entity: str
    plain: bytes
    left: bytes
    right: bytes


def page(shown: Sequence[Shown], title: str) -> str:
    """The page as HTML; nothing in it tells whose mask is whose."""
    template = resources.files("mediround.evaluation").joinpath("study_page.html")
    cards = "\n".join(_card(each) for each in shown)
    text = template.read_text(encoding="utf-8")
    return (
        text.replace("{{title}}", escape(title))
        .replace("{{count}}", str(len(shown)))
        .replace("{{columns}}", ",".join(COLUMNS))
        .replace("{{cards}}", cards)
    )


def _card(each: Shown) -> str:
    number, entity = escape(each.item), escape(each.entity)
    pictures = "".join(
        f'<figure><img alt="{name}" src="data:image/jpeg;base64,{_base64(data)}">'
        f"<figcaption>{name}</figcaption></figure>"
        for name, data in (
            ("Image", each.plain),
            ("Left", each.left),
            ("Right", each.right),
        )
    )
    return (
        f'<section class="card" data-item="{number}" id="item-{number}">'
        f"<h2><span>Case {number}</span> How well is the <b>{entity}</b> outlined?</h2>"
        f'<div class="pictures">{pictures}</div>'
        f'<div class="questions">{_choice(number, "left_quality", "Left", QUALITY)}'
        f"{_choice(number, 'right_quality', 'Right', QUALITY)}"
        f"{_choice(number, 'preference', 'Which would you rather start from?', PREFERENCE)}"
        f'<label class="comment">Comment <input type="text" name="{number}-comment" '
        'maxlength="400" autocomplete="off"></label></div></section>'
    )


def _choice(item: str, name: str, legend: str, options: Sequence[str]) -> str:
    buttons = "".join(
        f'<label><input type="radio" name="{item}-{name}" value="{value}">'
        f"<span>{escape(_LABELS[value])}</span></label>"
        for value in options
    )
    return f"<fieldset><legend>{escape(legend)}</legend>{buttons}</fieldset>"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
