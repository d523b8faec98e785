"""DICOMweb against a server that lies, and against a real Orthanc."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import highdicom
import numpy as np
import pytest
from pydicom import dcmread
from tests import orthanc
from tests.dicom_series import CANARIES, write_series

from mediround.errors import ImageServerError, InputError
from mediround.imaging import Volume, dicomweb, open_image
from mediround.imaging.dicom_seg import Segmentation
from mediround.imaging.dicomweb import DicomWeb
from mediround.session import Model, load

STUDY, SERIES = "1.2.3", "1.2.3.4"


class Liar(BaseHTTPRequestHandler):
    """Answers by the first part of the path."""

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        if kind == "redirect":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()
            return
        if kind == "refuse":
            self.send_error(403, "CANARY")
            return
        body = {
            "huge": b"[" + b" " * 3_000_000 + b"]",
            "rubbish": b"<html>CANARY",
            "empty": b"[]",
            "list": json.dumps([{"00080018": {"vr": "UI", "Value": ["1.2.3.4.5"]}}]).encode(),
        }[kind]
        self.send_response(200)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture(scope="module")
def liar() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.filterwarnings("ignore:message sent by origin server:UserWarning")
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("redirect", "redirects"),
        ("refuse", "HTTP 403"),
        ("huge", "more than 1,000,000 bytes"),
        ("rubbish", "cannot be read"),
        ("empty", "has 0 images"),
        ("list", "cannot be read"),
    ],
)
def test_a_server_that_lies(
    liar: str, kind: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicomweb, "MAX_ANSWER_BYTES", 1_000_000)
    server = DicomWeb(f"{liar}/{kind}", allowed=[f"{liar}/{kind}/"])
    with pytest.raises(ImageServerError, match=told) as refused:
        server.fetch(STUDY, SERIES, tmp_path / "out")
    assert "CANARY" not in str(refused.value)
    assert STUDY not in str(refused.value)


def test_nobody_there(tmp_path: Path) -> None:
    server = DicomWeb("http://127.0.0.1:9/x", allowed=["http://127.0.0.1:9/x"])
    with pytest.raises(ImageServerError, match="does not answer"):
        server.series()


@pytest.mark.parametrize(
    "url",
    [
        "http://other.example/dicom-web",
        "http://pacs.example/dicom-web/more",
        "http://pacs.example.evil/dicom-web",
        "https://pacs.example/dicom-web",
        "http://169.254.169.254/latest",
    ],
)
def test_only_listed_servers_are_asked(url: str) -> None:
    with pytest.raises(InputError, match="not on the list"):
        DicomWeb(url, allowed=["http://pacs.example/dicom-web"])


@pytest.mark.parametrize(
    "url", ["ftp://a/b", "file:///etc/passwd", "http://u:p@a/b", "http://a/b?c", "a/b", ""]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(InputError, match="not the address"):
        DicomWeb(url, allowed=[url])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    reason = orthanc.missing()
    if reason is not None:
        pytest.skip(reason)
    with orthanc.running(tmp_path_factory.mktemp("orthanc")) as root:
        yield root


@pytest.fixture(scope="module")
def model() -> Model:
    return load("tiny")


def test_a_session_on_a_real_pacs(
    server: str, model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Push a CT, open it through DICOMweb, segment, store the SEG, read it again and compare."""
    caplog.set_level(logging.DEBUG)
    voxels = np.random.default_rng(3).integers(0, 2000, (48, 40, 9)).astype(np.int16)
    sent = write_series(tmp_path / "sent", voxels)
    pacs = DicomWeb(server, allowed=[server])
    pacs.store(sent)
    (found,) = pacs.series(modality="CT")
    header = dcmread(sent[0], stop_before_pixels=True)
    assert (found.study, found.series) == (header.StudyInstanceUID, header.SeriesInstanceUID)
    assert found.images == 9

    arrived: list[int] = []
    folder = pacs.fetch(
        found.study, found.series, tmp_path / "got", progress=lambda done, _: arrived.append(done)
    )
    assert arrived == list(range(1, 10))
    volume, original = open_image(folder), open_image(tmp_path / "sent")
    assert isinstance(volume, Volume)
    assert isinstance(original, Volume)
    assert (volume.voxels == original.voxels).all()
    assert np.abs(volume.affine - original.affine).max() < 1e-9

    session = model.open(folder, slice=6)
    session.ask("Segment the liver.", text="The liver is [1].")
    drawn = np.zeros(session.image.size, dtype=bool)
    drawn[5:20, 7:30] = True
    session.add_mask(drawn, "spleen")
    (file,) = session.export("dicom-seg", tmp_path / "seg.dcm")
    pacs.store([file])

    (stored,) = pacs.series(study=found.study, modality="SEG")
    back = pacs.fetch(stored.study, stored.series, tmp_path / "seg")
    (copy,) = back.iterdir()
    seg = highdicom.seg.segread(copy)
    assert [each.SegmentLabel for each in seg.SegmentSequence] == ["liver", "spleen"]
    uid = str(dcmread(sent[6], stop_before_pixels=True).SOPInstanceUID)
    masks = dict(Segmentation(copy).masks_on(uid))
    for number, entity in session.entities.items():
        assert (masks[number] == entity.mask).all()
    pixels = seg.get_pixels_by_source_instance([uid], ignore_spatial_locations=False)
    assert (pixels[0, :, :, 1].astype(bool) == drawn).all()
    for canary in CANARIES:
        assert canary not in caplog.text
