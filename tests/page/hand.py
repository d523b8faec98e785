"""What a person does on the page, and what the server then holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page

from mediround.dialogue import Rle

FINISHED = ".answer:not(.pending)"


def shown(page: Page) -> None:
    """Wait until the image is on the canvas."""
    page.wait_for_selector("#canvas[data-shown]")


def open_file(page: Page, path: Path) -> None:
    """Through the chooser of files."""
    page.set_input_files("#file", path)
    shown(page)


def ask(page: Page, query: str) -> None:
    """Type a question, send it, wait for the answer."""
    before = page.locator(FINISHED).count()
    page.fill("#question", query)
    page.keyboard.press("Enter")
    page.wait_for_function(f"n => document.querySelectorAll('{FINISHED}').length > n", arg=before)


def session(page: Page) -> dict[str, Any]:
    """The session in the page's address, as the server has it."""
    number = page.url.partition("#s=")[2]
    assert number
    origin = page.url.partition("#")[0]
    answer = page.request.get(f"{origin}v1/sessions/{number}")
    assert answer.ok
    found: dict[str, Any] = answer.json()
    return found


def mask(page: Page, number: int) -> NDArray[np.bool_]:
    """The mask of entity ``number`` on the server."""
    entity = next(each for each in session(page)["entities"] if each["id"] == number)
    return Rle.model_validate(entity["mask"]).decode()


def place(page: Page, size: tuple[int, int], x: float, y: float) -> tuple[float, float]:
    """Where on the screen (x, y) of a fitted image with square pixels lies; size is (h, w)."""
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    height, width = size
    zoom = min(box["width"] / width, box["height"] / height)
    left = box["x"] + (box["width"] - width * zoom) / 2
    top = box["y"] + (box["height"] - height * zoom) / 2
    return left + x * zoom, top + y * zoom


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Press, move, let go."""
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=6)
    page.mouse.up()


def canvas(page: Page) -> str:
    """What is on the canvas, to be compared."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    picture: str = page.evaluate("() => document.getElementById('canvas').toDataURL()")
    return picture
