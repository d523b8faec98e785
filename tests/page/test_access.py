"""For everybody: names, keys, contrast, every size of screen, light and heavy."""

from __future__ import annotations

import gzip
import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from playwright.sync_api import Page
from tests.page.axe import violations
from tests.page.conftest import Server
from tests.page.hand import ask, open_file

from mediround.imaging.overlay import PALETTE
from mediround.server.page import FOLDER
from mediround.session.results import NOTICE

LARGEST_BUNDLE = 2 * 2**20
AA = 4.5
FIRST_PAINT_MS = 1000
PAINT = "first-contentful-paint"
PAINTS = 10


@pytest.fixture
def talked(page: Page, server: Server, tmp_path: Path) -> Page:
    """A picture with one round."""
    noise = np.random.default_rng(3).integers(0, 255, (64, 64), dtype=np.uint8)
    PillowImage.fromarray(noise).save(tmp_path / "noise.png")
    page.goto(server.url)
    open_file(page, tmp_path / "noise.png")
    ask(page, "Segment the liver.")
    page.click("[data-key=name-1]")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_screen_is_too_small_or_too_large(talked: Page, scheme: str, pictures: Path) -> None:
    talked.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for width, height in ((320, 568), (390, 844), (1280, 800), (3840, 2160)):
        talked.set_viewport_size({"width": width, "height": height})
        talked.screenshot(path=pictures / f"{scheme}-{width}.png")
        assert talked.evaluate("document.documentElement.scrollWidth") <= width
        assert talked.evaluate("document.documentElement.scrollHeight") <= height
        for part in ("#canvas", "#question", "#composer .send", "#notice", "#tools"):
            box = talked.locator(part).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width + 0.5, part
            assert box["y"] + box["height"] <= height + 0.5, part
        assert talked.locator("#notice").inner_text() == NOTICE


def test_every_control_has_a_name(talked: Page) -> None:
    talked.click("[aria-label='How masks and image are shown']")
    nameless = talked.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea, canvas")]
            .filter(e => e.checkVisibility())
            .filter(e => !(e.getAttribute("aria-label") || e.labels?.length || e.innerText?.trim()))
            .map(e => e.outerHTML)"""
    )
    assert nameless == []


def test_the_keyboard_is_enough(talked: Page) -> None:
    talked.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(60):
        talked.keyboard.press("Tab")
        reached.add(
            talked.evaluate(
                """() => document.activeElement.id
                    || document.activeElement.getAttribute("aria-label")"""
            )
        )
    wanted = {"canvas", "question", "Undo", "Export", "Sessions", "Brush", "Draw a new mask"}
    assert wanted <= reached
    talked.locator("#canvas").focus()
    talked.keyboard.press("?")
    talked.locator("dialog.help[open]").wait_for()
    talked.keyboard.press("Escape")
    talked.locator("dialog.help").wait_for(state="detached")
    talked.keyboard.press("1")
    assert talked.input_value("#question") == "[1] "


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(talked: Page, scheme: str) -> None:
    talked.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    found = {"a structure": violations(talked)}
    for name in ("How masks and image are shown", "Export", "Sessions"):
        talked.click(f"[aria-label='{name}']")
        found[name] = violations(talked)
        talked.keyboard.press("Escape")
        assert talked.locator(".popover:visible").count() == 0, f"Escape leaves {name} open"
    talked.click("[data-key=correct-1]")
    found["a drawing"] = violations(talked)
    talked.keyboard.press("Escape")
    talked.locator("#canvas").focus()
    talked.keyboard.press("?")
    found["help"] = violations(talked)
    talked.keyboard.press("Escape")
    talked.set_viewport_size({"width": 320, "height": 568})
    found["a telephone"] = violations(talked)
    talked.click("[aria-label^='MediRound']")
    talked.locator("#home").wait_for()
    found["home"] = violations(talked)
    assert {where: each for where, each in found.items() if each} == {}


def test_the_first_paint_comes_within_a_second(page: Page, server: Server) -> None:
    loaded: list[str] = []
    page.on("request", lambda sent: loaded.append(sent.url))
    times: list[float] = []
    # Machines that test are busy: one quiet moment shows the page's own time.
    while len(times) < PAINTS and min(times, default=math.inf) > FIRST_PAINT_MS:
        page.goto(server.url)
        page.locator("#home h1").wait_for()
        page.wait_for_function(f"() => performance.getEntriesByName('{PAINT}').length")
        times.append(page.evaluate(f"performance.getEntriesByName('{PAINT}')[0].startTime"))
    assert min(times) <= FIRST_PAINT_MS, times
    assert not any("scene" in each for each in loaded), "the first paint waits for volumes"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(talked: Page, scheme: str) -> None:
    talked.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for words, ground in (
        ("text", "panel"),
        ("text", "ground"),
        ("text", "raised"),
        ("text", "bubble"),
        ("soft", "panel"),
        ("soft", "ground"),
        ("soft", "raised"),
        ("accent-text", "accent"),
        ("danger", "panel"),
        ("warn", "warn-ground"),
    ):
        assert _contrast(_token(talked, words), _token(talked, ground)) >= AA, (words, ground)
    ink = _token(talked, "ink")
    assert all(_contrast(ink, np.array(colour)) >= AA for colour in PALETTE)


def test_the_bundle_is_small_and_needs_nothing_from_elsewhere() -> None:
    files = [file for file in FOLDER.rglob("*") if file.is_file()]
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) <= LARGEST_BUNDLE
    for file in files:
        if file.name.startswith(("scene-", "licence")):
            continue  # others' code names addresses that it never asks: test_space watches it
        addresses = set(re.findall(r"https?://[^\"'`\s<>)]+", file.read_text()))
        assert {each for each in addresses if "www.w3.org" not in each} == set(), file.name
    page = (FOLDER / "index.html").read_text()
    # What stands between the address and the first paint: nothing but the page itself.
    assert 'rel="stylesheet"' not in page
    assert all('type="module"' in each for each in re.findall(r"<script[^>]*>", page))


def _token(page: Page, name: str) -> np.ndarray:
    """The colour, 0..255, that ``--name`` stands for in the scheme of the moment."""
    seen: str = page.evaluate(
        """name => {
            const probe = document.body.appendChild(document.createElement("i"));
            probe.style.color = `var(--${name})`;
            const colour = getComputedStyle(probe).color;
            probe.remove();
            return colour;
        }""",
        name,
    )
    return np.array([int(each) for each in re.findall(r"\d+", seen)[:3]])


def _contrast(one: np.ndarray, other: np.ndarray) -> float:
    """WCAG 2's ratio of luminances, 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: np.ndarray) -> float:
    share = colour / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))
