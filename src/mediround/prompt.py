"""A dialogue as the language model reads it: token ids plus a map of what is no text.

The only place where positions exist. A prompt is a chat (ChatML turns); inside the user's first
turn stand the image's slots, where a query says ``[n]`` stand the slots of that entity's mask, and
where an answer says ``[n]`` stands the token ``[SEG]``. Slots hold a placeholder id; whoever runs
the model puts vectors there. The number itself is not written: a mask means what it shows. Between
a mask's slots may stand words that say what the next one tells, as in "left: the stomach".
"""

import re
from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from mediround.dialogue import MARKER, Round, markers

SEG = "[SEG]"
IMAGE_KEY = 0
"""Slot key of the image; entities have their number, from 1."""

_ANSWER_MARKER = re.compile(r" ?\[(\d+)\]")


class Tokenizer(Protocol):
    """What prompts need of a tokenizer."""

    @property
    def turn_start(self) -> int:
        """Id of ``<|im_start|>``."""

    @property
    def turn_end(self) -> int:
        """Id of ``<|im_end|>``, with which an answer ends."""

    @property
    def seg(self) -> int:
        """Id of ``[SEG]``."""

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; markers of turns inside it are text like any other."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids."""


@dataclass(frozen=True, slots=True)
class Slot:
    """``length`` positions from ``start`` that stand for the image (key 0) or entity ``key``.

    They show its vectors from number ``first`` on.
    """

    key: int
    start: int
    length: int
    first: int = 0


@dataclass(frozen=True)
class Prompt:
    """Token ids and what their positions mean.

    Attributes:
        ids: one a position; inside slots a placeholder.
        slots: in order of position.
        seg: (position, entity number) of every ``[SEG]``.
        supervised: positions that the model learns to say (answers and their end).
    """

    ids: tuple[int, ...]
    slots: tuple[Slot, ...]
    seg: tuple[tuple[int, int], ...]
    supervised: tuple[int, ...]

    def signature(self, contents: Mapping[int, Hashable]) -> list[Hashable]:
        """What each position depends on: its id, or the content of its slot.

        Two prompts whose signatures agree up to a position have the same keys and values up to
        there, which is what a cache needs to know. ``contents``: slot key -> hash of its content.
        """
        marks: list[Hashable] = list(self.ids)
        for slot in self.slots:
            for offset in range(slot.length):
                marks[slot.start + offset] = (contents[slot.key], slot.first + offset)
        return marks


class Prompter:
    """Writes prompts for one tokenizer and numbers of slots.

    Args:
        image_tokens: positions that stand for the image.
        reference_form: how one mask is written: counts of its vectors, and words between them.
    """

    def __init__(
        self, tokenizer: Tokenizer, image_tokens: int, reference_form: Sequence[int | str]
    ) -> None:
        self.tokenizer = tokenizer
        self.image_tokens = image_tokens
        self.reference_form = tuple(reference_form)

    def write(self, rounds: Sequence[Round], query: str | None = None) -> Prompt:
        """The prompt of finished ``rounds`` and, if given, an open ``query`` to be answered."""
        draft = _Draft(self)
        for each in rounds:
            draft.ask(each.query)
            draft.answer(each)
        if query is not None:
            draft.ask(query)
        return Prompt(
            tuple(draft.ids), tuple(draft.slots), tuple(draft.seg), tuple(draft.supervised)
        )

    def answer(self, text: str, first_entity: int) -> tuple[int, ...]:
        """Ids of an answer without its end of turn; its targets count from ``first_entity``."""
        draft = _Draft(self)
        draft.say(text, {n for n in markers(text) if n >= first_entity})
        return tuple(draft.ids)

    def text(self, ids: Sequence[int], first_entity: int) -> str:
        """Text of a generated answer; ``[SEG]`` becomes ``[n]``, counted from ``first_entity``."""
        parts: list[str] = []
        run: list[int] = []
        number = first_entity
        for token in ids:
            if token != self.tokenizer.seg:
                run.append(token)
                continue
            parts += [self.tokenizer.decode(run), f" [{number}]"]
            run, number = [], number + 1
        parts.append(self.tokenizer.decode(run))
        return "".join(parts).strip()


class _Draft:
    def __init__(self, prompter: Prompter) -> None:
        self.prompter = prompter
        self.ids: list[int] = []
        self.slots: list[Slot] = []
        self.seg: list[tuple[int, int]] = []
        self.supervised: list[int] = []

    def ask(self, query: str) -> None:
        self._turn("user")
        if not self.slots:
            self._slot(Slot(IMAGE_KEY, len(self.ids), self.prompter.image_tokens))
            self._text("\n")
        end = 0
        for found in MARKER.finditer(query):
            self._text(query[end : found.start()])
            self._refer(int(found.group(1)))
            end = found.end()
        self._text(query[end:])
        self._end_turn()
        self._turn("assistant")

    def answer(self, done: Round) -> None:
        first = len(self.ids)
        self.say(done.text, {entity.id for entity in done.entities if entity.mask is not None})
        self.ids.append(self.prompter.tokenizer.turn_end)
        self.supervised += range(first, len(self.ids))
        self._text("\n")

    def say(self, text: str, targets: Set[int]) -> None:
        end = 0
        for found in _ANSWER_MARKER.finditer(text):
            number = int(found.group(1))
            if number in targets:
                self._text(text[end : found.start()])
                self.seg.append((len(self.ids), number))
                self.ids.append(self.prompter.tokenizer.seg)
                end = found.end()
        self._text(text[end:])

    def _turn(self, role: str) -> None:
        self.ids.append(self.prompter.tokenizer.turn_start)
        self._text(role + "\n")

    def _end_turn(self) -> None:
        self.ids.append(self.prompter.tokenizer.turn_end)
        self._text("\n")

    def _text(self, text: str) -> None:
        if text:
            self.ids += self.prompter.tokenizer.encode(text)

    def _refer(self, number: int) -> None:
        first = 0
        for part in self.prompter.reference_form:
            if isinstance(part, str):
                self._text(part)
                continue
            self._slot(Slot(number, len(self.ids), part, first))
            first += part

    def _slot(self, slot: Slot) -> None:
        self.slots.append(slot)
        self.ids += [self.prompter.tokenizer.turn_end] * slot.length
