"""What a checkpoint says of its making: configuration, data, program."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import mediround
from mediround.config import ModelConfig


def revision() -> str:
    """The git revision of the program, "-dirty" behind it where files differ from it.

    "" where the program is not run from a clone of its repository.
    """
    here = Path(mediround.__file__).resolve()
    git = shutil.which("git")
    if git is None:
        return ""

    def ask(*words: str) -> str | None:
        done = subprocess.run(
            [git, "-C", str(here.parent), *words], capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else None

    # An installed copy may lie inside somebody else's repository.
    if ask("ls-files", "--error-unmatch", here.name) is None:
        return ""
    return ask("describe", "--always", "--abbrev=40", "--dirty", "--exclude", "*") or ""


def metadata(
    recipe: object, model: ModelConfig, data: Mapping[str, str], **numbers: float
) -> dict[str, str]:
    """For the head of a safetensors file.

    Args:
        recipe: the dataclass that was read from the recipe.
        model: what is trained.
        data: file -> SHA-256 of what says what the data are.
        numbers: such as step and loss.
    """
    assert hasattr(recipe, "__dataclass_fields__")
    return {
        "program": f"mediround {mediround.__version__}",
        "git_revision": revision(),
        "recipe": json.dumps(asdict(recipe), default=str),  # type: ignore[call-overload]  # checked above
        "config": model.to_json(),
        "data_sha256": json.dumps(dict(data), sort_keys=True),
        **{name: json.dumps(value) for name, value in numbers.items()},
    }
