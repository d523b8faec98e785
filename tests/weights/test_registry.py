"""The registry's own promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediround.weights import REGISTRY, FolderSource, HubSource, WheelSource

DIGEST = "0" * 64


def test_names_are_unique_and_complete() -> None:
    assert set(REGISTRY) == {
        "smollm2-135m-instruct",
        "lite-medsam",
        "sample-ct",
        "sample-dicom",
        "sample-brain",
    }
    assert all(name == entry.name for name, entry in REGISTRY.items())


@pytest.mark.parametrize("entry", REGISTRY.values(), ids=REGISTRY.keys())
def test_a_wheel_is_the_one_that_its_requirement_names(entry: object) -> None:
    source = entry.source  # type: ignore[attr-defined]
    assert isinstance(source, WheelSource)
    name, _, version = source.requirement.partition("==")
    assert source.wheel == f"{name.replace('-', '_')}-{version}-py3-none-any.whl"


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64])
def test_a_digest_must_be_one(digest: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        WheelSource(requirement="a==1", wheel="a.whl", sha256=digest, members=("x",))
    with pytest.raises(ValueError, match="SHA-256"):
        HubSource(repo="a/b", revision="0" * 40, files={"x": digest})
    with pytest.raises(ValueError, match="SHA-256"):
        FolderSource(folder=Path("a"), files={"x": digest})


@pytest.mark.parametrize("revision", ["main", "v1.0", "abc123"])
def test_a_hub_revision_must_not_move(revision: str) -> None:
    with pytest.raises(ValueError, match="commit"):
        HubSource(repo="a/b", revision=revision, files={"x": DIGEST})


def test_a_requirement_must_be_pinned() -> None:
    with pytest.raises(ValueError, match="pinned"):
        WheelSource(requirement="a>=1", wheel="a.whl", sha256=DIGEST, members=("x",))
