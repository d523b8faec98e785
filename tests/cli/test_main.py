"""The command's frame: start-up, exit codes, one-line errors."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import Any

import pytest
import typer

from mediround.cli import main, registry
from mediround.cli.registry import COMMANDS, Command, load_command
from mediround.errors import ImageFileError, WeightsError

HEAVY = {"torch", "transformers", "peft", "numpy", "nibabel", "pydicom", "matplotlib", "scipy"}


def run(code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Installs a command ``fail`` that raises the given exception."""

    def install(error: BaseException) -> None:
        def fail() -> None:
            raise error

        monkeypatch.setattr(sys.modules[__name__], "fail", fail, raising=False)
        monkeypatch.setitem(registry.COMMANDS, "fail", Command(f"{__name__}:fail", "Fails."))

    return install


def test_help_imports_nothing_heavy_and_names_every_command() -> None:
    result = run(
        "import sys\nfrom mediround.cli import main\ncode = main(['--help'])\n"
        "print('LOADED', *sorted(m for m in sys.modules if '.' not in m))\nsys.exit(code)"
    )
    assert result.returncode == 0, result.stderr
    text, _, loaded = result.stdout.partition("LOADED")
    assert set(loaded.split()) & HEAVY == set()
    for name, command in COMMANDS.items():
        assert name in text
        assert command.summary.split(".")[0][:30] in text


def test_help_takes_less_than_half_a_second_of_the_processor() -> None:
    def cost() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run("from mediround.cli import main; main(['--help'])").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(cost() for _ in range(3)) < 0.5


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_loads_and_gives_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--help"]) == 0
    assert "Example" in capsys.readouterr().out
    assert load_command(name).name == name


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from mediround import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mediround {__version__}\n"


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "weights" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "named"),
    [(["weihgts"], "Did you mean 'weights'"), (["--nope"], "--nope"), (["weights", "x"], "'x'")],
)
def test_a_wrong_command_line_is_one_line_and_code_2(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    assert named in output.err


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ImageFileError("found a\nbroken file", remedy="try another"), 2, "found a broken file;"),
        (WeightsError("weights are missing"), 1, "weights are missing."),
        (ZeroDivisionError("by zero"), 1, "unexpected ZeroDivisionError: by zero; --debug"),
        (OSError(28, "No space left on device"), 1, "No space left"),
        (typer.Abort(), 1, "aborted"),
        (typer.Exit(3), 3, ""),
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_an_error_is_one_line_with_its_exit_code(
    failing: Any,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    text: str,
) -> None:
    failing(error)
    assert main(["fail"]) == code
    printed = capsys.readouterr().err
    assert text in printed
    assert printed.count("\n") == (1 if text else 0)
    assert "Traceback" not in printed


@pytest.mark.parametrize("words", [["--debug", "fail"], ["fail", "--debug"]])
def test_debug_shows_the_traceback(
    failing: Any, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    failing(WeightsError("weights are missing"))
    assert main(words) == 1
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert printed.endswith("error: weights are missing.\n")
