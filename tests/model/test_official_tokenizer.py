"""SentencePiece models read without the library, and the ids of the official prompts."""

from __future__ import annotations

import hashlib
import json
import os
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediround.data.official import OfficialRecord, to_dialogue
from mediround.dialogue import Dialogue, Entity, Round
from mediround.errors import WeightsError
from mediround.model.official.sentencepiece import byte_pair_tokenizer, read_pieces
from mediround.model.official.tokenizer import OfficialTokenizer
from mediround.quirks import OfficialQuirks
from mediround.templates import (
    IGNORED,
    LLAVA_V1,
    MISTRAL_INSTRUCT,
    TEMPLATES,
    OfficialPrompter,
    input_ids,
    labels,
    pad,
)

MASK = np.eye(4, dtype=bool)
DIALOGUES = (
    "A_one_round",
    "B_three_rounds_back_to_first",
    "C_five_rounds_mixed",
    "D_four_rounds_chain",
)


def dialogue(golden: Path, name: str) -> Dialogue:
    """Words as recorded; the masks do not matter to a prompt."""
    raw = json.loads((golden / "data" / f"{name}.json").read_text())
    record = OfficialRecord.from_json(raw[0] if isinstance(raw, list) else raw)
    return to_dialogue(record, lambda path: MASK)


def recorded(golden: Path, name: str) -> Any:
    return json.loads((golden / "golden" / name).read_text())


