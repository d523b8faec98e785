"""Conversions: the same numbers in a safe format, and nothing executed on the way."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mediround.errors import WeightsError
from mediround.weights import Entry, Store
from mediround.weights.convert import ConversionError, convert_lite_medsam, convert_smollm2, main


def saved(value: object) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


class Attack:
    """A pickle that creates a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def test_a_state_dict_keeps_names_and_numbers(
    make_entry: Callable[..., Entry], store_of: Callable[[Entry], Store]
) -> None:
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(4, 3, generator=generator)
    state = {
        "encoder.weight": shared,
        "tied.weight": shared,
        "half": shared.half(),
        "transposed": shared.T,
        "num_batches_tracked": torch.tensor(7),
    }
    entry = make_entry({"pkg/w.pth": saved(state)}, wanted=("pkg/w.pth",), converter="lite-medsam")
    store = store_of(entry)
    folder = store.pull("fake")
    assert {f.name for f in folder.iterdir()} == {"model.safetensors", "manifest.json"}
    converted = load_file(folder / "model.safetensors")
    assert set(converted) == set(state)
    for name, tensor in state.items():
        expected = tensor.float() if tensor.is_floating_point() else tensor
        assert torch.equal(converted[name], expected)
        assert converted[name].dtype == expected.dtype
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == 0o644


def test_a_malicious_pickle_is_refused_and_not_executed(
    tmp_path: Path, make_entry: Callable[..., Entry], store_of: Callable[[Entry], Store]
) -> None:
    executed = tmp_path / "executed"
    attack = saved({"weight": Attack(executed)})
    # The attack works on a loader without protection, or this test would prove nothing.
    torch.load(io.BytesIO(attack), weights_only=False)
    assert executed.exists()
    executed.unlink()
    entry = make_entry({"pkg/w.pth": attack}, wanted=("pkg/w.pth",), converter="lite-medsam")
    store = store_of(entry)
    with pytest.raises(WeightsError, match="no plain PyTorch state dict"):
        store.pull("fake")
    assert not executed.exists()
    assert store.status("fake").state == "missing"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        pickle.dumps(7, protocol=2),
        saved([1]),
        saved({}),
        saved({"a": 1}),
        saved({"a": {}}),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(ConversionError, match=r"w\.pth"):
        convert_lite_medsam(tmp_path, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_missing_source_is_one_line_of_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lite-medsam", str(tmp_path), str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith('{"conversion_error": "found 0 files *.pth')


def write_tiny_gguf(file: Path, tokens: list[str]) -> dict[str, np.ndarray]:
    """A Llama of one layer with SmolLM2's kind of tokenizer; returns its tensors."""
    width, heads, hidden = 16, 2, 24
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control if t.startswith("<|") else normal for t in tokens])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    rng = np.random.default_rng(0)
    shapes = {
        "token_embd.weight": (len(tokens), width),
        "output_norm.weight": (width,),
        "blk.0.attn_norm.weight": (width,),
        "blk.0.ffn_norm.weight": (width,),
        **{f"blk.0.attn_{part}.weight": (width, width) for part in ("q", "k", "v", "output")},
        "blk.0.ffn_gate.weight": (hidden, width),
        "blk.0.ffn_up.weight": (hidden, width),
        "blk.0.ffn_down.weight": (width, hidden),
    }
    tensors = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def alphabet() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return [*sorted(ByteLevel.alphabet()), "ab"]


def test_a_gguf_becomes_a_folder_that_transformers_loads(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    source.mkdir()
    destination.mkdir()
    tensors = write_tiny_gguf(source / "tiny.gguf", [*SPECIAL, *alphabet()])
    convert_smollm2(source, destination)

    state = load_file(destination / "model.safetensors")
    embedding = state["model.embed_tokens.weight"]
    assert embedding.dtype == torch.bfloat16
    assert torch.equal(embedding, torch.from_numpy(tensors["token_embd.weight"]).bfloat16())
    down = torch.from_numpy(tensors["blk.0.ffn_down.weight"]).bfloat16()
    assert torch.equal(state["model.layers.0.mlp.down_proj.weight"], down)
    assert "lm_head.weight" not in state, "tied to the embedding"

    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(destination)
    assert tokenizer.encode("<|im_start|>", add_special_tokens=False) == [1]
    pieces = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("a  12")
    assert [piece for piece, _ in pieces] == ["a", "ĠĠ", "1", "2"]
    model = AutoModelForCausalLM.from_pretrained(destination)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[1, 5, 9]])).logits
    assert logits.shape == (1, 3, len(SPECIAL) + 257)
    assert torch.isfinite(logits).all()


def test_a_tokenizer_without_chat_markers_is_refused(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "tiny.gguf", ["<|endoftext|>", "<|a|>", "<|b|>", *alphabet()])
    with pytest.raises(ConversionError, match=r"splits <\|im_start\|> into"):
        convert_smollm2(tmp_path, tmp_path)
