"""A real PostgreSQL server on a socket of its own, in a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

INSTALLED = Path("/usr/lib/postgresql")
PATIENCE = 60


def missing() -> str | None:
    """Why there is no PostgreSQL here; None where there is one."""
    if _programs() is None:
        return "PostgreSQL is not installed (Debian package postgresql)"
    if os.geteuid() == 0 and _account() is None:
        return "PostgreSQL does not run as root, and there is no account 'postgres' or 'nobody'"
    return None


def _programs() -> Path | None:
    """The newest folder with initdb in it."""
    folders = sorted(INSTALLED.glob("*/bin"), key=lambda path: float(path.parent.name))
    found = [folder for folder in folders if (folder / "initdb").is_file()]
    if found:
        return found[-1]
    on_path = shutil.which("initdb")
    return None if on_path is None else Path(on_path).resolve().parent


def _account() -> str | None:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Start one below ``folder``, reachable through a socket alone; yields a SQLAlchemy URL."""
    programs = _programs()
    assert programs is not None
    home = folder / "postgres"
    home.mkdir()
    user: str | None = None
    if os.geteuid() == 0:
        user = _account()
        assert user is not None
        shutil.chown(home, user)
        for parent in home.parents:  # somebody else has to come in
            if parent.owner() == "root" and parent.stat().st_mode & 0o001 == 0:
                parent.chmod(parent.stat().st_mode | 0o011)
    data = home / "data"
    _run([programs / "initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "-N"], user)
    options = f"-c listen_addresses= -c unix_socket_directories={home} -c fsync=off"
    log = home / "log"
    _run([programs / "pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start"], user)
    try:
        yield f"postgresql+psycopg://tester@/postgres?host={home}"
    finally:
        _run([programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], user)


def _run(command: Sequence[str | Path], user: str | None) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # not a pipe: the server would keep it open
        stderr=subprocess.STDOUT,
        cwd="/",
        user=user,
        group=None if user is None else pwd.getpwnam(user).pw_gid,
        extra_groups=[] if user is not None else None,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{Path(words[0]).name} ended with status {done.returncode}")
