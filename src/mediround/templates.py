"""Prompts of weights trained with the official code: its two chat templates and its ids.

``mistral_instruct``::

    <s>[INST] <image>⏎ question [/INST] answer </s>[INST] question [/INST] answer </s>

``llava_v1``::

    <s>preamble USER: <image>⏎ question ASSISTANT: answer</s>USER: question ASSISTANT: answer</s>

Where a question says ``[n]`` stand two positions, the crop and the box of that mask; where an
answer says ``[n]`` stands ``[SEG]``. Text between such tokens is cut into ids by itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mediround.dialogue import MARKER, Round, markers
from mediround.prompt import IMAGE_KEY, Prompt, Slot
from mediround.quirks import OfficialQuirks

IMAGE_ID = -200
"""Stands for all positions of the image in official ids."""
IGNORED = -100
"""Label of a position that the model does not learn to say."""
IMAGE_TOKENS = 576
"""Patches of a 336 x 336 image, 14 x 14 pixels each."""


class OfficialTokens(Protocol):
    """What the templates need of a tokenizer."""

    bos: int
    eos: int
    unk: int
    seg: int
    box: int
    crop: int

    @property
    def special(self) -> dict[str, int]:
        """Name -> id of everything that is a token and not text."""

    def encode(self, text: str) -> list[int]:
        """Ids of plain text, which begins with the dummy space."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; the dummy space is kept."""


@dataclass(frozen=True)
class Template:
    """What stands around questions and answers.

    Attributes:
        name: as the official option ``conv_type`` calls it.
        preamble: before the first question.
        asks: before every question.
        answers: between a question and its answer; the answer follows after one space.
        closes: between an answer and the end of its turn.
    """

    name: str
    preamble: str
    asks: str
    answers: str
    closes: str


MISTRAL_INSTRUCT = Template("mistral_instruct", "", "[INST] ", " [/INST]", " ")
LLAVA_V1 = Template(
    "llava_v1",
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the human's questions. ",
    "USER: ",
    " ASSISTANT:",
    "",
)
TEMPLATES = {template.name: template for template in (MISTRAL_INSTRUCT, LLAVA_V1)}


