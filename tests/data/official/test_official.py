"""The official brackets: exact both ways, refused with the reason where that cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediround.data.official import (
    InexpressibleError,
    OfficialRecord,
    Turn,
    from_dialogue,
    to_dialogue,
)
from mediround.data.official.brackets import join, split, trouble
from mediround.data.official.pruning import DEPENDENT, prune
from mediround.data.official.reading import read_record
from mediround.data.official.slots import reference_slots
from mediround.data.official.writing import objections
from mediround.dialogue import Dialogue, Entity, Relation, Rle, Round
from mediround.geometry import BoolMask
from mediround.imaging.raster import read_mask
from mediround.quirks import OfficialQuirks

DIALOGUES = (
    "A_one_round",
    "B_three_rounds_back_to_first",
    "C_five_rounds_mixed",
    "D_four_rounds_chain",
)
OFFICIAL = OfficialQuirks.all()


def blob(number: int) -> BoolMask:
    """A mask (8, 9) of its own for every number below 72."""
    mask = np.zeros((8, 9), bool)
    mask.reshape(-1)[number : number + 5] = True
    return mask


def by_place(place: int, entity: Entity) -> str:
    return f"masks/x_r{place}.png" if place >= 0 else f"masks/x_given_{entity.id}.png"


def there_and_back(dialogue: Dialogue, *, plain: bool = False) -> Dialogue:
    written = from_dialogue(dialogue, by_place, plain=plain)
    record = OfficialRecord.from_json(json.loads(json.dumps(written.record.to_json())))
    return to_dialogue(record, lambda path: written.masks[path].decode())


def official(*turns: tuple[str, str] | tuple[str, str, int]) -> OfficialRecord:
    """(question, answer) or (question, answer, ind)."""
    found: list[Turn] = []
    for question, answer, *ind in turns:
        found += [Turn("human", str(question), *ind), Turn("gpt", str(answer))]
    return OfficialRecord(tuple(found))


FIRST = ("[IMAGE256:i.png] Segment it.", "It is [MASK-DECODE:m0.png].")
PAIR = "[MASK-ENCODE:m0.png][BOX-ENCODE:m0.png]"
TARGET = "[MASK-DECODE:m1.png]"


def recorded_dialogue(golden: Path, name: str) -> Any:
    (raw,) = json.loads((golden / "data" / f"{name}.json").read_text())
    return raw


def load(path: str) -> BoolMask:
    return blob(sum(path.encode()) % 60)


# ------------------------------------------------------------------------------- recorded


@pytest.mark.parametrize("name", DIALOGUES)
def test_recorded_dialogues_both_ways(golden: Path, name: str) -> None:
    raw = recorded_dialogue(golden, name)
    record = OfficialRecord.from_json(raw)
    read = read_record(record, lambda path: read_mask(golden / "data" / path))
    assert all(e.mask is not None and e.mask.decode().any() for e in read.dialogue.entities())
    written = from_dialogue(read.dialogue, lambda _, entity: read.paths[entity.id])
    assert written.record.to_json() == raw


@pytest.mark.parametrize("name", DIALOGUES)
def test_recorded_questions_and_slots(golden: Path, name: str) -> None:
    record = OfficialRecord.from_json(recorded_dialogue(golden, name))
    recorded = json.loads((golden / "golden" / name / "text.json").read_text())
    wanted = [tuple(pair) for pair in recorded["mistral_instruct"]["round_and_image_ids"]]
    assert reference_slots(record, OFFICIAL) == wanted
    assert reference_slots(record) == wanted


def test_recorded_slots_of_a_turn_without_ind(golden: Path) -> None:
    quirks = json.loads((golden / "golden" / "quirks.json").read_text())
    wanted = quirks["reference_turn_without_ind_gets_minus1_and_shifts_image_ids"]["result"]
    raw = recorded_dialogue(golden, DIALOGUES[1])
    del raw["conversations"][2]["ind"]
    record = OfficialRecord.from_json(raw)
    assert reference_slots(record, OFFICIAL) == [tuple(pair) for pair in wanted]
    assert reference_slots(record) == [(-1, -1), (0, 0), (0, 1)]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("odd_number_of_turns", lambda raw: raw["conversations"].pop(), "not human, gpt"),
        ("task_not_segmentation", lambda raw: raw.update(task="caption"), "task is 'caption'"),
    ],
)
def test_recorded_refusals(
    golden: Path, name: str, change: Callable[[Any], Any], message: str
) -> None:
    assert json.loads((golden / "golden" / "quirks.json").read_text())[name]["raises"]
    raw = recorded_dialogue(golden, DIALOGUES[1])
    change(raw)
    with pytest.raises(InexpressibleError, match=message):
        OfficialRecord.from_json(raw)


# ----------------------------------------------------------------------------- properties

WORDS = st.text("ab ,.[]3肝\n", max_size=12).filter(
    lambda text: trouble(text + "[MASK-DECODE:m]") is None and "[3" not in text
)


@st.composite
def dialogues(draw: st.DrawFn) -> Dialogue:
    """Whatever the official format can say."""
    count = draw(st.integers(1, 5))
    kinds = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    given: list[Entity] = []
    rounds: list[Round] = []
    number = 0
    known: list[int] = []
    for place in range(count):
        if kinds[place] and draw(st.booleans()):
            number += 1
            fields = {"name": draw(st.sampled_from([None, "liver"])), "status": "given"}
            given.append(Entity.from_mask(number, blob(40 + place), **fields))
            known.append(number)
        refers = draw(st.sampled_from([0, *known]))
        marker = f"[{refers}]" if refers else ""
        number += 1
        entity = Entity.from_mask(
            number,
            blob(place),
            name=draw(st.sampled_from([None, "left kidney"])),
            score=draw(st.sampled_from([None, 0.25, 1.0])),
            status=draw(st.sampled_from(["ok", "unsure", "corrected"])),
            refers_to=draw(st.sampled_from([(), (refers,) if refers else ()])),
        )
        kind = Relation(kind="pair", references=tuple(known[:1]), evidence={"x": 1.5})
        rounds.append(
            Round(
                query=draw(WORDS) + marker + draw(WORDS),
                text=draw(WORDS) + f"[{number}]" + draw(WORDS),
                entities=(entity,),
                relation=draw(st.sampled_from([None, kind])),
            )
        )
        known.append(number)
    return Dialogue(
        image="images/x.png",
        modality=draw(st.sampled_from([None, "CT"])),
        given=tuple(given),
        rounds=tuple(rounds),
    )


def sayable(dialogue: Dialogue) -> bool:
    return not objections(dialogue)


@given(dialogues().filter(sayable))
@settings(max_examples=80)
def test_typed_to_official_and_back_is_exact(dialogue: Dialogue) -> None:
    assert there_and_back(dialogue) == dialogue


@given(dialogues().filter(sayable))
@settings(max_examples=40)
def test_a_plain_record_keeps_the_conversation(dialogue: Dialogue) -> None:
    """Numbers of given masks may change; words, masks and references stay."""
    again = there_and_back(dialogue, plain=True)
    for mine, theirs in zip(dialogue.rounds, again.rounds, strict=True):
        assert mine.entities[0].mask == theirs.entities[0].mask
        assert len(mine.references) == len(theirs.references)
        masks = [{e.id: e.mask for e in d.entities()} for d in (dialogue, again)]
        for one, other in zip(mine.references, theirs.references, strict=True):
            assert masks[0][one] == masks[1][other]
    assert not OfficialRecord.from_json(
        from_dialogue(dialogue, by_place, plain=True).record.to_json()
    ).extra


@st.composite
def records(draw: st.DrawFn) -> OfficialRecord:
    """Canonical spelling, with and without a space before a target."""
    turns: list[tuple[str, str] | tuple[str, str, int]] = []
    for place in range(draw(st.integers(1, 5))):
        ahead, behind = draw(WORDS).rstrip(" "), draw(WORDS)
        target = f"[MASK-DECODE:m{place}.png]"
        refers = draw(st.sampled_from([None, *range(place)]))
        image = "[IMAGE256:i.png] " if place == 0 else ""
        if refers is None:
            turns.append((image + draw(WORDS), ahead + target + behind))
            continue
        path = f"m{refers}.png"
        between = draw(st.sampled_from(["", " "]))
        question = f"{draw(WORDS)}[MASK-ENCODE:{path}][BOX-ENCODE:{path}]{draw(WORDS)}"
        answer = f"{ahead} [REF-DECODE:{path}]{between}{target}{behind}"
        turns.append((question, answer, refers))
    return official(*turns)


@given(records().filter(lambda r: all(trouble(turn.value) is None for turn in r.turns)))
@settings(max_examples=80)
def test_official_to_typed_and_back_is_exact(record: OfficialRecord) -> None:
    read = read_record(record, lambda path: blob(int(path[1])))
    written = from_dialogue(read.dialogue, lambda _, entity: read.paths[entity.id])
    assert written.record == record


PIECES = st.lists(
    st.sampled_from(
        [
            "[MASK-ENCODE:m0.png]",
            "[BOX-ENCODE:m0.png]",
            "[MASK-DECODE:m1.png]",
            "[IMAGE256:i.png]",
            "[REF-DECODE:m0.png]",
            "[1]",
            "[SEG]",
            "[",
            "]",
            " ",
            "a",
            "MASK-DECODE",
            "</s>",
            ":",
        ]
    ),
    max_size=6,
).map("".join)


@given(st.lists(st.tuples(PIECES, PIECES, st.sampled_from([None, -1, 0, 1])), max_size=3))
@settings(max_examples=120)
def test_whatever_is_read_is_written_or_refused(turns: list[tuple[str, str, int | None]]) -> None:
    """Nothing but a refusal with a reason; what is accepted says the same again."""
    raw = {
        "task": "segmentation",
        "base": "[null]",
        "conversations": [
            part
            for question, answer, ind in [(FIRST[0], FIRST[1], None), *turns]
            for part in (
                {"from": "human", "value": question} | ({} if ind is None else {"ind": ind}),
                {"from": "gpt", "value": answer},
            )
        ],
    }
    try:
        dialogue = to_dialogue(OfficialRecord.from_json(raw), load)
    except InexpressibleError:
        return
    if sayable(dialogue):
        assert there_and_back(dialogue) == dialogue


@given(PIECES)
def test_joining_undoes_splitting(value: str) -> None:
    assert join(split(value)) == value


@given(st.text("[]:MASK-DECOIG256 mp.", max_size=40))
def test_no_string_is_too_odd_to_split(value: str) -> None:
    assert join(split(value)) == value


# ------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ((f"{PAIR} a {PAIR} b", TARGET, 0), "not MASK-ENCODE, BOX-ENCODE once"),
        (("[MASK-ENCODE:m0.png] a", TARGET, 0), "not MASK-ENCODE, BOX-ENCODE once"),
        (("[MASK-ENCODE:m0.png] [BOX-ENCODE:m0.png]", TARGET, 0), "in a row"),
        (("[MASK-ENCODE:m0.png][BOX-ENCODE:m9.png]", TARGET, 0), "of one mask"),
        ((f"{PAIR} a", TARGET, 1), "did not draw"),
        (("[MASK-ENCODE:m9.png][BOX-ENCODE:m9.png]", TARGET, 0), "did not draw"),
        (("a", TARGET, 0), "encodes no mask"),
        (("a", "No."), "0 targets"),
        (("a", TARGET * 2), "2 targets"),
        (("a", f"[REF-DECODE:m0.png]{TARGET}"), "REF-DECODE is not"),
        ((f"{PAIR} a", f"[REF-DECODE:m9.png]{TARGET}", 0), "REF-DECODE is not"),
        (("a", f"[BOX-ENCODE:m0.png]{TARGET}"), "other markers"),
        (("[IMAGE256:j.png] a", TARGET), "IMAGE256"),
        (("a [1]", TARGET), "number in brackets"),
        (("a", f"[2] {TARGET}"), "number in brackets"),
        (("a </s>", TARGET), "'</s>'"),
        (("[see MASK-ENCODE]", TARGET), "which is no text"),
        (("a [", f"[ {TARGET}"), "which is no text"),
        (("a", "[MASK-DECODE:IMAGE256.png]"), "which is no text"),
    ],
)
def test_official_refusals(second: Any, reason: str) -> None:
    with pytest.raises(InexpressibleError, match=reason):
        to_dialogue(official(FIRST, second), load)


def test_the_first_question_shows_the_image() -> None:
    with pytest.raises(InexpressibleError, match="begin with the image"):
        to_dialogue(official(("Segment [IMAGE256:i.png]", "[MASK-DECODE:m.png]")), load)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "list where an object"),
        ({"task": "segmentation", "conversations": []}, "no conversations"),
        ({"task": "segmentation", "base": "x", "conversations": []}, "base is 'x'"),
        ({"task": "segmentation", "more": 1, "conversations": []}, "unknown keys"),
        ({"task": "segmentation", "conversations": [{"from": "system", "value": ""}]}, "is from"),
        ({"task": "segmentation", "conversations": [{"from": "gpt", "value": 3}]}, "not text"),
        (
            {"task": "segmentation", "conversations": [{"from": "gpt", "value": "", "ind": 0}]},
            "an answer has the key",
        ),
        (
            {"task": "segmentation", "conversations": [{"from": "human", "value": "", "ind": "0"}]},
            "not a number",
        ),
    ],
)
def test_other_shapes_are_refused(value: Any, reason: str) -> None:
    with pytest.raises(InexpressibleError, match=reason):
        OfficialRecord.from_json(value)


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"rounds": [{}, {}]}, "details of 2 of 1 rounds"),
        ({"rounds": 3}, "not a list"),
        ({"rounds": [{"entity": 3}]}, "not an object"),
        ({"rounds": [{"entity": {"score": 7}}]}, "less than or equal to 1"),
        ({"rounds": [{"entity": {"id": 5}}]}, "5"),
        ({"given": [{"id": 1}]}, "no path"),
        ({"colour": "red"}, "not permitted"),
    ],
)
def test_damaged_details_are_refused(extra: dict[str, Any], reason: str) -> None:
    record = OfficialRecord(official(FIRST).turns, extra)
    with pytest.raises(InexpressibleError, match=reason):
        to_dialogue(record, load)


def test_origin_is_no_part_of_the_dialogue() -> None:
    record = OfficialRecord(official(FIRST).turns, {"record": {"id": "x"}})
    assert to_dialogue(record, load) == to_dialogue(official(FIRST), load)
    assert record.origin == {"id": "x"}
    with pytest.raises(InexpressibleError, match="where an object is expected"):
        _ = OfficialRecord(record.turns, {"record": 3}).origin


def test_a_missing_ind_is_found_by_the_path() -> None:
    record = official(FIRST, (f"{PAIR} a", TARGET))
    dialogue = to_dialogue(record, load)
    assert dialogue.rounds[1].references == (1,)
    assert from_dialogue(dialogue, by_place).record.turns[2].ind == 0


def test_a_mask_that_no_round_drew_was_given() -> None:
    other = "[MASK-ENCODE:own.png][BOX-ENCODE:own.png]"
    dialogue = to_dialogue(official(FIRST, (f"{other} a", TARGET)), load)
    assert [entity.id for entity in dialogue.given] == [2]
    assert dialogue.rounds[1].query == "[2] a"
    written = from_dialogue(dialogue, by_place)
    # The official evaluation replaces no slot of round -1: the mask stays what it is.
    assert written.record.turns[2].ind == -1
    assert not written.record.extra
    assert there_and_back(dialogue) == dialogue


# -------------------------------------------------------------------------------- pruning


def typed(*rounds: tuple[str, str, tuple[int, ...]], given: tuple[int, ...] = ()) -> Dialogue:
    """(query, text, numbers of its entities)."""
    return Dialogue(
        image="images/x.png",
        given=tuple(Entity.from_mask(n, blob(n), status="given") for n in given),
        rounds=tuple(
            Round(query=q, text=t, entities=tuple(Entity.from_mask(n, blob(n)) for n in numbers))
            for q, t, numbers in rounds
        ),
    )


@pytest.mark.parametrize(
    ("dialogue", "reason"),
    [
        (typed(), "no rounds"),
        (typed(("a", "hello", ())), "draws nothing"),
        (typed(("a", "[1] [2]", (1, 2))), "draws several"),
        (typed(("a", "[1] [1]", (1,))), "name its target once"),
        (typed(("[1] and [2]", "[3]", (3,)), given=(1, 2)), "several references"),
        (typed(("a </s>", "[1]", (1,))), "'</s>'"),
        (typed(("a", "USER: [1]", (1,))), "USER: "),
        (typed(("a [", "[ [1]", (1,))), "reads otherwise"),
        (typed(("a", "[1]", (1,))).model_copy(update={"image": None}), "no image"),
        (typed(("a", "[1]", (1,))).model_copy(update={"image": "a].png"}), "does not fit"),
        (typed(("a", "[1]", (1,))).model_copy(update={"image": "REF-DECODE.png"}), "does not fit"),
    ],
)
def test_typed_refusals(dialogue: Dialogue, reason: str) -> None:
    with pytest.raises(InexpressibleError, match=reason):
        from_dialogue(dialogue, by_place)
    assert any(reason in found for found in prune(dialogue)[1])


def test_empty_and_absent_references_are_refused() -> None:
    empty = Rle.encode(np.zeros((8, 9), bool))
    first = Round(query="a", text="[1]", entities=(Entity(id=1, mask=empty),))
    second = Round(query="b [1]", text="[2]", entities=(Entity.from_mask(2, blob(1)),))
    with pytest.raises(InexpressibleError, match="empty mask"):
        from_dialogue(Dialogue(image="i.png", rounds=(first, second)), by_place)
    absent = Round(query="a", text="None.", entities=(Entity(id=1, status="absent"),))
    dialogue = Dialogue(image="i.png", rounds=(absent, second))
    with pytest.raises(InexpressibleError, match="draws nothing"):
        from_dialogue(dialogue, by_place)
    assert prune(dialogue) == (None, ["an answer draws nothing", DEPENDENT])


def test_masks_of_two_sizes_are_refused() -> None:
    other = Entity.from_mask(2, np.ones((3, 3), bool))
    rounds = (*typed(("a", "[1]", (1,))).rounds, Round(query="b", text="[2]", entities=(other,)))
    with pytest.raises(InexpressibleError, match="different sizes"):
        from_dialogue(Dialogue(image="i.png", rounds=rounds), by_place)


def test_pruning_drops_what_depends_and_numbers_anew() -> None:
    dialogue = typed(
        ("a", "[3] [4]", (3, 4)),
        ("b [1]", "[5]", (5,)),
        ("c [4]", "[6]", (6,)),
        ("d [5]", "[7]", (7,)),
        given=(1, 2),
    )
    left, reasons = prune(dialogue)
    assert reasons == ["an answer draws several masks", DEPENDENT]
    assert left is not None
    assert [(each.query, each.text) for each in left.rounds] == [("b [1]", "[2]"), ("d [2]", "[3]")]
    assert [entity.id for entity in left.given] == [1]
    assert [e.mask for e in left.entities()] == [Rle.encode(blob(n)) for n in (1, 5, 7)]
    assert there_and_back(left) == left


@given(dialogues().filter(sayable))
@settings(max_examples=40)
def test_pruning_leaves_alone_what_can_be_said(dialogue: Dialogue) -> None:
    assert prune(dialogue) == (dialogue, [])
