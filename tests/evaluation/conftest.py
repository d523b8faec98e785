"""Made data sets, and readers that answer by a script instead of by a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from mediround.dialogue import Dialogue, markers
from mediround.geometry import BoolMask
from mediround.session import Model, Session, engine, load
from mediround.session.reader import Answer

SIDE = 64
LABELS = {
    "background": 0,
    "liver": 1,
    "spleen": 2,
    "right kidney": 3,
    "left kidney": 4,
    "aorta": 5,
}
PLACES = {1: (16, 24, 11), 2: (50, 22, 6), 3: (20, 46, 5), 4: (46, 46, 5), 5: (33, 42, 3)}
"""Label -> column, row and radius of a disc; row 0 anterior, column 0 the patient's right."""


def _disc(column: float, row: float, radius: float, side: int = SIDE) -> BoolMask:
    rows, columns = np.mgrid[:side, :side]
    inside: BoolMask = (columns - column) ** 2 + (rows - row) ** 2 <= radius**2
    return inside


def _abdomen(shift: int = 0) -> dict[str, BoolMask]:
    """Structures of one image, by name."""
    names = {value: name for name, value in LABELS.items()}
    return {
        names[value]: _disc(column + shift, row, radius)
        for value, (column, row, radius) in PLACES.items()
    }


def _write_dataset(folder: Path, patients: int = 10, *, images: bool = True) -> Path:
    """A raw nnU-Net folder of PNG files, one slice a patient, slightly shifted each."""
    (folder / "labelsTr").mkdir(parents=True)
    if images:
        (folder / "imagesTr").mkdir()
    described = {
        "channel_names": {"0": "CT"},
        "labels": LABELS,
        "file_ending": ".png",
        "axes": "row 0 = anterior, column 0 = patient right",
    }
    (folder / "dataset.json").write_text(json.dumps(described))
    for number in range(patients):
        labels = np.zeros((SIDE, SIDE), np.uint8)
        for name, mask in _abdomen(number % 3).items():
            labels[mask] = LABELS[name]
        case = f"ABD_{number:03d}_7"
        PillowImage.fromarray(labels).save(folder / "labelsTr" / f"{case}.png")
        if images:
            noise = np.random.default_rng(number).integers(0, 40, labels.shape)
            gray = (labels * 40 + noise).astype(np.uint8)
            PillowImage.fromarray(gray).save(folder / "imagesTr" / f"{case}_0000.png")
    return folder


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten patients, of whom two are for validation."""
    return _write_dataset(tmp_path_factory.mktemp("data") / "Dataset901_Made")


@pytest.fixture(scope="session")
def tiny() -> Model:
    return load("tiny", device="cpu")


def _answer(text: str, *masks: BoolMask, score: float = 0.5) -> Answer:
    """What a model says and draws."""
    stack = np.stack(masks) if masks else np.zeros((0, SIDE, SIDE), bool)
    return Answer(text, stack, np.full(len(masks), score, np.float32))


Reply = Callable[[int, str, Sequence[BoolMask]], Answer]
"""First free number, question, masks that the question refers to -> answer."""


@dataclass
class _Script:
    """Stands where a session's reader stands; remembers what it was asked and shown."""

    reply: Reply
    queries: list[str] = field(default_factory=list)
    texts: list[str | None] = field(default_factory=list)
    shown: list[list[BoolMask]] = field(default_factory=list)

    def answer(
        self, dialogue: Dialogue, query: str, text: str | None, _told: object = None
    ) -> Answer:
        entities = {entity.id: entity for entity in dialogue.entities()}
        masks = []
        for number in markers(query):
            code = entities[number].mask
            assert code is not None
            masks.append(code.decode())
        self.queries.append(query)
        self.texts.append(text)
        self.shown.append(masks)
        return self.reply(len(entities) + 1, query, masks)


@pytest.fixture(scope="session")
def abdomen() -> Callable[..., dict[str, BoolMask]]:
    return _abdomen


@pytest.fixture(scope="session")
def write_dataset() -> Callable[..., Path]:
    return _write_dataset


@pytest.fixture(scope="session")
def answer() -> Callable[..., Answer]:
    return _answer


@pytest.fixture
def scripted(tiny: Model) -> Callable[..., tuple[Session, _Script]]:
    """A session on an empty picture that answers by a script, and the script."""

    def make(reply: Reply) -> tuple[Session, _Script]:
        session = tiny.open(np.zeros((SIDE, SIDE), np.uint8), modality="CT")
        script = _Script(reply)
        session._reader = script  # type: ignore[assignment]  # what the network would do
        return session, script

    return make


@pytest.fixture
def scripted_model(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> Callable[[Reply], Model]:
    """A model whose every session answers by a script."""

    def make(reply: Reply) -> Model:
        monkeypatch.setattr(engine, "Reader", lambda *_, **__: _Script(reply))
        return tiny

    return make
