"""The record beside finished files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediround.weights import Entry
from mediround.weights.manifest import FileRecord, Manifest, ManifestError

_RECORDS = st.builds(
    FileRecord,
    st.text("0123456789abcdef", min_size=64, max_size=64),
    st.integers(0, 2**50),
    st.integers(0, 2**63),
)
_MANIFESTS = st.builds(
    Manifest,
    name=st.text(),
    fingerprint=st.text(),
    revision=st.integers(1, 99),
    licence=st.text(),
    files=st.dictionaries(st.text(), _RECORDS, max_size=4),
)


@settings(max_examples=50, deadline=None)
@given(manifest=_MANIFESTS)
def test_what_is_written_is_read(manifest: Manifest) -> None:
    with tempfile.TemporaryDirectory() as name:
        manifest.write(Path(name))
        assert Manifest.read(Path(name)) == manifest
        assert [f.name for f in Path(name).iterdir()] == ["manifest.json"]


def test_a_fresh_description_agrees_with_its_folder(
    tmp_path: Path, make_entry: Callable[..., Entry]
) -> None:
    folder = tmp_path / "files"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "x").write_bytes(b"123")
    manifest = Manifest.describe(make_entry(), folder)
    assert list(manifest.files) == ["sub/x"]
    assert manifest.made_from(make_entry())
    assert not manifest.made_from(make_entry(revision=7))
    assert manifest.check_quickly(folder)
    manifest.check_fully(folder)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"format": 2}', '{"format": 1}'])
def test_a_damaged_manifest_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        Manifest.read(tmp_path)
