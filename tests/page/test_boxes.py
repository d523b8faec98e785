"""The tool that draws boxes: the structure in one, found by the real model, or its rectangle."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage
from playwright.sync_api import Browser, Page, Route
from tests.page.axe import violations
from tests.page.conftest import Server
from tests.page.hand import drag, mask, open_file, place, session

SIZE = (120, 160)
AROUND = (82.0, 22.0, 118.0, 58.0)
"""A box round the disc."""


@pytest.fixture(scope="module")
def capable(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the default model."""
    started = Server(tmp_path_factory.mktemp("nano"), module="mediround serve")
    try:
        started.start()
        yield started
    finally:
        started.kill(signal.SIGTERM)


def disc() -> NDArray[np.bool_]:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.asarray((x + 0.5 - 100) ** 2 + (y + 0.5 - 40) ** 2 < 16**2)


def look(page: Page, server: Server, folder: Path) -> Page:
    """Open a bright disc on noise, and take up the tool by its key."""
    noise = np.random.default_rng(0).normal(70, 12, SIZE)
    pixels = np.clip(noise + 110 * disc(), 0, 255).astype(np.uint8)
    PillowImage.fromarray(pixels).save(folder / "disc.png")
    page.goto(server.url)
    open_file(page, folder / "disc.png")
    page.locator("#canvas").focus()
    page.keyboard.press("x")
    return page


def draw(page: Page, box: tuple[float, float, float, float]) -> None:
    drag(page, place(page, SIZE, *box[:2]), place(page, SIZE, *box[2:]))


def test_a_box_gives_the_structure_in_it(
    page: Page, capable: Server, tmp_path: Path, pictures: Path
) -> None:
    look(page, capable, tmp_path)
    assert page.get_by_label("Structure in it").is_checked()

    def slowly(route: Route) -> None:
        time.sleep(1)
        route.continue_()

    page.route("**/entities", slowly)
    draw(page, AROUND)
    page.locator("#boxing .working").wait_for(state="visible")
    page.screenshot(path=pictures / "box-finding.png")
    page.locator("[data-entity='1']").wait_for()
    page.locator("#boxing .working").wait_for(state="hidden")
    page.unroute("**/entities")
    found = mask(page, 1)
    assert 2 * (found & disc()).sum() / (found.sum() + disc().sum()) > 0.85
    entity = session(page)["entities"][0]
    assert (entity["status"], entity["score"]) == ("given", None)
    assert entity["box_prompt"] == pytest.approx(AROUND, abs=0.5)
    assert page.locator(".note").inner_text() == "[1] is what the model found in the box."
    assert page.locator(".details .origin").inner_text() == "found in a box"
    assert violations(page) == []
    page.screenshot(path=pictures / "box-found.png")
    page.keyboard.press("Control+z")
    page.locator("[data-entity='1']").wait_for(state="detached")


def test_a_mask_that_fills_little_of_its_box_is_told(
    page: Page, capable: Server, tmp_path: Path
) -> None:
    look(page, capable, tmp_path)
    draw(page, (74.0, 14.0, 126.0, 66.0))
    page.locator(".note", has_text="it fills only part of it").wait_for()
    assert (mask(page, 1) & disc()).sum() > 0.8 * disc().sum()


def test_a_rectangle_is_one_key_away(page: Page, capable: Server, tmp_path: Path) -> None:
    look(page, capable, tmp_path)
    page.keyboard.press("x")
    assert page.get_by_label("Rectangle", exact=True).is_checked()
    draw(page, (10.1, 5.2, 29.9, 19.8))
    page.fill(".draft-name", "plain")
    page.click("#drafting .apply")
    page.locator("[data-entity='1']").wait_for()
    expected = np.zeros(SIZE, bool)
    expected[5:20, 10:30] = True
    np.testing.assert_array_equal(mask(page, 1), expected)
    assert session(page)["entities"][0]["box_prompt"] is None


def test_what_is_being_drawn_takes_rectangles(page: Page, capable: Server, tmp_path: Path) -> None:
    look(page, capable, tmp_path)
    page.keyboard.press("n")
    page.fill(".draft-name", "lump")
    page.locator("#canvas").focus()
    drag(page, place(page, SIZE, 20, 20), place(page, SIZE, 30, 20))
    page.keyboard.press("x")
    structure = page.get_by_label("Structure in it")
    assert structure.is_disabled()
    assert "one of its strokes" in page.locator("#box-why").inner_text()
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    assert structure.is_enabled()
    assert structure.is_checked()
    assert "#s=" not in page.url


def test_what_cannot_be_found_is_said(page: Page, capable: Server, tmp_path: Path) -> None:
    look(page, capable, tmp_path)
    draw(page, (40.1, 40.1, 41.2, 50.0))
    page.locator(".note.error", has_text="at least 2 x 2 pixels").wait_for()
    assert session(page)["entities"] == []
    page.mouse.click(*place(page, SIZE, 50, 50))
    page.locator(".note", has_text="Drag a box round the structure.").wait_for()
    draw(page, AROUND)
    page.locator("[data-entity='1']").wait_for()


def test_a_model_that_cannot_offers_rectangles_alone(
    page: Page, server: Server, tmp_path: Path
) -> None:
    look(page, server, tmp_path)
    assert page.get_by_label("Structure in it").is_disabled()
    assert page.get_by_label("Rectangle", exact=True).is_checked()
    assert "cannot find structures" in page.locator("#box-why").inner_text()
    page.keyboard.press("x")
    page.locator(".note", has_text="cannot find structures").wait_for()


def test_the_choice_fits_every_screen(
    page: Page, server: Server, tmp_path: Path, pictures: Path
) -> None:
    look(page, server, tmp_path)
    page.keyboard.press("n")
    page.keyboard.press("x")
    for width, height in ((320, 568), (390, 844), (1280, 800)):
        page.set_viewport_size({"width": width, "height": height})
        page.screenshot(path=pictures / f"box-{width}.png")
        stage = page.locator("#stage").bounding_box()
        assert stage is not None
        for part in ("#boxing", "#drafting"):
            box = page.locator(part).bounding_box()
            assert box is not None
            assert box["x"] >= stage["x"]
            assert box["x"] + box["width"] <= stage["x"] + stage["width"]
            assert box["y"] >= stage["y"]
    assert violations(page) == []
