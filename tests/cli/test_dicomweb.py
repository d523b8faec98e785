"""``mediround dicomweb``: which servers are asked, and a real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests import orthanc
from tests.dicom_series import CANARIES, write_series

from mediround.cli import main


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    reason = orthanc.missing()
    if reason is not None:
        pytest.skip(reason)
    with orthanc.running(tmp_path_factory.mktemp("orthanc")) as root:
        yield root


def test_store_find_fetch(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDIROUND_DICOMWEB", f"{server},http://other.example/dicom-web")
    sent = write_series(tmp_path / "sent", np.zeros((12, 10, 3), dtype=np.int16))
    assert main(["dicomweb", "store", *map(str, sent)]) == 0
    capsys.readouterr()
    assert main(["dicomweb", "find", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["modality"], found["images"]) == ("CT", 3)
    assert main(["dicomweb", "find"]) == 0
    uids = [found["study"], found["series"]]
    assert main(["dicomweb", "fetch", *uids, "--out", str(tmp_path / "got")]) == 0
    printed = capsys.readouterr()
    assert "3 images" in printed.out
    assert len(list((tmp_path / "got").iterdir())) == 3
    assert main(["dicomweb", "fetch", *uids, "--out", str(tmp_path / "got")]) == 2
    assert main(["dicomweb", "fetch", "1.2", "1.2.3", "--out", str(tmp_path / "none")]) == 1
    errors = capsys.readouterr().err
    assert "not empty" in errors
    assert not any(canary in printed.out + printed.err + errors for canary in CANARIES)


def test_only_listed_servers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("MEDIROUND_DICOMWEB", "http://pacs.example/dicom-web")
    assert main(["dicomweb", "find", "--server", "http://127.0.0.1:9/dicom-web"]) == 2
    assert "not on the list" in capsys.readouterr().err
    monkeypatch.delenv("MEDIROUND_DICOMWEB")
    assert main(["dicomweb", "find"]) == 2
    assert "no image server is named" in capsys.readouterr().err
    assert main(["dicomweb", "find", "--server", "http://127.0.0.1:9/dicom-web"]) == 1
    assert "does not answer" in capsys.readouterr().err
    (tmp_path / "a.txt").write_text("no DICOM")
    assert main(["dicomweb", "store", str(tmp_path / "a.txt")]) == 2
    assert "not a DICOM file" in capsys.readouterr().err
