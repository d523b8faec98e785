"""The process behind ``sandbox``: takes orders on standard input, one process for each.

It imports the decoders once and touches no file itself. Every order is done in a fork of it (but
for systems where that is not safe: there a process serves one order, told ``once``), with
limits that the kernel enforces, no way to this process' input and output, and nothing of the
orders before it. What it says of an order is one JSON object a line:

    {"done": {…}}                         what the task returned
    {"refused": {"type", "found", …}}     a typed error, without the folders of this machine
    {"failed": "timeout" | "status -9" | "ValueError" …}

and with it ``peak``, the most memory that the fork held, in bytes, and its CPU ``seconds``.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from mediround.errors import ImageFileError, MediRoundError

TIMEOUT, ONCE = "timeout", "once"
FORKS = sys.platform == "linux"
"""Elsewhere a fork may not use what its parent has loaded, or there is none."""
_LONGEST_ANSWER = 2**20
_MOST_FILES = 1024
_READY_MADE = (
    "PIL.PngImagePlugin",
    "PIL.JpegImagePlugin",
    "PIL.TiffImagePlugin",
    "mediround.imaging.dicom_series",
    "mediround.imaging.nifti",
    "mediround.imaging.raster",
)

Answer = dict[str, Any]
Task = Callable[[dict[str, Any]], Answer | None]


def main() -> None:
    """Serve until the other side goes away."""
    for module in _READY_MADE:
        import_module(module)
    # Decoders write to standard output at their own will; the answers must stay alone there.
    orders, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    _silence()
    once = ONCE in sys.argv[1:]
    for line in orders:
        order = json.loads(line)
        task = _task(order["task"])
        answer = _here(task, order) if once else _in_a_fork(task, order)
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()
        if once:
            return


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)


def _task(name: str) -> Task:
    """``module:function``; imported here, so that the forks find it ready."""
    module, _, function = name.partition(":")
    task: Task = getattr(import_module(module), function)
    return task


def _here(task: Task, order: dict[str, Any]) -> Answer:
    """Where processes cannot fork safely: limits on this one, which serves no further order."""
    _limit(order["limits"])
    return _outcome(task, order)


def _in_a_fork(task: Task, order: dict[str, Any]) -> Answer:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _be_the_fork(task, order, writing)
    os.close(writing)
    said, failure = _hear(reading, order["limits"]["seconds"])
    os.close(reading)
    if failure is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    # Linux counts in KiB, macOS in bytes.
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    cost = {"peak": peak, "seconds": used.ru_utime + used.ru_stime}
    if failure is not None:
        return {"failed": failure, **cost}
    return _judged(said, os.waitstatus_to_exitcode(status)) | cost


def _judged(said: bytes, status: int) -> Answer:
    try:
        answer = json.loads(said)
    except ValueError:
        return {"failed": f"status {status}"}
    return answer if isinstance(answer, dict) else {"failed": "answer"}


def _be_the_fork(task: Task, order: dict[str, Any], writing: int) -> None:
    """Never returns: the fork must not go on with the warden's business."""
    try:
        # Nothing but its own pipe: neither the orders of others nor the answers to them.
        os.closerange(3, writing)
        os.closerange(writing + 1, _MOST_FILES)
        _limit(order["limits"])
        answer = json.dumps(_outcome(task, order)).encode()
        while answer:
            answer = answer[os.write(writing, answer) :]
    finally:
        os._exit(0)


def _hear(reading: int, seconds: float) -> tuple[bytes, str | None]:
    """All that the fork says until it ends, or why it is to be ended."""
    said, end = b"", time.monotonic() + seconds
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return b"", TIMEOUT
        part = os.read(reading, 2**16)
        if not part:
            return said, None
        said += part
        if len(said) > _LONGEST_ANSWER:
            return b"", "talk"


def _limit(limits: dict[str, Any]) -> None:
    """Bounds that the kernel enforces; Windows has none, there the time limit alone holds."""
    try:
        import resource
    except ImportError:
        return
    bounds = {
        resource.RLIMIT_AS: limits["memory"],
        resource.RLIMIT_CPU: limits["cpu_seconds"],
        resource.RLIMIT_FSIZE: limits["unpacked"] * 4,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in bounds.items():
        hard = resource.getrlimit(kind)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (most, most))


def _outcome(task: Task, order: dict[str, Any]) -> Answer:
    try:
        return {"done": task(order) or {}}
    except MediRoundError as error:
        return {"refused": _told(error, order)}
    except MemoryError:
        refusal = ImageFileError("the file needs too much memory", remedy="send a smaller one")
        return {"refused": _told(refusal, order)}
    # Not what it says, which may quote the file: what it is goes into the log.
    except Exception as error:  # noqa: BLE001 - decoders of foreign files raise nearly anything
        return {"failed": type(error).__name__}


def _told(error: MediRoundError, order: dict[str, Any]) -> dict[str, str]:
    """The refusal without the folders in which the file lies here."""
    said = {"found": error.found, "expected": error.expected, "remedy": error.remedy}
    for folder in order["private"]:
        said = {key: text.replace(f"{folder}/", "") for key, text in said.items()}
    return {"type": type(error).__name__, **said}


if __name__ == "__main__":
    main()
