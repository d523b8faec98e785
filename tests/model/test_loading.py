from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors
import torch
from torch import Tensor

from mediround import weights
from mediround.config import ModelConfig
from mediround.errors import (
    ConfigError,
    InputError,
    ModelNotFoundError,
    OutputError,
    WeightsError,
)
from mediround.model import loading
from mediround.model.checkpoint import load_exactly, load_lite_medsam, read_tensors, write_tensors
from mediround.model.folder import CONFIG_FILE, TENSOR_FILE, save_model
from mediround.model.kv_cache import KeyValueCache
from mediround.model.language_model import LanguageModel
from mediround.model.loading import load_model
from mediround.model.mask_decoder import MaskDecoder
from mediround.model.mediround import MediRound
from mediround.model.packed_linear import is_packed
from mediround.model.position import PositionCode
from mediround.model.segmenter import Segmenter
from mediround.model.vision_encoder import TinyVit
from mediround.presets import PRESETS

Spoil = Callable[[dict[str, Tensor]], object]


@pytest.fixture
def folder(tmp_path: Path, tiny: MediRound) -> Path:
    save_model(tiny, tmp_path / "model", {"note": "made by a test"})
    return tmp_path / "model"


@torch.inference_mode()
def answer(model: MediRound) -> tuple[tuple[int, ...], Tensor, Tensor]:
    image = model.see(torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(2)))
    vectors = model.embed(model.prompter.write([], "Segment the liver."), image.tokens, {})
    said = model.say(vectors, KeyValueCache(), 8)
    states = torch.cat([said.states, model.language(vectors[None])[0, -2:]])
    drawn = model.draw(image, states)
    return said.ids, drawn.logits, drawn.scores


def test_a_saved_model_answers_as_the_one_that_was_saved(folder: Path, tiny: MediRound) -> None:
    original = loading.compose(tiny.config).eval().requires_grad_(False)
    trained = dict(tiny.named_parameters())
    for name in read_tensors(folder / TENSOR_FILE):
        original.get_parameter(name).copy_(trained[name].half())
    torch.manual_seed(99)
    loaded = load_model(str(folder), device="cpu").model
    ids, logits, scores = answer(original)
    found_ids, found_logits, found_scores = answer(loaded)
    assert found_ids == ids
    torch.testing.assert_close(found_logits, logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found_scores, scores, atol=1e-4, rtol=1e-4)


