"""Time and memory of building dialogues, and how they grow with the number of dialogues.

    python benchmarks/build.py --data FOLDER --sizes 10000 50000 177000 --workers 2

Every size is built from nothing: images are decoded, dialogues written, checksums taken. Besides
the wall clock, CPU seconds of all processes are told: they depend little on what else the machine
does. Prints a table and writes a dated JSON with hardware, load, versions and configuration.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from mediround.data.building.build import build
from mediround.data.building.scale import pool_of
from mediround.data.building.settings import BuildSettings
from mediround.data.sources import open_sources
from record import about, write


@dataclass
class Row:
    """One build.

    ``peak_mib`` adds the largest resident memory of this process so far to that of the largest
    worker so far, times the workers: what was needed at most.
    """

    dialogues: int
    images: int
    rounds: int
    wall_s: float
    cpu_s: float
    read_wall_s: float
    read_cpu_s: float
    dialogues_per_s: float
    dialogues_per_cpu_s: float
    peak_mib: int
    written_mib: int
    load_before: float
    load_after: float


class Clock:
    """Wall and CPU seconds, and when the first part of a build was over."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), _cpu()
        self.read: tuple[float, float] | None = None

    def passed(self) -> tuple[float, float]:
        """Seconds since the start: wall, CPU of this process and of finished children."""
        return time.perf_counter() - self.wall, _cpu() - self.cpu

    def watch(self, doing: str, _done: int, _total: int) -> None:
        """Progress of the build."""
        if self.read is None and doing == "writing dialogues":
            self.read = self.passed()


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measure(data: Path, out: Path, dialogues: int, workers: int) -> Row:
    """Build once."""
    before = os.getloadavg()[0]
    sources = open_sources(data)
    clock = Clock()
    settings = BuildSettings(dialogues=dialogues)
    manifest = build(sources, out, settings, pool=pool_of(workers), progress=clock.watch)
    wall, cpu = clock.passed()
    read = clock.read or (0.0, 0.0)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss if workers > 1 else 0
    return Row(
        dialogues=dialogues,
        images=sum(shard.images for shard in manifest.shards),
        rounds=sum(counts["rounds"] for counts in manifest.splits.values()),
        wall_s=round(wall, 1),
        cpu_s=round(cpu, 1),
        read_wall_s=round(read[0], 1),
        read_cpu_s=round(read[1], 1),
        dialogues_per_s=round(dialogues / wall, 1),
        dialogues_per_cpu_s=round(dialogues / cpu, 1),
        peak_mib=(own + workers * child) // 1024,
        written_mib=sum(shard.bytes for shard in manifest.shards) // 2**20,
        load_before=round(before, 1),
        load_after=round(os.getloadavg()[0], 1),
    )


def main() -> None:
    """Measure every size and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 50_000, 177_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for the last data set")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    rows: list[Row] = []
    print("dialogues   wall s    CPU s  per s  per CPU s  peak MiB  written MiB  load")
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            built = Path(folder) / "dialogues"
            row = measure(options.data, built, size, options.workers)
            if options.keep and size == options.sizes[-1]:
                shutil.move(built, options.keep)
        rows.append(row)
        print(
            f"{size:9,} {row.wall_s:8,.1f} {row.cpu_s:8,.1f} {row.dialogues_per_s:6,.0f} "
            f"{row.dialogues_per_cpu_s:10,.0f} {row.peak_mib:9,} {row.written_mib:12,} "
            f"{row.load_before} to {row.load_after}",
            flush=True,
        )
        record = about("build")
        record["workers"] = options.workers
        record["rows"] = [asdict(row) for row in rows]
        record["marginal_cpu_ms_per_dialogue"] = _marginal(rows)
        path = write(options.out, "build", record)
    print(f"CPU ms for a further dialogue, size by size: {_marginal(rows)}")
    print(f"record: {path}")


def _marginal(rows: list[Row]) -> list[float]:
    """Equal numbers mean that cost grows in proportion."""
    return [
        round(1000 * (b.cpu_s - a.cpu_s) / (b.dialogues - a.dialogues), 3)
        for a, b in itertools.pairwise(rows)
        if b.dialogues != a.dialogues
    ]


if __name__ == "__main__":
    main()
