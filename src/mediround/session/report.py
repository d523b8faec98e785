"""A session as one HTML page: every question, its answer, its picture; nothing to load."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from mediround.dialogue import MARKER
from mediround.geometry import Box
from mediround.imaging.output import replacing
from mediround.imaging.overlay import colour_of, encode, interesting
from mediround.session.engine import Session, Turn
from mediround.session.entities import SessionEntity
from mediround.session.results import NOTICE, picture

_STYLE = """
:root { color-scheme: light dark; --page: #f5f6f8; --card: #ffffff; --ink: #1b1f24;
  --soft: #5b6570; --line: #dfe3e8; --track: #e6e9ed; --bar: #2f6f9f; --warn: #9a5b00; }
@media (prefers-color-scheme: dark) { :root { --page: #12151a; --card: #1b2027; --ink: #e7eaee;
  --soft: #9aa5b1; --line: #2c333c; --track: #2c333c; --bar: #6db3e0; --warn: #f0b45c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .25rem; letter-spacing: -.01em; }
h2 { font-size: .8125rem; font-weight: 600; color: var(--soft); margin: 0 0 .6rem;
  text-transform: uppercase; letter-spacing: .06em; }
.notice { color: var(--warn); font-weight: 600; margin: 0 0 1.5rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .75rem;
  padding: 1.25rem; margin: 0 0 1.25rem; display: grid; gap: 1.5rem;
  grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); }
@media (max-width: 46rem) { .card { grid-template-columns: minmax(0, 1fr); } }
img { display: block; width: 100%; height: auto; border-radius: .5rem; background: #000; }
p { margin: 0 0 .75rem; overflow-wrap: anywhere; }
.query { font-size: 1.125rem; font-weight: 600; }
.chip { display: inline-block; min-width: 1.5em; padding: 0 .4em; border-radius: .4em;
  color: #101216; font-weight: 700; font-size: .875em; text-align: center; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; font-size: .8125rem; color: var(--soft);
  padding: 0 .5rem .3rem 0; }
td { padding: .4rem .5rem .4rem 0; border-top: 1px solid var(--line); vertical-align: middle;
  overflow-wrap: anywhere; }
.bar { display: inline-block; width: 3.5rem; height: .5rem; border-radius: .25rem;
  background: var(--track); overflow: hidden; margin-right: .5rem; }
.bar i { display: block; height: 100%; background: var(--bar); }
.unsure { color: var(--warn); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 1.5rem 0 0;
  font-size: .875rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
footer, .note { color: var(--soft); font-size: .875rem; }
"""


def write_report(
    path: Path,
    session: Session,
    *,
    title: str,
    dice: Mapping[int, float] | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Write the page; it appears whole or not at all.

    Args:
        path: the file.
        session: what is reported.
        title: its heading.
        dice: entity number -> Dice (0..1) against a truth, where there is one.
        notes: paragraphs at the end.

    Raises:
        OutputError: the file cannot be written.
    """
    page = render_report(session, title=title, dice=dice or {}, notes=notes)
    with replacing(path) as file:
        file.write(page.encode())


def render_report(
    session: Session, *, title: str, dice: Mapping[int, float], notes: Sequence[str] = ()
) -> str:
    """The page as text; see :func:`write_report`. All text in it is escaped."""
    view = interesting(session.image)
    rounds = [
        _card(f"Round {number}", session, turn, turn.entities, dice, view)
        for number, turn in enumerate(session.turns, start=1)
    ]
    overview = _card("All structures", session, None, list(session.entities.values()), dice, view)
    more = "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{escape(title)}</h1>\n<p class="notice">{escape(NOTICE)}</p>\n'
        f"{''.join(rounds)}{overview}{more}\n"
        "<footer><p>Striped masks are those that the model itself is unsure of. The score is "
        "its own estimate of how well a mask fits (intersection over union, 0 to 1).</p>"
        f"{_origin(session)}</footer>\n</main>\n</body>\n</html>\n"
    )


def _card(
    heading: str,
    session: Session,
    turn: Turn | None,
    entities: Sequence[SessionEntity],
    dice: Mapping[int, float],
    view: Box,
) -> str:
    data = base64.b64encode(encode(picture(session, turn, view=view), "JPEG")).decode("ascii")
    shown = ", ".join(f"[{e.id}] {e.name or 'unnamed'}" for e in entities) or "no mask"
    said = ""
    if turn is not None:
        answer = _marked(turn.text or "(no answer)")
        said = f'<p class="query">{_marked(turn.query)}</p><p>{answer}</p>'
    return (
        f'<section class="card">\n<img alt="The image with {escape(shown)}" '
        f'src="data:image/jpeg;base64,{data}">\n<div><h2>{escape(heading)}</h2>{said}'
        f"{_table(entities, dice)}</div>\n</section>\n"
    )


def _table(entities: Sequence[SessionEntity], dice: Mapping[int, float]) -> str:
    if not entities:
        return ""
    known = any(entity.id in dice for entity in entities)
    head = "<tr><th></th><th>Structure</th><th>Score</th>" + ("<th>Dice</th>" if known else "")
    rows = "".join(_row(entity, dice, known) for entity in entities)
    return f"<table>{head}</tr>{rows}</table>"


def _row(entity: SessionEntity, dice: Mapping[int, float], known: bool) -> str:
    score = "–"
    if entity.score is not None:
        share = f'<span class="bar"><i style="width:{entity.score:.0%}"></i></span>'
        score = f"{share}{entity.score:.2f}"
    status = "" if entity.status == "ok" else f' <span class="unsure">{entity.status}</span>'
    last = f"<td>{f'{dice[entity.id]:.2f}' if entity.id in dice else '–'}</td>" if known else ""
    name = escape(entity.name or "unnamed")
    return f"<tr><td>{_chip(entity.id)}</td><td>{name}{status}</td><td>{score}</td>{last}</tr>"


def _chip(number: int) -> str:
    red, green, blue = colour_of(number)
    return f'<span class="chip" style="background:rgb({red},{green},{blue})">{number}</span>'


def _marked(text: str) -> str:
    """``text`` escaped, its ``[n]`` as coloured chips."""
    return MARKER.sub(lambda found: _chip(int(found.group(1))), escape(text))


def _origin(session: Session) -> str:
    source, image = session.source, session.image
    facts = {"Image": "an array" if source.path is None else source.path.name}
    if source.volume is not None and source.plane is not None:
        facts["Slice"] = f"{source.slice} of {source.volume.count(source.plane)}, {source.plane}"
    facts |= {
        "Modality": image.modality.value,
        "Pixels": f"{image.size[1]} × {image.size[0]}, SHA-256 {image.content_hash[:16]}…",
        "Model": f"{session.model.name}, weights SHA-256 {session.model.weights_sha256[:16]}…",
    }
    items = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    return f"<dl>{items}</dl>"
