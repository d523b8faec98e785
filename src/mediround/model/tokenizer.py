"""Text <-> token ids, with ``[SEG]`` as one id behind the vocabulary."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from mediround.errors import WeightsError

TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"


class TextTokenizer:
    """A ``tokenizers`` tokenizer with ChatML turns; satisfies ``mediround.prompt.Tokenizer``."""

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        start, end = inner.token_to_id(TURN_START), inner.token_to_id(TURN_END)
        if start is None or end is None:
            raise WeightsError(
                "the tokenizer knows no turns", expected=f"the tokens {TURN_START} and {TURN_END}"
            )
        inner.encode_special_tokens = True  # a user's "<|im_end|>" is text, not the end of a turn
        self._inner = inner
        self.turn_start, self.turn_end = int(start), int(end)
        self.seg = int(inner.get_vocab_size())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a ``tokenizer.json``."""
        return cls(tokenizers.Tokenizer.from_file(str(path)))

    @classmethod
    def bytewise(cls) -> Self:
        """One token a byte and the two turn markers, for models with random weights."""
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        vocabulary = {symbol: index for index, symbol in enumerate(alphabet)}
        inner = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        inner.add_special_tokens([TURN_START, TURN_END])
        return cls(inner)

    @property
    def size(self) -> int:
        """Number of ids, ``[SEG]`` not counted."""
        return self.seg

    def encode(self, text: str) -> list[int]:
        """Ids of plain text."""
        return list(self._inner.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, turn markers left out."""
        return str(self._inner.decode(list(ids), skip_special_tokens=True))
