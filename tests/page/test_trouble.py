"""What the page does when things go wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from playwright.sync_api import Browser, FilePayload, Page, Route
from tests.page.conftest import Server
from tests.page.hand import FINISHED, ask, open_file, session

TOKEN = "open-sesame-open-sesame"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A file with noise."""
    path = tmp_path / "noise.png"
    noise = np.random.default_rng(1).integers(0, 255, (64, 64), dtype=np.uint8)
    PillowImage.fromarray(noise).save(path)
    return path


def test_a_server_that_dies_is_waited_for(page: Page, mortal: Server, picture: Path) -> None:
    page.goto(mortal.url)
    open_file(page, picture)
    ask(page, "Segment the liver.")
    mortal.kill()
    page.fill("#question", "Now the spleen.")
    page.keyboard.press("Enter")
    page.locator("#banner", has_text="The server does not answer").wait_for()
    assert page.input_value("#question") == "Now the spleen.", "the question was lost"
    assert page.locator(FINISHED).count() == 1
    mortal.start()
    page.locator("#banner").wait_for(state="hidden")
    ask(page, "Now the spleen.")
    assert [each["query"] for each in session(page)["rounds"]] == [
        "Segment the liver.",
        "Now the spleen.",
    ]


def test_a_question_is_cancelled(page: Page, server: Server, picture: Path) -> None:
    page.goto(server.url)
    open_file(page, picture)
    ask(page, "Segment the liver.")
    held: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.method == "POST" and not held:
            held.append(route)
        else:
            route.continue_()

    page.route("**/ask", hold)
    page.fill("#question", "Now the spleen.")
    page.keyboard.press("Enter")
    page.locator(".pending .elapsed").wait_for()
    page.click("[aria-label=Cancel]")
    page.locator(".pending").wait_for(state="detached")
    assert page.input_value("#question") == "Now the spleen."
    assert len(session(page)["rounds"]) == 1
    ask(page, "Now the spleen.")
    assert len(session(page)["rounds"]) == 2


def test_a_refusal_is_said_in_words(page: Page, server: Server, picture: Path) -> None:
    page.goto(server.url)
    open_file(page, picture)
    page.fill("#question", "What is beside [7]?")
    page.keyboard.press("Enter")
    said = page.locator(".note.error")
    said.wait_for()
    assert "7" in said.inner_text()
    assert page.input_value("#question") == "What is beside [7]?"
    page.click(".note.error [aria-label=Dismiss]")
    said.wait_for(state="detached")
    page.click("[aria-label^='MediRound']")
    broken: FilePayload = {
        "name": "x.png",
        "mimeType": "image/png",
        "buffer": b"\x89PNG" + bytes(64),
    }
    page.set_input_files("#file", [broken])
    said.wait_for()
    assert page.locator("#home").is_visible()


def test_a_token_is_asked_for(browser: Browser, page: Page, tmp_path: Path) -> None:
    locked = Server(tmp_path / "served", "--token", TOKEN)
    locked.start()
    try:
        page.goto(locked.url)
        page.fill("#banner input", "wrong")
        page.click("#banner button")
        page.fill("#banner input", TOKEN)
        page.click("#banner button")
        page.locator("#banner").wait_for(state="hidden")
        page.locator("[data-sample]").first.wait_for()
        with browser.new_context() as other:
            second = other.new_page()
            second.goto(f"{locked.url}#token={TOKEN}")
            second.locator("[data-sample]").first.wait_for()
            assert TOKEN not in second.url
    finally:
        locked.kill()


def test_text_from_outside_is_text(page: Page, server: Server, picture: Path) -> None:
    page.goto(server.url)
    open_file(page, picture)
    ask(page, "Segment <img src=x onerror=document.title='hit'> the liver.")
    assert page.locator("#chat img").count() == 0
    assert "<img src=x" in page.locator(".question").inner_text()
    assert page.title() != "hit"
