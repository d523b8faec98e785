"""The report page: complete, self-contained, and safe with any text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from mediround.errors import OutputError
from mediround.imaging import Volume
from mediround.session import Model, Session, load
from mediround.session.report import render_report, write_report
from mediround.session.results import NOTICE

VOID = {"meta", "img"}


@pytest.fixture(scope="module")
def model() -> Model:
    return load("tiny")


@pytest.fixture(scope="module")
def session(model: Model) -> Session:
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64), dtype=np.uint8)
    session = model.open(pixels, modality="US")
    session.ask("Segment the <b>nerve</b> & more.", text="The nerve is [1].")
    session.ask("What lies beside [1]?", text="The blood vessel is [2].")
    return session


@pytest.fixture(scope="module")
def page(session: Session) -> str:
    return render_report(session, title="A nerve", dice={1: 0.875})


class Balance(HTMLParser):
    """Collects tags and fails on a page whose elements are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_holds_every_round_with_its_picture(session: Session, page: str) -> None:
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert balance.seen.count("img") == 3
    assert page.count('src="data:image/jpeg;base64,') == 3
    for text in ("Round 1", "Round 2", "All structures", NOTICE, "<th>Dice</th>", "0.88"):
        assert text in page
    assert "blood vessel" in page
    assert session.model.weights_sha256[:16] in page


def test_nothing_is_loaded_and_nothing_runs(page: str) -> None:
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|link|iframe)|https?:|@import|url\(", page)


def test_text_is_escaped(model: Model) -> None:
    session = model.open(np.zeros((32, 32), dtype=np.uint8))
    session.ask("Segment the <b>nerve</b> & more.", text="The nerve is [1].")
    session.rename(1, '"><script>alert(1)</script>')
    page = render_report(session, title="<i>title</i>", dice={}, notes=["<u>note</u>"])
    assert "Segment the &lt;b&gt;nerve&lt;/b&gt; &amp; more." in page
    assert "<th>Dice</th>" not in page
    for tag in ("<b>", "<i>title", "<u>", "<script"):
        assert tag not in page
    Balance().feed(page)


def test_a_dialogue_without_masks_or_answers_is_a_page_too(model: Model) -> None:
    volume = Volume.from_array(np.random.default_rng(1).normal(size=(16, 16, 9)), affine=np.eye(4))
    session = model.open(volume, slice=4)
    session.ask("Is there a nerve?", text="")
    session.ask("Is there a nerve?", text="There is no nerve in this image.")
    page = render_report(session, title="x", dice={})
    assert "(no answer)" in page
    assert "absent" in page
    assert "4 of 9, axial" in page


def test_the_page_is_written_whole_or_refused(model: Model, tmp_path: Path) -> None:
    session = model.open(np.zeros((32, 32), dtype=np.uint8))
    write_report(tmp_path / "report.html", session, title="x")
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    with pytest.raises(OutputError):
        write_report(tmp_path / "none" / "report.html", session, title="x")
