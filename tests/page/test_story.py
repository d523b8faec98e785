"""From a sample to an export and back, as a person goes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from playwright.sync_api import Page
from tests.page.conftest import Server
from tests.page.hand import FINISHED, ask, drag, mask, place, session, shown

from mediround.imaging.overlay import colour_of


def test_a_sample_is_talked_about_corrected_exported_and_resumed(
    page: Page, server: Server, pictures: Path
) -> None:
    page.goto(server.url)
    sample = page.locator("[data-sample=ct-slice]")
    sample.wait_for()
    if sample.is_disabled():
        pytest.skip("the sample is not on this machine: mediround weights pull sample-dicom")
    page.screenshot(path=pictures / "home.png")
    sample.click()
    shown(page)
    ask(page, "Segment the liver.")
    height, width = session(page)["size"]
    assert [each["id"] for each in session(page)["entities"]][:1] == [1], "nothing was drawn"
    ask(page, "Now the organ beside [1].")
    ask(page, "What lies above [1]?")
    ask(page, "Show me the left kidney, with reference to [1].")
    rounds = session(page)["rounds"]
    assert [each["query"].count("[1]") for each in rounds] == [0, 1, 1, 1]
    assert page.locator(FINISHED).count() == 4
    page.screenshot(path=pictures / "rounds.png")

    before = mask(page, 1)
    page.click("[data-key=name-1]")
    page.click("[data-key=correct-1]")
    middle = place(page, (height, width), width / 2, height / 2)
    drag(page, middle, place(page, (height, width), width / 2 + width / 8, height / 2))
    page.screenshot(path=pictures / "correction.png")
    page.click("#drafting .apply")
    page.locator("[data-entity='1'] .status.corrected").wait_for()
    corrected = mask(page, 1)
    assert corrected[height // 2, width // 2 : width // 2 + width // 8].all()
    assert (corrected & before).sum() == before.sum(), "a brush takes nothing away"

    page.locator("#canvas").focus()
    page.keyboard.press("Control+z")
    page.locator("[data-entity='1'] .status.corrected").wait_for(state="detached")
    np.testing.assert_array_equal(mask(page, 1), before)
    page.keyboard.press("Control+Shift+z")
    page.locator("[data-entity='1'] .status.corrected").wait_for()
    np.testing.assert_array_equal(mask(page, 1), corrected)

    page.click("[aria-label=Export]")
    with page.expect_download() as download:
        page.click("[data-export=png]")
    with zipfile.ZipFile(download.value.path()) as archive:
        name = next(each for each in archive.namelist() if each.endswith("mask_1.png"))
        with PillowImage.open(io.BytesIO(archive.read(name))) as picture:
            np.testing.assert_array_equal(np.asarray(picture) > 0, corrected)

    page.reload()
    shown(page)
    page.locator(FINISHED).nth(3).wait_for()
    assert page.locator("[data-entity='1'] .status.corrected").count() == 1
    ask(page, "And what is below [1]?")
    assert len(session(page)["rounds"]) == 5


def test_numbers_have_the_colours_of_the_program_s_pictures(page: Page, server: Server) -> None:
    page.goto(server.url)
    palette = page.request.get(f"{server.url}v1/info").json()["palette"]
    assert [tuple(each) for each in palette] == [
        colour_of(number) for number in range(1, len(palette) + 1)
    ]
