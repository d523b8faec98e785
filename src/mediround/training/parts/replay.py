"""The pretrained model's own answers to plain questions, replayed so that it goes on talking.

Text of its own making is the one thing that asks for no change where none is wanted: the expected
gradient of the loss on it is zero until training has moved the model away from itself.
"""

import json
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from mediround.model.language_model import LanguageModel

_TEMPERATURE, _TOP_K, _LONGEST = 0.8, 40, 64


@cache
def plain_questions() -> tuple[str, ...]:
    """Questions that have nothing to do with an image."""
    text = resources.files("mediround.training.parts").joinpath("replay.toml").read_text("utf-8")
    return tuple(tomllib.loads(text)["questions"])


def replayed(language: LanguageModel, path: Path, seed: int, answers: int) -> list[tuple[str, str]]:
    """Questions with the model's answers, cut at 64 tokens; read from ``path`` if it exists.

    Args:
        language: before any training.
        path: JSON, written when it does not exist.
        seed: of the answers' sampling.
        answers: how many a question.
    """
    if path.exists():
        return [(question, answer) for question, answer in json.loads(path.read_text())]
    pairs: list[tuple[str, str]] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in tqdm(range(answers), desc="replay"):
            pairs += zip(plain_questions(), _answers(language, plain_questions()), strict=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(pairs))
    return pairs


@torch.inference_mode()
def _answers(language: LanguageModel, questions: Sequence[str]) -> list[str]:
    """One sampled answer to each, all at once."""
    writer = language.writer(0, ())
    prompts = [torch.tensor(writer.write([], question).ids) for question in questions]
    ids = pad_sequence(prompts, True, language.turn_end, "left")
    shown = pad_sequence([torch.ones_like(each) for each in prompts], True, 0, "left")
    found = language.inner.generate(  # type: ignore[misc]  # stubs: of the mixin's own self
        ids,
        attention_mask=shown,
        do_sample=True,
        temperature=_TEMPERATURE,
        top_k=_TOP_K,
        max_new_tokens=_LONGEST,
        eos_token_id=language.turn_end,
        pad_token_id=language.turn_end,
    )
    return [language.tokenizer.decode(each[ids.shape[1] :].tolist()).strip() for each in found]
