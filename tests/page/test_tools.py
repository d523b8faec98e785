"""Tools on a picture whose pixels are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from playwright.sync_api import Page
from tests.page.conftest import Server
from tests.page.hand import ask, canvas, drag, mask, open_file, place, session

SIZE = (60, 80)


@pytest.fixture
def opened(page: Page, server: Server, tmp_path: Path) -> Page:
    """A dark picture with a bright disc, (60, 80)."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    disc = (x - 50) ** 2 + (y - 20) ** 2 < 100
    noise = np.random.default_rng(0).integers(0, 12, SIZE)
    PillowImage.fromarray((30 + noise + 160 * disc).astype(np.uint8)).save(tmp_path / "disc.png")
    page.goto(server.url)
    open_file(page, tmp_path / "disc.png")
    return page


def _draw(page: Page, key: str) -> None:
    page.locator("#canvas").focus()
    page.keyboard.press("n")
    page.keyboard.press(key)


def _add(page: Page, name: str) -> None:
    page.fill(".draft-name", name)
    page.click("#drafting .apply")
    page.locator("#drafting").wait_for(state="hidden")


def test_a_box_covers_exactly_its_pixels(opened: Page) -> None:
    _draw(opened, "x")
    drag(opened, place(opened, SIZE, 10.1, 5.2), place(opened, SIZE, 29.9, 19.8))
    _add(opened, "the box")
    expected = np.zeros(SIZE, dtype=bool)
    expected[5:20, 10:30] = True
    np.testing.assert_array_equal(mask(opened, 1), expected)
    entity = session(opened)["entities"][0]
    assert (entity["name"], entity["status"], entity["score"]) == ("the box", "given", None)


def test_a_polygon_is_filled(opened: Page) -> None:
    _draw(opened, "p")
    for x, y in ((10, 10), (30, 10), (30, 40), (10, 40)):
        opened.mouse.click(*place(opened, SIZE, x, y))
    opened.click("text=Close polygon")
    _add(opened, "")
    expected = np.zeros(SIZE, dtype=bool)
    expected[10:40, 10:30] = True
    np.testing.assert_array_equal(mask(opened, 1), expected)


def test_a_wand_takes_what_is_equally_bright(opened: Page) -> None:
    _draw(opened, "g")
    opened.mouse.click(*place(opened, SIZE, 50, 20))
    _add(opened, "disc")
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    np.testing.assert_array_equal(mask(opened, 1), (x - 50) ** 2 + (y - 20) ** 2 < 100)


def test_strokes_are_undone_one_by_one_and_discarded(opened: Page) -> None:
    _draw(opened, "b")
    drag(opened, place(opened, SIZE, 10, 10), place(opened, SIZE, 20, 10))
    one = canvas(opened)
    drag(opened, place(opened, SIZE, 10, 40), place(opened, SIZE, 20, 40))
    opened.mouse.move(*place(opened, SIZE, 20, 10))
    assert canvas(opened) != one
    opened.keyboard.press("Control+z")
    assert canvas(opened) == one
    opened.keyboard.press("Control+z")
    opened.keyboard.press("Escape")
    assert opened.locator("#drafting").is_hidden()
    assert "#s=" not in opened.url, "what was discarded left a session"


def test_an_eraser_takes_away(opened: Page) -> None:
    _draw(opened, "x")
    drag(opened, place(opened, SIZE, 10, 10), place(opened, SIZE, 40, 40))
    opened.keyboard.press("e")
    drag(opened, place(opened, SIZE, 25, 5), place(opened, SIZE, 25, 50))
    _add(opened, "")
    found = mask(opened, 1)
    assert not found[10:40, 25].any()
    assert found[10:40, 11].all()


def test_a_click_on_a_mask_refers_to_it(opened: Page) -> None:
    _draw(opened, "x")
    drag(opened, place(opened, SIZE, 10, 10), place(opened, SIZE, 30, 30))
    _add(opened, "")
    opened.fill("#question", "What is right of")
    opened.mouse.click(*place(opened, SIZE, 70, 50))
    assert opened.input_value("#question") == "What is right of"
    opened.mouse.click(*place(opened, SIZE, 20, 20))
    assert opened.input_value("#question") == "What is right of [1] "
    assert opened.locator(".mirror .chip").inner_text() == "[1]"


def test_masks_are_shown_as_the_person_wants(opened: Page) -> None:
    bare = canvas(opened)
    _draw(opened, "x")
    drag(opened, place(opened, SIZE, 10, 10), place(opened, SIZE, 30, 30))
    _add(opened, "")
    opened.mouse.move(5, 300)
    opened.click("[data-key=name-1]")
    opened.click("[data-key=name-1]")
    opened.mouse.move(5, 300)
    opened.locator("#canvas").focus()
    looks = {"filled": canvas(opened)}
    for key, look in (("o", "outlined"), ("l", "without caption")):
        opened.keyboard.press(key)
        looks[look] = canvas(opened)
    opened.keyboard.press("h")
    assert canvas(opened) == bare
    assert bare not in looks.values()
    assert len(set(looks.values())) == len(looks)


def test_window_and_zoom_change_the_view_alone(opened: Page) -> None:
    first = canvas(opened)
    opened.locator("#canvas").focus()
    opened.keyboard.press("w")
    drag(opened, place(opened, SIZE, 40, 30), place(opened, SIZE, 60, 45))
    opened.keyboard.press("v")
    level = canvas(opened)
    assert level != first
    opened.keyboard.press("+")
    assert canvas(opened) != level
    opened.keyboard.press("0")
    assert canvas(opened) == level


def test_a_name_is_changed_and_an_entity_deleted(opened: Page) -> None:
    ask(opened, "Segment the liver.")
    assert session(opened)["entities"], "nothing was drawn"
    opened.click("[data-key=name-1]")
    opened.click("[data-key=rename-1]")
    opened.fill("input.rename", "my structure")
    opened.keyboard.press("Enter")
    opened.locator("[data-key=name-1]", has_text="my structure").wait_for()
    assert session(opened)["entities"][0]["name"] == "my structure"
    opened.click("[data-key=delete-1]")
    opened.locator("[data-entity='1']").wait_for(state="detached")
    assert session(opened)["entities"][0]["removed"]
