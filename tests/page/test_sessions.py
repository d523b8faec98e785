"""Volumes, slices, and the list of sessions."""

from __future__ import annotations

import base64
from pathlib import Path

import nibabel
import numpy as np
import pytest
from playwright.sync_api import Page, Route
from tests.page.conftest import Server
from tests.page.hand import ask, canvas, open_file, session, shown

COUNT = 12


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A NIfTI file with twelve axial slices."""
    values = np.random.default_rng(2).normal(0, 200, (48, 40, COUNT)).astype(np.int16)
    path = tmp_path / "volume.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1.0, 3.0, 1.0])), path)
    return path


def _slice(page: Page) -> int:
    return int(page.input_value("input.slices"))


def test_slices_turn_and_a_dialogue_stays_on_its_own(
    page: Page, server: Server, volume: Path
) -> None:
    page.goto(server.url)
    open_file(page, volume)
    assert _slice(page) == COUNT // 2
    first = canvas(page)
    page.locator("#canvas").hover()
    page.mouse.wheel(0, 120)
    page.wait_for_function("() => document.querySelector('input.slices').value === '7'")
    page.locator("#canvas[data-shown$='/7']").wait_for()
    assert canvas(page) != first
    page.locator("#canvas").focus()
    page.keyboard.press("ArrowUp")
    assert _slice(page) == 6
    ask(page, "Segment the liver.")
    assert session(page)["slice"] == 6
    one = session(page)["id"]
    page.locator("#canvas").focus()
    page.keyboard.press("ArrowDown")
    page.locator(".elsewhere", has_text="slice 7").wait_for()
    page.click("text=New dialogue on slice 8")
    page.wait_for_function("one => !location.hash.includes(one)", arg=one)
    assert session(page)["slice"] == 7
    page.go_back()
    page.wait_for_function("one => location.hash.includes(one)", arg=one)
    page.locator(".answer").wait_for()
    page.select_option("#turner select", "coronal")
    page.locator("#canvas[data-shown*='/coronal/']").wait_for()


def _own_session(page: Page, server: Server, volume: Path) -> str:
    page.goto(server.url)
    open_file(page, volume)
    ask(page, "Segment the liver.")
    return str(session(page)["id"])


def test_sessions_are_listed_renamed_resumed_and_deleted(
    page: Page, server: Server, volume: Path
) -> None:
    own = _own_session(page, server, volume)
    page.fill("#top .title", "Tuesday's volume")
    page.keyboard.press("Enter")
    page.click("[aria-label^='MediRound']")
    item = page.locator(f"#home [data-session='{own}']")
    item.locator("b", has_text="Tuesday's volume").wait_for()
    item.locator("[aria-label^=Rename]").click()
    item.locator("input").fill("Wednesday's")
    page.keyboard.press("Enter")
    item.locator("b", has_text="Wednesday's").wait_for()
    item.locator("button.session").click()
    shown(page)
    assert session(page)["title"] == "Wednesday's"
    page.click("[aria-label=Sessions]")
    entry = page.locator(f".popover [data-session='{own}']")
    entry.locator("[aria-label^=Delete]").click()
    entry.locator("text=Keep").click()
    entry.locator("[aria-label^=Delete]").click()
    entry.locator("button.danger").click()
    page.locator("#home").wait_for()
    assert page.request.get(f"{server.url}v1/sessions/{own}").status == 404


def test_a_question_about_a_session_outlasts_a_newer_list(
    page: Page, server: Server, volume: Path
) -> None:
    own = _own_session(page, server, volume)
    lists: list[Route] = []

    def hold(route: Route) -> None:
        lists.append(route)

    page.route("**/v1/sessions", hold)
    page.click("[aria-label=Sessions]")
    entry = page.locator(f".popover [data-session='{own}']")
    entry.locator("[aria-label^=Delete]").click()
    while not lists:
        page.wait_for_timeout(20)
    with page.expect_response("**/v1/sessions"):
        lists.pop().continue_()
    page.wait_for_timeout(300)
    keep = entry.locator("text=Keep")
    assert keep.evaluate("button => button === document.activeElement")
    keep.click()
    entry.locator("[aria-label^=Delete]").wait_for()


def test_a_file_is_dropped_on_the_page(page: Page, server: Server, volume: Path) -> None:
    page.goto(server.url)
    page.locator("[data-sample]").first.wait_for()
    page.evaluate(
        """code => {
            const bytes = Uint8Array.from(atob(code), c => c.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], "volume.nii.gz"));
            document.body.dispatchEvent(new DragEvent("drop", {dataTransfer, bubbles: true}));
        }""",
        base64.b64encode(volume.read_bytes()).decode(),
    )
    shown(page)
    assert _slice(page) == COUNT // 2
