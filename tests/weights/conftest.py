"""A package index in a folder, with wheels made on the spot; checkpoints of other programs."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from mediround.weights import Entry, Store, WheelSource, copying, tensors
from mediround.weights.architecture import (
    Architecture,
    LanguageSizes,
    LoraSizes,
    SamSizes,
    TowerSizes,
)
from mediround.weights.child import Outcome
from mediround.weights.expected import expected_shapes
from mediround.weights.fetch import sha256_of

MakeEntry = Callable[..., Entry]

WHEEL = "fakeweights-1.0-py3-none-any.whl"


def write_wheel(file: Path, members: Mapping[str, bytes]) -> None:
    """A wheel that pip accepts: the members, and the metadata the format asks for."""
    info = "fakeweights-1.0.dist-info"
    content = {
        **members,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: fakeweights\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for name, data in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(data)}\n"
    content[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is pip's only index, by pip's own configuration."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def make_entry(index: Path) -> MakeEntry:
    """Publishes a wheel with the given members and returns an entry that is pinned to it."""

    def make(
        members: Mapping[str, bytes] | None = None,
        *,
        wanted: tuple[str, ...] = ("fakeweights/a.bin", "fakeweights/b.csv"),
        **changes: object,
    ) -> Entry:
        if members is None:
            members = {"fakeweights/a.bin": b"\0weights\xff" * 100, "fakeweights/b.csv": b"x,y\n"}
        write_wheel(index / WHEEL, members)
        fields: dict[str, object] = {
            "name": "fake",
            "description": "made by a test",
            "licence": "MIT",
            "source": WheelSource(
                requirement="fakeweights==1.0",
                wheel=WHEEL,
                sha256=sha256_of(index / WHEEL),
                members=wanted,
            ),
            "download_bytes": 1000,
            "installed_bytes": 1000,
        }
        return Entry(**{**fields, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def store_of(tmp_path: Path) -> Callable[[Entry], Store]:
    """A store in an empty home with this one entry."""
    return lambda entry: Store(tmp_path / "home", registry={entry.name: entry})


@pytest.fixture
def store(make_entry: MakeEntry, store_of: Callable[[Entry], Store], index: Path) -> Store:
    """A store with the entry ``fake``, two files kept as they are; its wheel is laid ready.

    Without pip's second of start-up, and with nothing left on the index.
    """
    store = store_of(make_entry())
    (store.home / "wheels").mkdir(parents=True)
    (index / WHEEL).rename(store.home / "wheels" / WHEEL)
    return store


@pytest.fixture
def online_store(make_entry: MakeEntry, store_of: Callable[[Entry], Store]) -> Store:
    """The same, with the wheel on the index."""
    return store_of(make_entry())


# ------------------------------------------------------------------ checkpoints of other programs

SIZES = Architecture(
    language=LanguageSizes(
        vocabulary=11, width=8, layers=2, heads=2, kv_heads=1, inner=12,
        rope_theta=1e6, norm_eps=1e-5, context=64,
    ),
    tower=TowerSizes(
        width=6, layers=2, heads=2, inner=10, image=8, patch=4, norm_eps=1e-5,
        activation="quick_gelu", layer=-2,
    ),
    sam=SamSizes(
        width=4, layers=2, heads=2, inner=8, out=16, image=32, patch=4, window=3,
        global_layers=(1,), decoder_layers=2, decoder_inner=12,
    ),
    seg_width=16,
    jcm_inner=6,
    lora=LoraSizes(rank=2, alpha=16, targets=("q_proj", "v_proj")),
    dtype="F32",
)  # fmt: skip


@pytest.fixture
def sizes() -> Architecture:
    """A MediRound of stage 2 with adapters, a few kilobytes."""
    return SIZES


@pytest.fixture
def official() -> dict[str, torch.Tensor]:
    """Its tensors under their canonical names, no two alike."""
    generator = torch.Generator().manual_seed(0)
    shapes = expected_shapes(SIZES)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with LLaVA-Med's kind of configuration and a tokenizer."""
    folder = tmp_path / "base"
    folder.mkdir()
    config = {
        "model_type": "llava_mistral",
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e6,
        "max_position_embeddings": 64,
        "sliding_window": None,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.model").write_bytes(b"pieces")
    return folder


@pytest.fixture
def clip_base(tmp_path: Path) -> Path:
    """A folder with CLIP's configuration, and a tokenizer that is not the language model's."""
    folder = tmp_path / "clip"
    folder.mkdir()
    config = {"model_type": "clip_vision_model", "num_attention_heads": 2, "layer_norm_eps": 1e-5}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    return folder


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """What a child process would do is done here: torch is imported once for many tests."""

    def run(module: str, arguments: list[str], **_: object) -> Outcome:
        assert module == "mediround.weights.copying"
        capfd.readouterr()
        code = copying.main(arguments)
        return Outcome(code, capfd.readouterr().err)

    monkeypatch.setattr(tensors, "run_module", run)
