"""Recorded dialogues of the official code as samples for our model."""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage
from safetensors.torch import load_file
from torch import Tensor

from mediround.config import CorrectionConfig, MistralConfig, ModelConfig
from mediround.model.loading import compose
from mediround.model.mediround import MediRound
from mediround.model.official.keys import to_ours
from mediround.model.official.reference import annotated_reference, file_mask
from mediround.model.official.sample import Sample, prepare
from mediround.presets import official_tiny
from mediround.prompt import IMAGE_KEY, Prompt, Slot
from mediround.quirks import OfficialQuirks

OFFICIAL = OfficialQuirks.all()
DIALOGUES = (
    "A_one_round",
    "B_three_rounds_back_to_first",
    "C_five_rounds_mixed",
    "D_four_rounds_chain",
)
TEMPLATES = ("mistral_instruct", "llava_v1")
IMAGE_TOKENS = 576


def official_config(*, lora: bool = False) -> ModelConfig:
    """The recorded model: corrections as published, every quirk on."""
    config = dataclasses.replace(
        official_tiny(),
        correction=CorrectionConfig(judge="paper", corrector=True, keep="corrected"),
        quirks=OFFICIAL,
    )
    assert isinstance(config.language, MistralConfig)
    adapted = dataclasses.replace(config.language, lora_rank=8, lora_alpha=16)
    return dataclasses.replace(config, language=adapted) if lora else config


def official_model(golden: Path, *, lora: bool = False) -> MediRound:
    """With the recorded weights, in evaluation mode."""
    model = compose(official_config(lora=lora), golden / "models" / "llm_tiny")
    tensors = load_file(golden / "checkpoints" / "plain_stage2.safetensors")
    if lora:
        own = load_file(golden / "checkpoints" / "lora_r8_stage2.lora_only.safetensors")
        tensors |= {name.removeprefix("base_model.model."): each for name, each in own.items()}
    ours = {to_ours(name): each for name, each in tensors.items()}
    if lora:
        for name in list(ours):
            adapted = name.removesuffix(".weight") + ".base_layer.weight"
            if adapted in model.state_dict():
                ours[adapted] = ours.pop(name)
    model.load_state_dict(ours)
    _remember_images(model)
    return model.eval()


def _remember_images(model: MediRound) -> None:
    """Four images, seen in dozens of tests: the encoder is by far the dearest part."""
    original, known = model.segmenter.trunk, dict[bytes, Tensor]()

    def trunk(pixels: Tensor) -> Tensor:
        found = []
        for each in pixels:
            key = each[:, ::8, ::8].numpy().tobytes()
            if key not in known:
                known[key] = original(each[None]).detach()
            found.append(known[key].clone())
        return torch.cat(found)

    model.segmenter.trunk = trunk  # type: ignore[method-assign]


def values(golden: Path, name: str) -> Any:
    """A recorded JSON file."""
    return json.loads((golden / "golden" / name).read_text())


def arrays(golden: Path, name: str) -> dict[str, NDArray[Any]]:
    """A recorded file of arrays."""
    with np.load(golden / "golden" / name) as file:
        return {key: file[key] for key in file.files}


def masks(bits: NDArray[np.uint8], shape: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Packed masks -> bool (n, H, W)."""
    count, rows, columns = (int(side) for side in shape)
    flat = np.unpackbits(bits, axis=1, count=rows * columns).astype(bool)
    return flat.reshape(count, rows, columns)


def recorded_prompt(golden: Path, dialogue: str, template: str) -> Prompt:
    """The recorded ids and labels."""
    text = values(golden, f"{dialogue}/text.json")[template]
    ids, said = list[int](), list[int]()
    slots, seg = list[Slot](), list[tuple[int, int]]()
    for token, label in zip(text["input_ids"], text["labels"], strict=True):
        if token == -200:
            slots.append(Slot(IMAGE_KEY, len(ids), IMAGE_TOKENS))
            ids += [0] * IMAGE_TOKENS
            continue
        if token == 482:
            slots.append(Slot(len(slots), len(ids), 2))
        if token == 480:
            seg.append((len(ids), len(seg) + 1))
        if label != -100:
            assert label == token
            said.append(len(ids))
        ids.append(token)
    return Prompt(tuple(ids), tuple(slots), tuple(seg), tuple(said))


@cache
@torch.inference_mode(mode=False)
def sample(golden: Path, dialogue: str, template: str = "mistral_instruct") -> Sample:
    """A recorded dialogue with its annotated references and targets.

    Kept between tests, so made outside inference mode: whoever asks first, all may train on it.
    """
    folder = golden / "data"
    (record,) = json.loads((folder / f"{dialogue}.json").read_text())
    picture = np.asarray(PillowImage.open(folder / _image(record)).convert("RGB"))
    shown, wanted = [], []
    for turn in record["conversations"]:
        for kind, path in _brackets(turn["value"]):
            gray = np.asarray(PillowImage.open(folder / path).convert("L")) if "/" in path else None
            if kind == "MASK-ENCODE":
                assert gray is not None
                shown.append(annotated_reference(picture, gray, quirks=OFFICIAL))
            if kind == "MASK-DECODE":
                assert gray is not None
                wanted.append(file_mask(gray, OFFICIAL))
    prompt = recorded_prompt(golden, dialogue, template)
    return prepare(official_config(), picture, prompt, shown, wanted)


def refers(golden: Path, dialogue: str) -> list[tuple[int, int]]:
    """For every question the round and the slot that it refers to."""
    found = values(golden, f"{dialogue}/text.json")["mistral_instruct"]["round_and_image_ids"]
    return [(place, slot) for place, slot in found]


def _brackets(value: str) -> list[tuple[str, str]]:
    parts = [part.split("]")[0] for part in value.split("[")[1:]]
    return [(kind, path) for kind, _, path in (part.partition(":") for part in parts)]


def _image(record: dict[str, Any]) -> str:
    return _brackets(record["conversations"][0]["value"])[0][1]