def test_loading_twice_gives_equal_models_and_leaves_the_random_state(folder: Path) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one, other = (load_model(str(folder), device="cpu") for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert one.sha256 == other.sha256
    assert one.name == "tiny"
    mine, theirs = one.model.state_dict(), other.model.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_the_preset_is_random_but_always_the_same() -> None:
    torch.manual_seed(5)
    one = load_model("tiny", device="cpu")
    torch.manual_seed(6)
    other = load_model("tiny", device="cpu")
    assert one.sha256 == other.sha256
    assert not any(p.requires_grad for p in one.model.parameters())
    assert not one.model.training


def test_trained_tensors_and_only_these_are_written_in_half_precision(folder: Path) -> None:
    with safetensors.safe_open(folder / TENSOR_FILE, "pt") as file:
        assert file.metadata()["note"] == "made by a test"
        names = set(file.keys())
        assert {file.get_tensor(name).dtype for name in names} == {torch.float16}
    parts = """
        perception.image perception.reference projection judge language.seg_in language.seg_out
        segmenter.decoder segmenter.no_mask segmenter.vision.neck segmenter.vision.layers.3
        language.inner.model
    """
    for part in parts.split():
        assert any(name.startswith(part) for name in names), part
    assert all("lora_" in name for name in names if name.startswith("language.inner"))
    assert not any("running_" in name or "vision.layers.2" in name for name in names)
    assert ModelConfig.from_json((folder / CONFIG_FILE).read_text()) == PRESETS["tiny"]()


def drop(name: str) -> Spoil:
    return lambda tensors: tensors.pop(name)


def put(name: str, tensor: Tensor) -> Spoil:
    return lambda tensors: tensors.update({name: tensor})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (drop("projection.layers.0.weight"), r"missing \['projection.layers.0.weight'\]"),
        (drop("language.seg_out"), "missing"),
        (drop("segmenter.no_mask"), "missing"),
        (put("extra", torch.zeros(1)), r"unexpected \['extra'\]"),
        (put("segmenter.vision.patch_embed.seq.0.c.weight", torch.zeros(1)), "unexpected"),
        (put("language.seg_in", torch.zeros(3)), r"language.seg_in has shape \(3,\)"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(folder: Path, spoil: Spoil, said: str) -> None:
    tensors = read_tensors(folder / TENSOR_FILE)
    spoil(tensors)
    write_tensors(folder / TENSOR_FILE, tensors, {})
    with pytest.raises(WeightsError, match=said):
        load_model(str(folder), device="cpu")


def test_a_damaged_tensor_file_is_refused(folder: Path) -> None:
    path = folder / TENSOR_FILE
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(WeightsError, match="cannot be read"):
        load_model(str(folder), device="cpu")


def test_a_configuration_of_another_size_is_refused(folder: Path) -> None:
    stored = json.loads((folder / CONFIG_FILE).read_text())
    stored["perception"]["inner"] += 1
    (folder / CONFIG_FILE).write_text(json.dumps(stored))
    with pytest.raises(WeightsError, match="has shape"):
        load_model(str(folder), device="cpu")


def test_a_damaged_configuration_is_refused(folder: Path) -> None:
    (folder / CONFIG_FILE).write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        load_model(str(folder), device="cpu")
    (folder / CONFIG_FILE).write_bytes(b"\xff")
    with pytest.raises(WeightsError, match="config.json cannot be read"):
        load_model(str(folder), device="cpu")


@pytest.mark.parametrize("name", ["", "huge", "/nowhere", "tiny.safetensors"])
def test_an_unknown_model_is_said_to_be_unknown(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="one of mediround-7b, nano, official-tiny, tiny"):
        load_model(name and str(tmp_path / name), device="cpu")


def test_half_a_model_folder_is_none(folder: Path) -> None:
    (folder / TENSOR_FILE).unlink()
    with pytest.raises(ModelNotFoundError):
        load_model(str(folder), device="cpu")


def test_a_trained_preset_without_its_tensors_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediround.model.folder.resources.files", lambda package: tmp_path)
    with pytest.raises(WeightsError, match="no trained weights of 'nano'"):
        load_model("nano", device="cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", ""])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(InputError, match="cannot be used here"):
        load_model("tiny", device=device)


def test_a_merged_model_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="merged"):
        save_model(load_model("tiny", device="cpu").model, tmp_path / "model", {})
    assert not (tmp_path / "model").exists()


def test_values_beyond_half_precision_cannot_be_saved(
    tmp_path: Path, make_model: Callable[[], MediRound]
) -> None:
    model = make_model()
    assert isinstance(model.language, LanguageModel)
    model.language.seg_in[3] = 1e6
    with pytest.raises(WeightsError, match="language.seg_in"):
        save_model(model, tmp_path, {})


def test_a_file_in_the_way_is_an_output_error(tmp_path: Path, tiny: MediRound) -> None:
    (tmp_path / "model").write_text("")
    with pytest.raises(OutputError):
        save_model(tiny, tmp_path / "model", {})


@pytest.fixture
def lite_medsam(tmp_path: Path, tiny: MediRound) -> Path:
    """A file with the original's key names, of the tiny size."""
    tensors = {f"image_encoder.{k}": v for k, v in segmenter_of(tiny).vision.state_dict().items()}
    for name, tensor in segmenter_of(tiny).decoder.state_dict().items():
        for index in range(4):
            own = name.replace("output_hypernetwork.", f"output_hypernetworks_mlps.{index}.")
            tensors[f"mask_decoder.{own}"] = tensor if index == 0 or own == name else tensor + 1
    matrix = segmenter_of(tiny).position.positional_encoding_gaussian_matrix
    tensors["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"] = matrix
    tensors["prompt_encoder.no_mask_embed.weight"] = torch.full((1, 16), 3.0)
    for index in range(4):
        tensors[f"prompt_encoder.point_embeddings.{index}.weight"] = torch.full(
            (1, 16), index * 1.0
        )
    write_tensors(tmp_path / TENSOR_FILE, tensors, {})
    return tmp_path / TENSOR_FILE


def segmenter_of(model: MediRound) -> Segmenter:
    assert isinstance(model.segmenter, Segmenter)
    return model.segmenter


