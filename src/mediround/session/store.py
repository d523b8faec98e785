"""A session as a file: JSON with masks as RLE, the image by name and hash."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mediround.dialogue import Dialogue, Entity, Round
from mediround.errors import SessionFileError
from mediround.imaging import Modality, Plane
from mediround.imaging.output import replacing

LARGEST = 256 * 2**20
"""Most bytes of a session file."""


class SessionFile(BaseModel):
    """What is written: who looked at what with which model, and the dialogue.

    ``image`` is the path that was opened, None for an array; ``image_sha256`` the hash of the
    pixels that the model saw; ``slice`` and ``plane`` where they lie in a volume.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["mediround-session"] = "mediround-session"
    version: Literal[1] = 1
    image: str | None
    image_sha256: str
    slice: int | None = None
    plane: Plane | None = None
    modality: Modality
    model: str
    weights_sha256: str
    given: tuple[Entity, ...] = ()
    rounds: tuple[Round, ...] = ()

    @property
    def dialogue(self) -> Dialogue:
        """The dialogue alone."""
        return Dialogue(modality=self.modality.value, given=self.given, rounds=self.rounds)

    def check_size(self, size: tuple[int, int]) -> None:
        """Refuse masks that are not (height, width) of the image.

        Raises:
            SessionFileError: a mask has another size.
        """
        for entity in self.dialogue.entities():
            if entity.mask is not None and entity.mask.size != size:
                raise SessionFileError(
                    f"mask [{entity.id}] has the size {entity.mask.size}",
                    expected=f"{size}, that of the image",
                )

    def write(self, path: Path) -> None:
        """Write atomically; raises :class:`OutputError` where that is not possible."""
        with replacing(path) as file:
            file.write(self.model_dump_json(indent=1).encode())

    @classmethod
    def read(cls, path: Path) -> "SessionFile":
        """Read and validate.

        Raises:
            SessionFileError: missing, too large, not a session, or inconsistent.
        """
        try:
            if path.stat().st_size > LARGEST:
                raise SessionFileError(
                    f"{path.name} is too large", expected=f"at most {LARGEST} bytes"
                )
            stored = cls.model_validate_json(path.read_bytes())
            _ = stored.dialogue
            for entity in stored.dialogue.entities():
                if entity.mask is not None:
                    entity.mask.decode()
        except OSError as error:
            raise SessionFileError(f"{path.name} cannot be read: {error.strerror}") from error
        except (ValidationError, ValueError) as error:
            raise SessionFileError(
                f"{path.name} is not a session: {_first(error)}",
                expected="a file that `save` wrote",
            ) from error
        return stored


def _first(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        found: Any = error.errors()[0]
        where = ".".join(str(part) for part in found["loc"])
        return f"{where}: {found['msg']}"
    return str(error)
