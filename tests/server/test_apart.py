"""The process that serves decodes nothing that somebody sent: not a mask, not a header."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image as PillowImage
from pydicom import filereader
from tests.dicom_series import CANARIES, write_series
from tests.server.conftest import open_session, upload


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every reader of image files fails in this process."""

    def fail(*_args: object, **_options: object) -> None:
        raise AssertionError("decoded in the process that serves")

    for name in (
        "pydicom.dcmread",
        "mediround.imaging.dicom_header.dcmread",
        "mediround.imaging.dicom_header.read_file_meta_info",
        "mediround.imaging.dicom_source.dcmread",
        "mediround.imaging.raster.PillowImage.open",
        "nibabel.Nifti1Image.from_stream",
    ):
        monkeypatch.setattr(name, fail)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("series")
    voxels = np.random.default_rng(1).integers(-900, 900, (24, 20, 4)).astype(np.int16)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for file in write_series(folder, voxels):
            archive.write(file, file.name)
    return out.getvalue()


@pytest.mark.usefixtures("blind")
def test_a_series_from_upload_to_segmentation(server: TestClient, series: bytes) -> None:
    session = open_session(server, upload(server, series), slice=2)
    at = f"/v1/sessions/{session['id']}"
    mask = np.zeros(session["size"], dtype=bool)
    mask[5:12, 4:9] = True
    out = io.BytesIO()
    PillowImage.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(out, format="PNG")
    assert server.post(f"{at}/entities", json={"box": [1, 1, 4, 4]}).status_code == 201
    sent = server.put(
        f"{at}/entities/1/mask", content=out.getvalue(), headers={"Content-Type": "image/png"}
    )
    assert sent.status_code == 200, sent.text
    for to in sent.json()["exports"]:
        answer = server.get(f"{at}/export", params={"to": to})
        assert answer.status_code == 200, (to, answer.text)
    for to, reason in sent.json()["exports_refused"].items():
        assert (to, bool(reason)) == ("official", True)
        assert server.get(f"{at}/export", params={"to": to}).status_code == 400
    segmentation = server.get(f"{at}/export", params={"to": "dicom-seg"}).content
    assert filereader.dcmread(io.BytesIO(segmentation)).pixel_array.sum() == mask.sum()


def test_refusals_of_an_export_name_no_patient_and_no_place(
    server: TestClient, series: bytes
) -> None:
    """Headers that a segmentation cannot repeat are refused; the refusal quotes none of them."""
    folder: Path = server.app.state.services.settings.data  # type: ignore[attr-defined]
    opened = upload(server, series)
    session = open_session(server, opened)
    at = f"/v1/sessions/{session['id']}"
    server.post(f"{at}/entities", json={"box": [1, 1, 9, 9]})
    for file in (folder / "images" / opened["id"] / "files").iterdir():
        file.write_bytes(file.read_bytes()[:400])
    answer = server.get(f"{at}/export", params={"to": "dicom-seg"})
    assert answer.status_code == 400
    assert str(folder) not in answer.text
    assert not any(canary in answer.text for canary in CANARIES)