class OfficialPrompter:
    """Writes prompts like the official code; has the interface of ``mediround.prompt.Prompter``.

    Args:
        tokenizer: with the three added tokens.
        template: the one that the weights were trained with.
        image_tokens: positions that stand for the image.
        quirks: of these, ``unk_in_text_is_padding``.
    """

    reference_tokens = 2

    def __init__(
        self,
        tokenizer: OfficialTokens,
        template: Template = MISTRAL_INSTRUCT,
        image_tokens: int = IMAGE_TOKENS,
        quirks: OfficialQuirks | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.template = template
        self.image_tokens = image_tokens
        self.quirks = quirks or OfficialQuirks()

    def write(self, rounds: Sequence[Round], query: str | None = None) -> Prompt:
        """The prompt of finished ``rounds`` and, if given, an open ``query`` to be answered."""
        draft = _Draft(self)
        for each in rounds:
            draft.ask(each.query)
            draft.answer(each.text, {e.id for e in each.entities if e.mask is not None})
            draft.close()
        if query is not None:
            draft.ask(query)
            draft.flush()
        return draft.prompt()

    def answer(self, text: str, first_entity: int) -> tuple[int, ...]:
        """Ids of an answer up to its end of turn; its targets count from ``first_entity``."""
        draft = _Draft(self)
        draft.pending = self.template.answers
        draft.mark()
        draft.answer(text, {n for n in markers(text) if n >= first_entity})
        draft.pending += self.template.closes
        draft.flush()
        return tuple(draft.ids[draft.supervised[0] :]) if draft.supervised else ()

    def text(self, ids: Sequence[int], first_entity: int) -> str:
        """Text of a generated answer; ``[SEG]`` becomes ``[n]``, counted from ``first_entity``."""
        parts: list[str] = []
        run: list[int] = []
        number = first_entity
        for token in ids:
            if token != self.tokenizer.seg:
                run.append(token)
                continue
            parts += [self.tokenizer.decode(run).removeprefix(" "), f"[{number}]"]
            run, number = [], number + 1
        parts.append(self.tokenizer.decode(run).removeprefix(" "))
        return "".join(parts).strip()


class _Draft:
    """Ids so far, and the text behind them that is not cut yet."""

    def __init__(self, prompter: OfficialPrompter) -> None:
        self.prompter, self.tokens = prompter, prompter.tokenizer
        self.ids: list[int] = [prompter.tokenizer.bos]
        self.slots: list[Slot] = []
        self.seg: list[tuple[int, int]] = []
        self.supervised: list[int] = []
        self.pending = prompter.template.preamble
        self.answering = False
        self.boundary: int | None = None

    def ask(self, query: str) -> None:
        self.pending += self.prompter.template.asks
        if not self.slots:
            self._slot(IMAGE_KEY, [self.tokens.unk] * self.prompter.image_tokens)
            self.pending += "\n "
        end = 0
        for found in MARKER.finditer(query):
            self.pending += query[end : found.start()]
            self._slot(int(found.group(1)), [self.tokens.crop, self.tokens.box])
            end = found.end()
        self.pending += query[end:] + self.prompter.template.answers
        self.mark()

    def mark(self) -> None:
        """What follows is said by the model."""
        self.boundary = len(self.pending)

    def answer(self, text: str, targets: Set[int]) -> None:
        self.pending += " "
        end = 0
        for found in MARKER.finditer(text):
            number = int(found.group(1))
            if number in targets:
                self.pending += text[end : found.start()]
                self.flush()
                self.seg.append((len(self.ids), number))
                self._said([self.tokens.seg])
                end = found.end()
        self.pending += text[end:]

    def close(self) -> None:
        self.pending += self.prompter.template.closes
        self.flush()
        self._said([self.tokens.eos])
        self.answering = False

    def flush(self) -> None:
        """Cut the pending text; ids that belong to the answer are supervised."""
        ids = self._encode(self.pending)
        asked = 0 if self.answering else len(ids)
        if self.boundary is not None:
            asked = _shared(self._encode(self.pending[: self.boundary]), ids)
            self.answering = True
        self.pending, self.boundary = "", None
        self.ids += ids[:asked]
        self._said(ids[asked:])

    def prompt(self) -> Prompt:
        return Prompt(tuple(self.ids), tuple(self.slots), tuple(self.seg), tuple(self.supervised))

    def _said(self, ids: list[int]) -> None:
        self.supervised += range(len(self.ids), len(self.ids) + len(ids))
        self.ids += ids

    def _slot(self, key: int, placeholders: list[int]) -> None:
        self.flush()
        self.slots.append(Slot(key, len(self.ids), len(placeholders)))
        self.ids += placeholders

    def _encode(self, text: str) -> list[int]:
        if not self.prompter.quirks.unk_in_text_is_padding:
            return self.tokens.encode(text)
        special = self.tokens.special
        ids: list[int] = []
        for part in re.split(f"({'|'.join(map(re.escape, special))})", text):
            ids += [special[part]] if part in special else self.tokens.encode(part)
        return ids


def _shared(left: Sequence[int], right: Sequence[int]) -> int:
    """How many ids both begin with."""
    for place, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return place
    return min(len(left), len(right))


def input_ids(prompt: Prompt) -> list[int]:
    """Official ids: like the prompt's, but the image is the one id -200."""
    ids: list[int] = list(prompt.ids)
    for slot in prompt.slots:
        if slot.key == IMAGE_KEY:
            ids[slot.start : slot.start + slot.length] = [IMAGE_ID]
    return ids


def labels(prompt: Prompt) -> list[int]:
    """Official labels, one for every official id: the id where supervised, else -100."""
    said = set(prompt.supervised)
    found = [token if place in said else IGNORED for place, token in enumerate(prompt.ids)]
    for slot in prompt.slots:
        if slot.key == IMAGE_KEY:
            found[slot.start : slot.start + slot.length] = [IGNORED]
    return found


@dataclass(frozen=True)
class Padded:
    """Prompts of a batch side by side, padded at their ends.

    Attributes:
        input_ids: int64 (B, L); padding is ``<unk>``.
        labels: int64 (B, L); -100 where nothing is learned.
        attention: bool (B, L); False on padding.
    """

    input_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    attention: NDArray[np.bool_]


def pad(prompts: Sequence[Prompt], padding: int, quirks: OfficialQuirks | None = None) -> Padded:
    """Official ids, labels and attention of ``prompts``; ``padding`` is the id of ``<unk>``."""
    rows = [(input_ids(prompt), labels(prompt)) for prompt in prompts]
    shape = (len(rows), max(len(ids) for ids, _ in rows))
    batch = Padded(
        np.full(shape, padding, np.int64), np.full(shape, IGNORED, np.int64), np.zeros(shape, bool)
    )
    for row, (ids, wanted) in enumerate(rows):
        batch.input_ids[row, : len(ids)] = ids
        batch.labels[row, : len(ids)] = wanted
        batch.attention[row, : len(ids)] = True
        if quirks is not None and quirks.unk_in_text_is_padding and padding in ids:
            batch.attention[row] = batch.input_ids[row] != padding
            batch.labels[row] = IGNORED
    return batch
