"""Does the language model still talk? Perplexity and answers, with and without the adapter.

    python -m benchmarks.conversation --model nano

Three ways to compute the same: the pretrained model (*base*), the trained one (*on*), and the
trained one with its adapter switched off (*off*), as ``session.ask(…, adapter=False)`` does.
Measured are the perplexity of general text (descriptions of the installed packages), that of plain
chat (the base model's own answers to 100 plain questions, none of them used in training), and how
the answers differ: equal ones, length of the common beginning, answers with ``[SEG]`` in them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import distributions
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from benchmarks import record
from tqdm import tqdm

from mediround.dialogue import Round
from mediround.errors import ConfigError
from mediround.model.kv_cache import KeyValueCache
from mediround.model.loading import compose, load_model
from mediround.model.roles import LanguageRole

QUESTIONS = Path(__file__).with_name("plain_questions.txt")
BAR = 1.03
"""Most that perplexity of plain chat may be, as a multiple of the base model's."""


@dataclass(frozen=True)
class Speaker:
    """One way to compute.

    Attributes:
        language: merged, or fresh.
        context: entered around every pass.
        seg: whether ``[SEG]`` is one of its words.
    """

    language: LanguageRole
    context: Callable[[], AbstractContextManager[Any]]
    seg: bool

    @torch.inference_mode()
    def scores(self, ids: Sequence[int], cache: KeyValueCache | None = None) -> torch.Tensor:
        """Log probabilities (N, ids) of what follows each position."""
        language = self.language
        with self.context():
            vectors = language.embed(torch.tensor(list(ids), device=language.device))
            logits = language.logits(language(vectors[None], cache)[0])
        if not self.seg:
            logits[:, language.seg] = -torch.inf
        return logits.log_softmax(-1)


def general_text(most: int) -> str:
    """Prose that comes with the installed packages; never any of this project's own."""
    texts = []
    for each in sorted(distributions(), key=lambda found: str(found.metadata["Name"])):
        if str(each.metadata["Name"]).lower() == "mediround":
            continue
        body = each.read_text("METADATA") or ""
        _, _, description = body.partition("\n\n")
        lines = [line.strip() for line in description.splitlines()]
        # Markup, code and tables are no prose.
        texts += [
            line for line in lines if len(line) > 80 and line[0].isalpha() and "|" not in line
        ]
    return "\n".join(texts)[:most]


def perplexity(speaker: Speaker, pieces: Sequence[tuple[Sequence[int], Sequence[int]]]) -> float:
    """Of the supervised positions of each (ids, positions)."""
    total, count = 0.0, 0
    for ids, places in pieces:
        wanted = torch.tensor([ids[place] for place in places], device=speaker.language.device)
        before = torch.tensor([place - 1 for place in places])
        found = F.nll_loss(speaker.scores(ids)[before], wanted, reduction="sum")
        total, count = total + float(found), count + len(places)
    return math.exp(total / count)


def windows(ids: Sequence[int], length: int) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """Whole windows of ``length`` ids; all but the first of each counts."""
    for start in range(0, len(ids) - length + 1, length):
        yield ids[start : start + length], range(1, length)


def answer(speaker: Speaker, question: str, longest: int) -> list[int]:
    """Greedy, without the end of turn."""
    cache, said = KeyValueCache(), list[int]()
    new = list(speaker.language.writer(0, (2,)).write([], question).ids)
    for _ in range(longest):
        token = int(speaker.scores(new, cache)[-1].argmax())
        if token == speaker.language.turn_end:
            break
        said.append(token)
        new = [token]
    return said


def chat(language: LanguageRole, question: str, said: str) -> tuple[Sequence[int], Sequence[int]]:
    """Ids of a question with its answer, and the answer's positions."""
    prompt = language.writer(0, (2,)).write([Round(query=question, text=said)])
    return prompt.ids, prompt.supervised


def measure(name: str, questions: Sequence[str], longest: int, text: int) -> dict[str, Any]:
    """All numbers, by speaker."""
    trained = load_model(name).model
    if trained.config.whole:
        raise ConfigError(
            f"{name!r} holds its language model itself", expected="one that names a pretrained one"
        )
    base = compose(trained.config).language
    base.eval().requires_grad_(False)
    speakers: Mapping[str, Speaker] = {
        "base": Speaker(base, nullcontext, seg=False),
        "on": Speaker(trained.language, nullcontext, seg=True),
        "off": Speaker(trained.language, trained.language.plain, seg=False),
    }
    ids = base.tokenizer.encode(general_text(text))
    general = list(windows(ids, 256))
    own = [answer(speakers["base"], question, longest) for question in tqdm(questions, "base")]
    spoken = [base.tokenizer.decode(each).strip() for each in own]
    talks = [chat(base, q, s) for q, s in zip(questions, spoken, strict=True) if s]
    found: dict[str, Any] = {"general tokens": sum(len(p) for _, p in general)}
    for key, speaker in speakers.items():
        said = (
            own
            if key == "base"
            else [answer(speaker, question, longest) for question in tqdm(questions, key)]
        )
        shared = [
            len(list(takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False))))
            for a, b in zip(said, own, strict=True)
        ]
        found[key] = {
            "general": perplexity(speaker, general),
            "chat": perplexity(speaker, talks),
            "equal": sum(a == b for a, b in zip(said, own, strict=True)) / len(own),
            "shared tokens": sum(shared) / len(shared),
            "drawing": sum(speaker.language.seg in each for each in said) / len(said),
            "answers": [base.tokenizer.decode([t for t in s if t != speaker.language.seg])
                        for s in said[:10]],
        }  # fmt: skip
    return found


def table(found: Mapping[str, Any], questions: int) -> str:
    """Markdown."""
    base = found["base"]
    lines = [
        f"| | general text ({found['general tokens']} tokens) | plain chat | equal answers of "
        f"{questions} | tokens in common | answers with a mask |",
        "|---|---|---|---|---|---|",
    ]
    for key in ("base", "on", "off"):
        each = found[key]
        change = [each[name] / base[name] - 1 for name in ("general", "chat")]
        lines.append(
            f"| {key} | {each['general']:.2f} ({change[0]:+.1%}) | {each['chat']:.3f} "
            f"({change[1]:+.1%}) | {each['equal']:.2f} | {each['shared tokens']:.1f} | "
            f"{each['drawing']:.2f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano", help="a preset with weights, or a model folder")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=24, help="of an answer, at most")
    parser.add_argument("--characters", type=int, default=60_000, help="of general text")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = parser.parse_args(arguments)
    questions = QUESTIONS.read_text().splitlines()[: chosen.questions]
    found = measure(chosen.model, questions, chosen.tokens, chosen.characters)
    print(table(found, len(questions)))
    for key in ("on", "off"):
        ratio = found[key]["chat"] / found["base"]["chat"]
        print(
            f"{key}: plain chat {ratio:.3f} of base, bar {BAR}: {'yes' if ratio <= BAR else 'no'}"
        )
    settings = {"model": chosen.model, "questions": len(questions), "tokens": chosen.tokens}
    path = record.write(chosen.out, "conversation", record.about("conversation") | settings | found)
    print(path)


if __name__ == "__main__":
    main()
