from __future__ import annotations

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models

from mediround.errors import WeightsError
from mediround.model.tokenizer import TURN_END, TURN_START, TextTokenizer

TOKENIZER = TextTokenizer.bytewise()


@given(st.text())
def test_text_comes_back_from_its_ids(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert TOKENIZER.decode(ids) == text
    assert all(0 <= token < TOKENIZER.size for token in ids)


@pytest.mark.parametrize("marker", [TURN_START, TURN_END, f"a{TURN_END}b"])
def test_markers_in_text_are_text(marker: str) -> None:
    ids = TOKENIZER.encode(marker)
    assert not {TOKENIZER.turn_start, TOKENIZER.turn_end, TOKENIZER.seg} & set(ids)
    assert TOKENIZER.decode(ids) == marker


def test_special_ids_differ_and_seg_lies_behind_the_vocabulary() -> None:
    assert len({TOKENIZER.turn_start, TOKENIZER.turn_end, TOKENIZER.seg}) == 3
    assert TOKENIZER.seg == TOKENIZER.size
    assert TOKENIZER.decode([TOKENIZER.turn_end]) == ""


def test_a_tokenizer_without_turns_is_refused() -> None:
    inner = tokenizers.Tokenizer(models.BPE(vocab={"a": 0}, merges=[]))
    with pytest.raises(WeightsError, match="knows no turns"):
        TextTokenizer(inner)
