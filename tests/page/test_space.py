"""The view in three dimensions: a real WebGL 2, in software."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage
from playwright.sync_api import Page
from tests.page.axe import violations
from tests.page.conftest import Server
from tests.page.hand import drag, open_file, place, session, shown

SIZE, COUNT = (40, 40), 16
BUTTON = "[aria-label='Show the volume in three dimensions']"
# NiiVue's first picture on one core: shaders are compiled, the volume goes to the "graphics".
READY_MS = 120_000


@pytest.fixture
def opened(page: Page, server: Server, tmp_path: Path) -> Page:
    """A bright ball in the dark with one mask, [1], drawn on the middle axial slice."""
    i, j, k = np.mgrid[: SIZE[1], : SIZE[0], :COUNT]
    ball = (i - 20) ** 2 + (j - 20) ** 2 + (2.5 * (k - 8)) ** 2 < 15**2
    path = tmp_path / "ball.nii.gz"
    voxels = (ball * 900 + 20).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-1.0, 1.0, 2.5, 1.0])), path)
    page.goto(server.url)
    open_file(page, path)
    _draw(page, "cube")
    return page


def _draw(page: Page, name: str) -> None:
    page.locator("#canvas").focus()
    page.keyboard.press("n")
    page.keyboard.press("x")
    drag(page, place(page, SIZE, 12.5, 12.5), place(page, SIZE, 27.5, 27.5))
    page.fill(".draft-name", name)
    page.click("#drafting .apply")
    page.locator("#drafting").wait_for(state="hidden")


def _enter(page: Page) -> None:
    page.click(BUTTON)
    page.wait_for_selector("#space.ready", timeout=READY_MS)


def _picture(page: Page) -> NDArray[np.uint8]:
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    data = page.locator(".space-canvas").screenshot()
    return np.asarray(PillowImage.open(io.BytesIO(data)).convert("RGB"))


def _coloured(picture: NDArray[np.uint8]) -> int:
    """Pixels with the orange or blue of a mask; tissue, letters and ground are gray or cyan."""
    wide = picture.astype(np.int16)
    return int((np.ptp(wide, axis=2) > 40).sum())


def _until(page: Page, true: Callable[[NDArray[np.uint8]], bool]) -> NDArray[np.uint8]:
    for _ in range(40):
        picture = _picture(page)
        if true(picture):
            return picture
        page.wait_for_timeout(100)
    raise AssertionError("the picture did not become what it should")


def test_a_volume_is_shown_with_its_masks(opened: Page, pictures: Path) -> None:
    outside: list[str] = []
    own = opened.url.partition("#")[0]
    opened.on("request", lambda sent: outside.append(sent.url))
    _enter(opened)
    opened.screenshot(path=pictures / "space.png")
    assert all(each.startswith((own, "blob:", "data:")) for each in outside)
    assert violations(opened) == []
    opened.locator("#notes .note").first.wait_for(state="detached")  # it lies over the pictures
    marked = _picture(opened)
    assert len(np.unique(marked.reshape(-1, 3), axis=0)) > 20, "nothing is drawn"
    opened.click("[data-key=eye-1]")
    bare = _until(opened, lambda picture: _coloured(picture) < _coloured(marked))
    opened.click("[data-key=eye-1]")
    _until(opened, lambda picture: _coloured(picture) == _coloured(marked))
    opened.locator(".space-canvas canvas").focus()
    before = opened.locator(".space-probe").inner_text()
    opened.keyboard.press("PageUp")
    assert opened.locator(".space-probe").inner_text() != before
    opened.select_option("[aria-label=Layout]", "render")
    whole = _until(opened, lambda picture: not np.array_equal(picture, bare))
    opened.check(".space-bar input")
    _until(opened, lambda picture: not np.array_equal(picture, whole))
    opened.keyboard.press("Escape")
    opened.locator("#space").wait_for(state="hidden")
    assert "#s=" in opened.url, "the way back left the dialogue"


def test_ways_lead_from_the_volume_to_its_slices(opened: Page) -> None:
    first = session(opened)["id"]
    opened.locator("#canvas").focus()
    opened.keyboard.press("PageDown")
    opened.locator(f"#canvas[data-shown$='/{COUNT - 1}']").wait_for()
    _draw(opened, "other")
    second = session(opened)["id"]
    assert second != first
    _enter(opened)
    names = opened.locator(".space-list li")
    assert names.count() == 2
    probe = opened.locator(".space-probe")
    assert f"axial {COUNT}" in probe.inner_text()
    opened.locator(".space-canvas canvas").focus()
    opened.keyboard.press("PageDown")
    opened.click("text=Go to this slice")
    opened.locator(f"#canvas[data-shown$='/{COUNT - 2}']").wait_for()
    _enter(opened)
    opened.click(".space-list button[title*='cube']")
    opened.wait_for_function("id => location.hash.includes(id)", arg=first)
    shown(opened)
    assert opened.locator("#space").is_hidden()


def test_who_draws_or_goes_home_leaves_the_volume(opened: Page) -> None:
    _enter(opened)
    opened.click("[aria-label^='Draw a new mask']")
    opened.locator("#space").wait_for(state="hidden")
    opened.keyboard.press("Escape")
    opened.locator("#canvas").focus()
    opened.keyboard.press("t")
    opened.click("[aria-label^='MediRound']")
    opened.locator("#home").wait_for()
    assert opened.locator("#space").is_hidden()


def test_without_webgl_it_is_said(opened: Page) -> None:
    opened.evaluate(
        """() => {
            const real = HTMLCanvasElement.prototype.getContext;
            HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
                return kind === "webgl2" ? null : real.call(this, kind, ...rest);
            };
        }"""
    )
    opened.click(BUTTON)
    opened.locator(".note.error", has_text="WebGL 2").wait_for()
    opened.locator("#space").wait_for(state="hidden")