def parts(config: ModelConfig) -> tuple[TinyVit, MaskDecoder, PositionCode]:
    return TinyVit(config.tiny_vit), MaskDecoder(config.decoder), PositionCode(config.vision.out)


def test_pretrained_parts_are_filled_from_the_originals_names(
    lite_medsam: Path, tiny: MediRound
) -> None:
    encoder, decoder, position = parts(tiny.config)
    no_mask, corners = load_lite_medsam(lite_medsam, encoder, decoder, position)
    assert no_mask.tolist() == [3.0] * 16
    assert corners.tolist() == [[2.0] * 16, [3.0] * 16]
    pairs = (
        (encoder, segmenter_of(tiny).vision),
        (decoder, segmenter_of(tiny).decoder),
        (position, segmenter_of(tiny).position),
    )
    for mine, theirs in pairs:
        expected = theirs.state_dict()
        assert all(torch.equal(v, expected[k]) for k, v in mine.state_dict().items())


def test_a_pretrained_file_that_lacks_a_tensor_is_refused(
    lite_medsam: Path, tiny: MediRound
) -> None:
    tensors = read_tensors(lite_medsam)
    del tensors["image_encoder.neck.0.weight"]
    write_tensors(lite_medsam, tensors, {})
    with pytest.raises(WeightsError, match="image encoder do not fit: 1 missing"):
        load_lite_medsam(lite_medsam, *parts(tiny.config))


def test_a_composition_takes_what_its_source_holds(
    lite_medsam: Path, tiny: MediRound, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "path", lambda name: {"original": lite_medsam.parent}[name])
    model = loading.compose(dataclasses.replace(tiny.config, vision_source="original"))
    assert segmenter_of(model).no_mask.tolist() == [3.0] * 16
    stem = "patch_embed.seq.0.c.weight"
    expected = segmenter_of(tiny).vision.state_dict()[stem]
    assert torch.equal(segmenter_of(model).vision.state_dict()[stem], expected)


def test_every_key_is_accounted_for(tiny: MediRound) -> None:
    state = {name: tensor.clone() for name, tensor in tiny.judge.state_dict().items()}
    fresh = type(tiny.judge)(tiny.config.decoder)
    load_exactly(fresh, state, "judge")
    assert all(torch.equal(state[k], v) for k, v in fresh.state_dict().items())
    first = next(iter(state))
    spoiled = {k: v for k, v in state.items() if k != first} | {"odd": torch.zeros(1)}
    with pytest.raises(WeightsError, match="1 missing .*1 unexpected .*0 of another shape"):
        load_exactly(fresh, spoiled, "judge")
    with pytest.raises(WeightsError, match="1 of another shape"):
        load_exactly(fresh, state | {first: torch.zeros(2, 2)}, "judge")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"x": torch.arange(3)}, {})

    def full(tensors: object, to: Path, metadata: object) -> None:
        to.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mediround.model.checkpoint.save_file", full)
    with pytest.raises(OutputError, match="a.safetensors cannot be written .*No space left"):
        write_tensors(path, {"x": torch.zeros(3)}, {})
    assert read_tensors(path)["x"].tolist() == [0, 1, 2]
    assert [each.name for each in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize(
    ("able", "asked", "computed"),
    [
        ({}, None, torch.float32),
        ({"avx512_bf16": False}, None, torch.float32),
        ({"avx512_bf16": True}, None, torch.bfloat16),
        ({"amx_bf16": True}, None, torch.bfloat16),
        ({}, "bfloat16", torch.bfloat16),
    ],
)
@torch.inference_mode()
def test_a_processor_without_16_bits_computes_in_32_unless_told_otherwise(
    tiny: MediRound,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    able: dict[str, bool],
    asked: str | None,
    computed: torch.dtype,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    whole = loading.compose(dataclasses.replace(tiny.config, dtype="bfloat16"))
    save_model(whole, tmp_path / "model", {})
    model = load_model(str(tmp_path / "model"), device="cpu", dtype=asked).model
    assert model.dtype == model.language.inner.dtype == computed
    assert is_packed(model.language) == any(able.values())
    assert model.config.dtype == "bfloat16"
    ids, logits, _ = answer(model)
    assert len(ids) > 0
    assert logits.isfinite().all()
