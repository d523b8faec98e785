"""``mediround weights`` on a cache of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mediround import weights
from mediround.cli import main
from mediround.weights import REGISTRY, Entry, FolderSource
from mediround.weights.fetch import sha256_of


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a registry of two entries, files of a local folder."""
    entries = {}
    for name in ("alpha", "beta"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
        source = FolderSource(folder=tmp_path, files={name: sha256_of(tmp_path / name)})
        entries[name] = Entry(
            name=name,
            description=f"the {name}",
            licence="MIT",
            source=source,
            download_bytes=1,
            installed_bytes=4_000_000,
        )
    home = tmp_path / "home"
    monkeypatch.setenv("MEDIROUND_HOME", str(home))
    monkeypatch.setattr(weights, "Store", lambda: weights.store.Store(registry=entries))
    return home


def test_pull_then_path_then_verify(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = home / "weights" / "alpha"
    assert main(["weights", "pull", "alpha"]) == 0
    assert (folder / "alpha").read_bytes() == b"alpha" * 1000
    assert main(["weights", "path", "beta"]) == 0
    assert main(["weights", "verify"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        f"alpha: {folder}",
        str(home / "weights" / "beta"),
        "alpha: intact",
        "beta: intact",
    ]


def test_damage_is_code_1_with_the_remedy_that_works(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "pull", "alpha", "beta"]) == 0
    (home / "weights" / "alpha" / "alpha").write_bytes(b"x")
    assert main(["weights", "path", "alpha"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    remedy = "mediround weights pull alpha --force"
    assert remedy in error
    assert main(remedy.split()[1:]) == 0
    assert main(["weights", "verify", "alpha"]) == 0


def test_list_shows_the_states(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["weights", "pull", "alpha"])
    capsys.readouterr()
    assert main(["weights", "list"]) == 0
    heading, alpha, beta = capsys.readouterr().out.splitlines()
    assert heading.split() == ["name", "size", "licence", "state", "source", "SHA-256"]
    assert alpha.split() == ["alpha", "0", "MB", "MIT", "ready", "–"]
    assert beta.split() == ["beta", "4", "MB", "MIT", "missing", "–"]


def test_list_as_json_is_complete(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["weights", "pull", "alpha"])
    capsys.readouterr()
    assert main(["weights", "list", "--json"]) == 0
    alpha, beta = json.loads(capsys.readouterr().out)
    assert alpha["state"] == "ready"
    assert alpha["bytes"] == 5000
    assert alpha["folder"] == str(home / "weights" / "alpha")
    assert list(alpha["files"]) == ["alpha"]
    assert beta["state"] == "missing"
    assert beta["files"] == {}


def test_the_real_list_shows_the_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDIROUND_HOME", str(tmp_path))
    assert main(["weights", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(REGISTRY)
    assert all(len(row["source_sha256"]) == 64 for row in rows)
    assert main(["weights", "list"]) == 0
    assert "bcc81830d10c…" in capsys.readouterr().out


def test_verify_of_an_empty_cache(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "verify"]) == 0
    assert "nothing has been fetched" in capsys.readouterr().out


def test_an_unknown_name_is_bad_input(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "pull", "gamma"]) == 2
    assert "alpha, beta" in capsys.readouterr().err
