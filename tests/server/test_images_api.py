"""Images over HTTP: uploads, slices as pictures and as values, samples."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image as PillowImage
from tests.server.conftest import files_below, open_session, png, upload

from mediround.imaging import Volume
from mediround.imaging.nifti import write_nifti


@pytest.fixture(scope="module")
def volume() -> Volume:
    """An MR-like volume of 20 x 24 x 12 voxels, flipped in x."""
    values = np.random.default_rng(3).integers(0, 900, (20, 24, 12), dtype=np.int16)
    return Volume.from_array(values, affine=np.diag([-1.0, 1.5, 3.0, 1.0]))


@pytest.fixture(scope="module")
def stack(
    server: TestClient, volume: Volume, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("nifti") / "Doe^Jane.nii.gz"
    labels = np.ones(volume.voxels.shape, dtype=bool)
    write_nifti(path, labels, volume)  # proves that the grid can be written
    import nibabel

    nibabel.save(nibabel.Nifti1Image(volume.voxels, volume.affine), path)
    return upload(server, path.read_bytes())


def array(answer: Any) -> NDArray[Any]:
    shape = [int(side) for side in answer.headers["x-shape"].split(",")]
    kind = np.dtype(answer.headers["x-dtype"]).newbyteorder("<")
    return np.frombuffer(answer.content, kind).reshape(shape)


def test_slices_come_with_their_values_and_sides(
    server: TestClient, stack: dict[str, Any], volume: Volume
) -> None:
    assert stack["kind"] == "volume"
    at = f"/v1/images/{stack['id']}"
    for plane, about in stack["planes"].items():
        assert about["count"] == volume.count(plane)
        for index in (0, about["count"] - 1):
            query = {"plane": plane, "index": index}
            expected = volume.slice(index, plane)
            found = array(server.get(f"{at}/values", params=query))
            assert np.array_equal(found, expected.pixels)
            assert tuple(about["size"]) == expected.size
            assert expected.directions is not None
            assert about["directions"] == expected.directions._asdict()
    assert server.get(f"{at}/values", params={"plane": "axial", "index": 12}).status_code == 400


def test_windows_and_marks(server: TestClient, stack: dict[str, Any], volume: Volume) -> None:
    at = f"/v1/images/{stack['id']}/slice.png"
    query: dict[str, str | int] = {"plane": "axial", "index": 4, "center": 450, "width": 900}
    shown = np.asarray(PillowImage.open(io.BytesIO(server.get(at, params=query).content)))
    expected = np.rint(volume.slice(4).pixels / 900 * 255)
    assert np.array_equal(shown[..., 0], expected)
    marked = server.get(at, params={**query, "marks": True, "max_side": 256}).content
    assert max(PillowImage.open(io.BytesIO(marked)).size) == 256
    assert marked != server.get(at, params={**query, "max_side": 256}).content
    assert server.get(at, params={**query, "width": 0}).status_code == 422


def test_one_volume_many_sessions(server: TestClient, stack: dict[str, Any]) -> None:
    first = open_session(server, stack)
    assert (first["plane"], first["slice"], first["slices"]) == ("axial", 6, 12)
    other = open_session(server, stack, slice=3, plane="coronal", modality="MR")
    assert (other["plane"], other["slice"], other["slices"]) == ("coronal", 3, 24)
    assert other["size"] == [12, 20]
    assert other["modality"] == "MR"
    assert other["exports"] == ["session", "dialogue"]
    assert other["exports_refused"]["stl"] == "there are no masks yet"
    assert other["exports_refused"]["dicom-seg"] == "the image is not DICOM"
    assert other["title"] == "MR, coronal 4"  # people count from 1
    given = server.post(f"/v1/sessions/{other['id']}/entities", json={"box": [1, 1, 5, 5]}).json()
    assert "stl" in given["exports"]
    assert "no rounds" in given["exports_refused"]["official"]
    for wrong in ({"slice": 99}, {"modality": "X-ray vision"}):
        answer = server.post("/v1/sessions", json={"image": stack["id"], **wrong})
        assert answer.status_code == 400


def test_what_is_refused_leaves_nothing_behind(server: TestClient) -> None:
    folder: Path = server.app.state.services.settings.data  # type: ignore[attr-defined]
    before = files_below(folder / "images")
    for data in (b"", b"Doe^Jane", gzip.compress(b"\0" * 10**6)):
        answer = server.post("/v1/images", content=data)
        assert answer.status_code == 400
        assert "Doe" not in answer.text
        assert str(folder) not in answer.text
    form = server.post("/v1/images", files={"file": png(1)})
    assert form.status_code == 415
    assert server.post("/v1/images?modality=none", content=png(1)).status_code == 400
    assert files_below(folder / "images") == before


def test_samples(server: TestClient) -> None:
    found = {each["name"]: each for each in server.get("/v1/samples").json()["samples"]}
    assert "chest-abdomen-ct" in found
    assert server.post("/v1/samples/none").status_code == 404
    if not found["ct-slice"]["available"]:
        pytest.skip("sample-dicom has not been fetched: mediround weights pull sample-dicom")
    opened = server.post("/v1/samples/ct-slice").json()
    assert (opened["modality"], opened["unit"]) == ("CT", "HU")
    session = open_session(server, opened)
    box = {"box": [10, 10, 50, 50]}
    given = server.post(f"/v1/sessions/{session['id']}/entities", json=box).json()
    assert "dicom-seg" in given["exports"]


def test_what_the_server_says_of_itself(server: TestClient) -> None:
    assert server.get("/healthz").json() == {"status": "ok"}
    assert server.get("/readyz").status_code == 200
    about = server.get("/v1/info").json()
    assert about["model"]["name"] == "talkative"
    assert "not a medical device" in about["notice"]
    paths = server.get("/openapi.json").json()["paths"]
    assert "/v1/sessions/{session}/ask" in paths
    text = server.get("/metrics").text
    assert 'mediround_requests_total{method="GET",route="/v1/info",status="200"}' in text
    assert server.get("/nothing").json()["type"] == "RequestError"
