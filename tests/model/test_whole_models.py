"""Folders that hold every tensor: equal to what was saved, in any type, and complete."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from mediround.config import MistralConfig, ModelConfig, SamVitConfig
from mediround.errors import ConfigError, WeightsError
from mediround.model.checkpoint import read_tensors, write_tensors
from mediround.model.drawing import Drawn
from mediround.model.folder import TENSOR_FILE, save_model
from mediround.model.loading import compose, load_model
from mediround.model.mediround import MediRound
from mediround.presets import mediround_7b, official_tiny


def config(*, lora: int = 0) -> ModelConfig:
    tiny = official_tiny()
    assert isinstance(tiny.language, MistralConfig)
    return dataclasses.replace(
        tiny,
        vision=SamVitConfig(
            side=128, width=32, layers=2, heads=2, mlp=64, window=4, global_layers=(1,), out=64
        ),
        decoder=dataclasses.replace(tiny.decoder, width=64, mlp=64),
        language=dataclasses.replace(tiny.language, lora_rank=lora),
    )


def lively(model: MediRound) -> MediRound:
    """Nothing at zero, so that no part can be left out unnoticed."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.abs().sum() == 0:
                parameter.normal_(0, 0.1, generator=generator)
    return model.eval()


@torch.inference_mode()
def drawn(model: MediRound) -> Drawn:
    generator = torch.Generator().manual_seed(8)
    sam, clip = torch.randn(3, 128, 128, generator=generator), torch.ones(3, 336, 336)
    crop = torch.randn(3, 336, 336, generator=generator)
    image = model.see(sam, clip)
    reference = model.refer(image, crop, torch.tensor([0.1, 0.2, 0.5, 0.75]))
    vectors = torch.cat([image.tokens, reference]).to(model.language.inner.dtype)
    return model.draw(image, model.language(vectors[None])[0, -3:])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[MediRound, Path]:
    model = lively(compose(config(lora=4)))
    folder = tmp_path_factory.mktemp("whole")
    save_model(model, folder, {"made": "by a test"})
    return model, folder


def test_every_tensor_comes_back_as_it_was(saved: tuple[MediRound, Path]) -> None:
    model, folder = saved
    tensors = read_tensors(folder / TENSOR_FILE)
    assert len(tensors) == len(model.state_dict())
    assert not [name for name in tensors if "base_layer" in name or "default" in name]
    loaded = load_model(str(folder), device="cpu")
    assert loaded.name == "official-tiny"
    found, expected = drawn(loaded.model), drawn(model)
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-4, rtol=1e-4)
    assert not any(tensor.is_meta for tensor in loaded.model.state_dict().values())
    assert not any(buffer.is_meta for buffer in loaded.model.buffers())


@pytest.mark.parametrize(("dtype", "within"), [("bfloat16", 0.15), ("float16", 0.02)])
def test_other_types_compute_nearly_the_same(
    saved: tuple[MediRound, Path], dtype: str, within: float
) -> None:
    model, folder = saved
    loaded = load_model(str(folder), device="cpu", dtype=dtype).model
    assert loaded.dtype == loaded.language.inner.dtype == getattr(torch, dtype)
    exact = loaded.segmenter.state_dict()["prompts.shared_embedding.positional_embedding"]
    assert exact.dtype == torch.float32
    found, expected = drawn(loaded).logits.float(), drawn(model).logits
    assert (found - expected).abs().mean() <= within * expected.abs().mean()


def test_an_unknown_type_is_refused(saved: tuple[MediRound, Path]) -> None:
    with pytest.raises(ConfigError, match="dtype is 'int4'"):
        load_model(str(saved[1]), device="cpu", dtype="int4")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("missing", "1 missing .*0 unexpected"),
        ("unexpected", "0 missing .*1 unexpected .*odd"),
        ("shape", r"projection.layers.0.bias has shape \(3,\); expected \(64,\)"),
    ],
)
def test_what_does_not_fit_is_refused(
    saved: tuple[MediRound, Path], tmp_path: Path, change: str, said: str
) -> None:
    for file in saved[1].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = read_tensors(tmp_path / TENSOR_FILE)
    if change == "missing":
        del tensors["projection.layers.0.bias"]
    elif change == "unexpected":
        tensors["odd"] = torch.zeros(1)
    else:
        tensors["projection.layers.0.bias"] = torch.zeros(3)
    write_tensors(tmp_path / TENSOR_FILE, tensors, {})
    with pytest.raises(WeightsError, match=said):
        load_model(str(tmp_path), device="cpu")


@pytest.mark.parametrize("name", ["mediround-7b", "official-tiny"])
def test_a_preset_without_weights_says_how_to_get_some(name: str) -> None:
    with pytest.raises(WeightsError, match="comes without weights.*mediround weights import"):
        load_model(name, device="cpu")


def test_the_real_sizes_fit_together() -> None:
    with torch.device("meta"):
        model = compose(mediround_7b())
    count = sum(parameter.numel() for parameter in model.parameters())
    assert 7.6e9 < count < 7.8e9
    assert model.perception.image_tokens == 576
    assert model.perception.reference_form == (2,)