@pytest.fixture(scope="module")
def tokens(golden: Path) -> OfficialTokenizer:
    return OfficialTokenizer.read(golden / "models" / "llm_tiny")


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def chunk(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def model_file(words: list[str], *, kind: int = 2, charsmap: bytes = b"") -> bytes:
    """A model of control, byte and normal pieces; earlier words are merged first."""
    entries = [("<unk>", 2), ("<s>", 3), ("</s>", 3)]
    entries += [(f"<0x{byte:02X}>", 6) for byte in range(256)]
    entries += [(word, 1) for word in words]
    out = b""
    for place, (text, sort) in enumerate(entries):
        score = np.float32(-place).tobytes()
        piece = chunk(1, text.encode()) + b"\x15" + score
        out += chunk(1, piece + (b"" if sort == 1 else b"\x18" + varint(sort)))
    out += chunk(2, b"\x18" + varint(kind))
    return out + chunk(3, chunk(1, b"identity") + (chunk(2, charsmap) if charsmap else b""))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> OfficialTokenizer:
    folder = tmp_path_factory.mktemp("small")
    letters = [*string.ascii_letters, *string.digits, *".,:[]/<>", "▁"]
    merged = ["▁t", "he", "▁the", "▁▁", "▁i", "▁is", "se", "gm", "en", "▁o", "[/", "▁["]
    (folder / "tokenizer.model").write_bytes(model_file([*merged, *letters]))
    return OfficialTokenizer.read(folder)


@pytest.mark.parametrize("template", list(TEMPLATES))
@pytest.mark.parametrize("name", DIALOGUES)
def test_recorded_ids_labels_and_positions(
    golden: Path, tokens: OfficialTokenizer, name: str, template: str
) -> None:
    found = OfficialPrompter(tokens, TEMPLATES[template]).write(dialogue(golden, name).rounds)
    wanted = recorded(golden, f"{name}/text.json")[template]
    ids = input_ids(found)
    assert ids == wanted["input_ids"]
    assert labels(found) == wanted["labels"]
    assert ids.index(-200) == wanted["image_token_index"]
    crops = [n for n, token in enumerate(ids) if token == tokens.crop]
    boxes = [n for n, token in enumerate(ids) if token == tokens.box]
    assert crops == wanted["croppedimage_positions_in_input_ids"]
    assert boxes == wanted["bbox_positions_in_input_ids"]
    # In the prompt the image has all its positions, as in the official sequence once expanded.
    assert [place for place, _ in found.seg] == wanted["seg_token_positions_in_expanded_sequence"]
    states = [place - 1 for place, _ in found.seg]
    assert states == wanted["seg_state_positions_in_expanded_sequence"]
    references = [slot for slot in found.slots if slot.key]
    assert [slot.start - 575 for slot in references] == crops


@pytest.mark.parametrize("template", list(TEMPLATES))
def test_recorded_batch(golden: Path, tokens: OfficialTokenizer, template: str) -> None:
    wanted = recorded(golden, f"batch_B_C_{template}.json")
    prompter = OfficialPrompter(tokens, TEMPLATES[template])
    prompts = [prompter.write(dialogue(golden, name).rounds) for name in wanted["order"]]
    batch = pad(prompts, tokens.unk)
    assert batch.input_ids.tolist() == wanted["input_ids"]
    assert batch.labels.tolist() == wanted["labels"]
    assert batch.attention.astype(int).tolist() == np.array(wanted["attention_masks"]).tolist()


def test_recorded_fate_of_unk_in_a_text(golden: Path, tokens: OfficialTokenizer) -> None:
    wanted = recorded(golden, "quirks.json")["literal_unk_in_prompt_is_masked_as_padding"]["result"]
    rounds = dialogue(golden, "B_three_rounds_back_to_first").rounds
    said = [rounds[0].model_copy(update={"query": "Segment <unk> the liver."}), *rounds[1:]]

    quirks = OfficialQuirks.all()
    prompt = OfficialPrompter(tokens, quirks=quirks).write(said)
    batch = pad([prompt], tokens.unk, quirks)
    assert np.count_nonzero(~batch.attention) == wanted["unk_positions_masked"]
    assert np.count_nonzero(batch.labels != IGNORED) == wanted["supervised"]

    right = pad([OfficialPrompter(tokens).write(said)], tokens.unk)
    assert right.attention.all()
    assert np.count_nonzero(right.labels != IGNORED) > 20


@pytest.mark.parametrize("template", list(TEMPLATES))
@pytest.mark.parametrize("name", DIALOGUES)
def test_recorded_ids_of_the_real_vocabulary(
    golden: Path, tmp_path: Path, name: str, template: str
) -> None:
    """MEDIROUND_MISTRAL_TOKENIZER: path of tokenizer.model.v1 from the wheel mistral-common."""
    path = os.environ.get("MEDIROUND_MISTRAL_TOKENIZER")
    if not path:
        pytest.skip("MEDIROUND_MISTRAL_TOKENIZER is not set: no Mistral vocabulary here")
    content = Path(path).read_bytes()
    known = recorded(golden, "tokenization_mistral_v1.json")
    assert hashlib.sha256(content).hexdigest() == known["sha256"]
    (tmp_path / "tokenizer.model").write_bytes(content)
    real = OfficialTokenizer.read(tmp_path)
    special = {name: real.special[name] for name in known["legacy_True"]["special_ids"]}
    assert special == known["legacy_True"]["special_ids"]
    prompt = OfficialPrompter(real, TEMPLATES[template]).write(dialogue(golden, name).rounds)
    wanted = known["legacy_True"]["dialogues"][name][template]
    assert input_ids(prompt) == wanted["input_ids"]
    assert labels(prompt) == wanted["labels"]


WORDS = st.text("the is segment [INST] <unk> </s>,.\n  äß肝", max_size=30)


@given(text=WORDS)
def test_decoding_undoes_encoding(small: OfficialTokenizer, text: str) -> None:
    ids = small.encode(text)
    assert small.decode(ids) == (f" {text}" if text else "")
    assert not set(ids) & set(small.special.values())


@given(before=WORDS, after=WORDS)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_answers_are_read_back(small: OfficialTokenizer, before: str, after: str) -> None:
    text = f"{before}[3]{after}".strip()
    for template in TEMPLATES.values():
        prompter = OfficialPrompter(small, template, image_tokens=4)
        assert prompter.text(prompter.answer(text, 3), 3) == text
        assert prompter.text(prompter.answer("No mask [1]", 3), 3) == "No mask [1]"


@given(query=WORDS, text=WORDS)
def test_a_prompt_goes_on_where_the_answer_was_given(
    small: OfficialTokenizer, query: str, text: str
) -> None:
    """An open question and its answer are the finished round: what a cache counts on."""
    entity = Entity.from_mask(1, MASK)
    said = Round(query=query, text=f"{text} [1].".strip(), entities=(entity,))
    for template in TEMPLATES.values():
        prompter = OfficialPrompter(small, template, image_tokens=4)
        whole = prompter.write([said])
        opened = prompter.write([], query)
        answer = prompter.answer(said.text, 1)
        assert whole.ids == (*opened.ids, *answer, small.eos)
        assert whole.supervised == tuple(range(len(opened.ids), len(whole.ids)))
        (place, number) = whole.seg[0]
        assert (whole.ids[place], number) == (small.seg, 1)


def test_several_targets_references_and_given_masks(small: OfficialTokenizer) -> None:
    first = Round(
        query="[1] the", text="[2] [3].", entities=tuple(Entity.from_mask(n, MASK) for n in (2, 3))
    )
    prompt = OfficialPrompter(small, LLAVA_V1, image_tokens=4).write([first], "is [2] the [3]")
    assert [slot.key for slot in prompt.slots] == [0, 1, 2, 3]
    assert [slot.length for slot in prompt.slots] == [4, 2, 2, 2]
    assert [number for _, number in prompt.seg] == [2, 3]


def test_special_names_in_a_text_are_text(small: OfficialTokenizer) -> None:
    prompter = OfficialPrompter(small, MISTRAL_INSTRUCT, image_tokens=4)
    prompt = prompter.write([], "the </s> [SEG] <unk>")
    assert not {small.eos, small.seg} & set(prompt.ids)
    assert prompt.ids.count(small.unk) == 4  # placeholders of the image


def test_tokenizer_json_gives_equal_ids(small: OfficialTokenizer, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(model_file(["▁t", *string.ascii_lowercase, "▁"]))
    inner = byte_pair_tokenizer(read_pieces(tmp_path / "tokenizer.model"))
    first = OfficialTokenizer.read(tmp_path)
    (tmp_path / "tokenizer.model").unlink()
    inner.save(str(tmp_path / "tokenizer.json"))
    second = OfficialTokenizer.read(tmp_path)
    assert first.encode("to the\nörgan") == second.encode("to the\nörgan")
    assert first.special == second.special


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no pieces"),
        (b"\x0a\xff\xff", "is damaged"),
        (b"\x80" * 20, "is damaged"),
        (model_file(["a"])[:-5], "is damaged"),
        (model_file(["a"], kind=1), "is of another kind"),
        (model_file(["a"], charsmap=b"x"), "is of another kind"),
        (chunk(1, chunk(1, b"a")) + chunk(2, b"\x18\x02"), "has no pieces for bytes"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        OfficialTokenizer.read(tmp_path)


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="has no tokenizer"):
        OfficialTokenizer.read(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match="cannot be read"):
        OfficialTokenizer.read(tmp_path)
