"""Text <-> ids as the official code has them: SentencePiece pieces and three tokens behind them.

The official code adds ``[SEG]``, ``[BBOXINPUT]`` and ``[CROPPEDIMAGE]`` to a Llama tokenizer in
its legacy mode: text between two such tokens is cut by itself and gets the dummy space in front,
as if it began a document. Weights trained that way need it that way.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import tokenizers

from mediround.errors import WeightsError
from mediround.model.official.sentencepiece import SPACE, byte_pair_tokenizer, read_pieces

BOS, EOS, UNK = "<s>", "</s>", "<unk>"
ADDED = ("[SEG]", "[BBOXINPUT]", "[CROPPEDIMAGE]")
"""In the order of their ids, which follow the vocabulary."""


class OfficialTokenizer:
    """Satisfies ``mediround.templates.OfficialTokens`` and ``mediround.prompt.Tokenizer``.

    Attributes:
        bos, eos, unk: ids of the document's beginning, an answer's end, the unknown.
        seg, box, crop: ids of the three added tokens.
        size: number of ids, the three included.
    """

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        known = {name: inner.token_to_id(name) for name in (BOS, EOS, UNK)}
        found = {name: int(number) for name, number in known.items() if number is not None}
        missing = sorted(set(known) - set(found))
        if missing:
            raise WeightsError(
                f"the tokenizer lacks {', '.join(missing)}", expected="a tokenizer of Llama's kind"
            )
        inner.encode_special_tokens = True  # a user's "</s>" is text, not the end of an answer
        self._inner = inner
        self.bos, self.eos, self.unk = (found[name] for name in (BOS, EOS, UNK))
        first = int(inner.get_vocab_size())
        self.seg, self.box, self.crop = range(first, first + len(ADDED))
        self.size = first + len(ADDED)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read ``tokenizer.model``, or ``tokenizer.json`` where there is none.

        Raises:
            WeightsError: neither is there, or it is of another kind.
        """
        if (folder / "tokenizer.model").is_file():
            return cls(byte_pair_tokenizer(read_pieces(folder / "tokenizer.model")))
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise WeightsError(
                f"{folder.name!r} has no tokenizer",
                expected="tokenizer.model or tokenizer.json",
                remedy="copy it from the base model of the checkpoint",
            )
        try:
            inner = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:
            # The library raises nothing narrower.
            raise WeightsError(f"{path.name!r} cannot be read ({error})") from error
        return cls(inner)

    def write(self, folder: Path) -> None:
        """Write ``tokenizer.json``, which :meth:`read` takes."""
        self._inner.save(str(folder / "tokenizer.json"))

    @property
    def turn_start(self) -> int:
        """What a dialogue begins with."""
        return self.bos

    @property
    def turn_end(self) -> int:
        """What an answer ends with."""
        return self.eos

    @property
    def special(self) -> dict[str, int]:
        """Name -> id of everything that is a token and not text."""
        fixed = {BOS: self.bos, EOS: self.eos, UNK: self.unk}
        return fixed | dict(zip(ADDED, (self.seg, self.box, self.crop), strict=True))

    def encode(self, text: str) -> list[int]:
        """Ids of plain text, which begins with the dummy space; none of empty text."""
        return list(self._inner.encode(text, add_special_tokens=False).ids) if text else []

    def decode(self, ids: Sequence[int]) -> str:
        """Inverse of :meth:`encode` but for the dummy space, which is kept; specials left out."""
        hidden = set(self.special.values())
        parts: list[bytes] = []
        for number in ids:
            if number in hidden:
                continue
            piece = self._inner.id_to_token(int(number))
            parts.append(_as_bytes(piece) if piece is not None else b"")
        return b"".join(parts).decode("utf-8", "replace")


def _as_bytes(piece: str) -> bytes:
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace(SPACE, " ").encode()
