"""Whole files of dialogues: exact, self-contained, counted, and nothing half written."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mediround.data.official.conversion import convert_to_official, convert_to_typed
from mediround.data.official.json_items import ItemWriter, read_items
from mediround.data.official.masks import Root
from mediround.data.official.record import InexpressibleError
from mediround.data.official.typed_files import read_typed
from mediround.data.shards import Manifest, Record, ShardEntry, StoredImage, record_line
from mediround.dialogue import Dialogue, Entity, Relation, Round
from mediround.errors import DatasetError, ImageFileError, OutputError
from mediround.geometry import BoolMask
from mediround.imaging import Image
from mediround.quirks import OfficialQuirks

SHAPE = (10, 12)


def picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(pixels).save(path)


def blob(number: int) -> BoolMask:
    mask = np.zeros(SHAPE, bool)
    mask[number : number + 2, 3:7] = True
    return mask


def chain(length: int, image: str = "images/x.png") -> Dialogue:
    """Each round refers to the one before."""
    rounds = []
    for n in range(1, length + 1):
        entity = Entity.from_mask(n, blob(n), name=f"part {n}", refers_to=(n - 1,) if n > 1 else ())
        query = f"[{n - 1}] Segment what is below." if n > 1 else "Segment the first part."
        relation = Relation(kind="below", references=entity.refers_to) if n > 1 else None
        rounds.append(
            Round(query=query, text=f"It is [{n}].", entities=(entity,), relation=relation)
        )
    return Dialogue(image=image, modality="CT", rounds=tuple(rounds))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image and a file of typed dialogues about it."""
    picture(tmp_path / "images" / "x.png", np.full((*SHAPE, 3), 90, np.uint8))
    lines(tmp_path / "typed.jsonl", chain(1), chain(3))
    return tmp_path


def lines(path: Path, *dialogues: Dialogue) -> None:
    path.write_text("".join(d.model_dump_json() + "\n" for d in dialogues))


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_recorded_files_there_and_back(golden: Path, tmp_path: Path) -> None:
    source = golden / "data" / "dialogues.json"
    there = convert_to_typed(source, tmp_path / "a" / "typed.jsonl")
    back = convert_to_official(tmp_path / "a" / "typed.jsonl", tmp_path / "b" / "official.json")
    assert json.loads((tmp_path / "b" / "official.json").read_text()) == json.loads(
        source.read_text()
    )
    for found in (there, back):
        assert (found.read, found.written, found.respelled) == (4, 4, 0)
        assert found.without_reference == 1  # A has one round
    original, written = Root(golden / "data"), Root(tmp_path / "b")
    for path in sorted((golden / "data" / "masks").iterdir()):
        name = f"masks/{path.name}"
        np.testing.assert_array_equal(original.mask(name), written.mask(name))
    assert content(tmp_path / "b" / "images") == content(golden / "data" / "images")


def test_typed_files_there_and_back(folder: Path, tmp_path: Path) -> None:
    found = convert_to_official(folder / "typed.jsonl", folder / "out" / "all.json")
    assert (found.read, found.written, found.without_reference) == (2, 2, 1)
    convert_to_typed(folder / "out" / "all.json", folder / "again" / "typed.jsonl")
    again = [item.dialogue for item in read_typed(folder / "again" / "typed.jsonl")]
    assert again == [chain(1), chain(3)]
    assert (folder / "again" / "images" / "x.png").is_file()
    # The first masks of both dialogues are equal and share a file.
    names = sorted(path.name for path in (folder / "out" / "masks").iterdir())
    assert names == ["x_r0.png", "x_r1.png", "x_r2.png"]


def test_the_official_loader_s_keys_are_all_there(folder: Path) -> None:
    convert_to_official(folder / "typed.jsonl", folder / "out" / "all.json", plain=True)
    value = json.loads((folder / "out" / "all.json").read_text())
    assert isinstance(value, list)
    for item in value:
        assert set(item) == {"task", "base", "conversations"}
    assert value[1]["conversations"][2] == {
        "from": "human",
        "value": "[MASK-ENCODE:masks/x_r0.png][BOX-ENCODE:masks/x_r0.png] Segment what is below.",
        "ind": 0,
    }
    answer = value[1]["conversations"][3]["value"]
    assert answer == "It is [REF-DECODE:masks/x_r0.png][MASK-DECODE:masks/x_r1.png]."
    with PillowImage.open(folder / "out" / "masks" / "x_r1.png") as mask:
        assert sorted({int(v) for v in np.unique(np.asarray(mask))}) == [0, 255]


def test_origin_is_kept(folder: Path) -> None:
    origin = {
        "id": "k-0", "image": "k", "dataset": "D", "patient": "p", "slice": "s",
        "split": "test", "wording": "train",
    }  # fmt: skip
    line = {**origin, "dialogue": chain(2).model_dump(mode="json")}
    (folder / "typed.jsonl").write_text(json.dumps(line) + "\n\n")
    convert_to_official(folder / "typed.jsonl", folder / "out" / "all.json")
    convert_to_typed(folder / "out" / "all.json", folder / "out" / "again.jsonl")
    (item,) = read_typed(folder / "out" / "again.jsonl")
    assert item.origin == origin
    assert item.dialogue == chain(2)
    convert_to_official(folder / "typed.jsonl", folder / "plain" / "all.json", plain=True)
    assert "mediround" not in (folder / "plain" / "all.json").read_text()


def built(folder: Path, image: Image, *dialogues: Dialogue) -> Path:
    """A data set of one image, as ``data build`` writes it."""
    place = {"dataset": "D", "patient": "p", "slice": "s"}
    facts, png = StoredImage.store(image, [("part 1", blob(1))], **place, oriented=False)
    members = {
        "png": png,
        "image.json": facts.model_dump_json().encode(),
        "dialogues.jsonl": b"".join(
            record_line(
                Record(
                    id=f"{facts.key}-{number}",
                    image=facts.key,
                    split="test",
                    wording="train",
                    dialogue=dialogue.model_copy(update={"image": None}),
                    **place,
                )
            )
            for number, dialogue in enumerate(dialogues)
        ),
    }
    (folder / "test").mkdir(parents=True)
    with tarfile.open(folder / "test" / "shard-00000.tar", "w") as tar:
        for ending, data in members.items():
            entry = tarfile.TarInfo(f"{facts.key}.{ending}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    shard = ShardEntry(
        path="test/shard-00000.tar", split="test", sha256="", bytes=0, images=1, dialogues=2
    )
    manifest = Manifest(settings={}, sources={}, splits={"test": {}}, shards=(shard,))
    (folder / "dataset.json").write_text(manifest.model_dump_json())
    return folder


@pytest.mark.parametrize("kind", [np.uint8, np.int16])
def test_a_built_data_set_there_and_back(tmp_path: Path, kind: type[np.integer[Any]]) -> None:
    pixels = np.arange(120, dtype=kind).reshape(SHAPE)
    source = built(tmp_path / "built", Image(pixels=pixels), chain(2), chain(3))
    found = convert_to_official(source, tmp_path / "out" / "all.json")
    assert (found.read, found.written) == (2, 2)
    (image,) = (tmp_path / "out" / "images").iterdir()
    with PillowImage.open(image) as opened:
        shown = np.asarray(opened.convert("RGB"))
    assert shown.shape == (*SHAPE, 3)
    if kind is np.uint8:
        np.testing.assert_array_equal(shown[..., 0], pixels)
    else:
        assert (np.diff(shown[..., 0].reshape(-1).astype(int)) >= 0).all()

    convert_to_typed(tmp_path / "out" / "all.json", tmp_path / "again.jsonl")
    again = list(read_typed(tmp_path / "again.jsonl"))
    name = f"images/{image.name}"
    assert [item.dialogue for item in again] == [chain(2, image=name), chain(3, image=name)]
    assert [item.origin for item in again] == [item.origin for item in read_typed(source)]
    assert [item.origin["id"] for item in again] == [f"{image.stem}-0", f"{image.stem}-1"]


def test_nothing_is_written_when_something_cannot_be_said(folder: Path) -> None:
    chat = Round(query="Thank you.", text="You are welcome.")
    mixed = chain(2).model_copy(update={"rounds": (*chain(2).rounds, chat)})
    lines(folder / "typed.jsonl", chain(1), mixed, mixed)
    before = content(folder)
    with pytest.raises(
        InexpressibleError, match=r"2 of 3 .*\(typed.jsonl:2: .*draws nothing.*--drop"
    ):
        convert_to_official(folder / "typed.jsonl", folder / "all.json")
    assert content(folder) == before

    found = convert_to_official(folder / "typed.jsonl", folder / "out" / "all.json", drop=True)
    assert (found.read, found.written) == (3, 3)
    assert found.dropped == {"an answer draws nothing": 2}
    assert not found.refused


def test_dropping_whole_dialogues(folder: Path) -> None:
    chat = Dialogue(image="images/x.png", rounds=(Round(query="Hello.", text="Hello."),))
    elsewhere = chain(1, image="images/missing.png")
    lines(folder / "typed.jsonl", chat, elsewhere, chain(2))
    found = convert_to_official(folder / "typed.jsonl", folder / "out" / "all.json", drop=True)
    assert (found.read, found.written) == (3, 1)
    assert sum(found.refused.values()) == 2
    assert found.refused["an answer draws nothing"] == 1


@pytest.fixture
def official(folder: Path) -> Path:
    """A folder of official data: one file of two dialogues."""
    out = folder / "official"
    convert_to_official(folder / "typed.jsonl", out / "all.json", plain=True)
    return out


def edited(official: Path, old: str, new: str) -> Path:
    path = official / "all.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_bad_official_dialogues_are_counted_and_left_out(official: Path, tmp_path: Path) -> None:
    path = edited(official, "[MASK-ENCODE:masks/x_r1.png]", "")
    with pytest.raises(InexpressibleError, match=r"1 of 2 .*\(dialogue 1: "):
        convert_to_typed(path, tmp_path / "out" / "typed.jsonl")
    assert not (tmp_path / "out" / "typed.jsonl").exists()
    found = convert_to_typed(path, tmp_path / "out" / "typed.jsonl", drop=True)
    assert (found.read, found.written, sum(found.refused.values())) == (2, 1, 1)
    assert json.dumps(found.as_json())


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a\\\\b.png"])
def test_files_outside_the_folder_are_not_opened(official: Path, tmp_path: Path, name: str) -> None:
    picture(official.parent / "secret.png", blob(1).astype(np.uint8))
    path = edited(official, "masks/x_r0.png", name)
    with pytest.raises(InexpressibleError, match="outside the data's folder"):
        convert_to_typed(path, tmp_path / "out" / "typed.jsonl")


def test_masks_and_images_of_different_sizes(official: Path, tmp_path: Path) -> None:
    picture(official / "images" / "x.png", np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(InexpressibleError, match="another size than its image"):
        convert_to_typed(official / "all.json", tmp_path / "out" / "typed.jsonl")


def test_a_missing_mask_is_named(official: Path, tmp_path: Path) -> None:
    (official / "masks" / "x_r2.png").unlink()
    with pytest.raises(InexpressibleError, match="x_r2.png"):
        convert_to_typed(official / "all.json", tmp_path / "out" / "typed.jsonl")


def test_masks_of_several_values_need_the_quirk(official: Path, tmp_path: Path) -> None:
    pixels = np.where(blob(1), 255, 0).astype(np.uint8)
    pixels[0, 0] = 254
    picture(official / "masks" / "x_r0.png", pixels)
    with pytest.raises(InexpressibleError, match="different values"):
        convert_to_typed(official / "all.json", tmp_path / "a.jsonl")
    quirks = OfficialQuirks(only_255_is_mask=True)
    convert_to_typed(official / "all.json", tmp_path / "a.jsonl", quirks=quirks)
    first = next(read_typed(tmp_path / "a.jsonl")).dialogue
    assert first.rounds[0].entities[0].mask == chain(1).rounds[0].entities[0].mask


def test_odd_spelling_is_counted(official: Path, tmp_path: Path) -> None:
    path = edited(official, ', "ind": 0', "")
    found = convert_to_typed(path, tmp_path / "a.jsonl")
    assert (found.written, found.respelled) == (2, 1)


def test_other_content_is_not_overwritten(folder: Path) -> None:
    picture(folder / "out" / "images" / "x.png", np.zeros((*SHAPE, 3), np.uint8))
    with pytest.raises(OutputError, match="other content"):
        convert_to_official(folder / "typed.jsonl", folder / "out" / "all.json")


def test_one_object_is_read_like_a_list_of_one(official: Path, tmp_path: Path) -> None:
    """As the sample of the official release is; its loader needs a list."""
    value = json.loads((official / "all.json").read_text())[1]
    (official / "all.json").write_text(json.dumps(value))
    assert convert_to_typed(official / "all.json", tmp_path / "a.jsonl").written == 1


# ------------------------------------------------------------------------------ JSON lists

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=3), max_size=5))
def test_items_are_read_as_written(tmp_path_factory: pytest.TempPathFactory, items: Any) -> None:
    path = tmp_path_factory.mktemp("items") / "a.json"
    with path.open("wb") as handle:
        writer = ItemWriter(handle)
        for item in items:
            writer.write(item)
        writer.close()
    assert list(read_items(path)) == items == json.loads(path.read_text())
    path.write_text(json.dumps(items, indent=3))
    assert list(read_items(path)) == items


def test_items_longer_than_a_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mediround.data.official.json_items._CHUNK", 3)
    items = [{"a": "x" * 50}, {"b": [1, {"c": "]"}]}, {}]
    (tmp_path / "a.json").write_text("\ufeff" + json.dumps(items, indent=1))
    assert list(read_items(tmp_path / "a.json")) == items


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "[",
        "[{}",
        "[{},",
        "[{},]",
        "[,{}]",
        "[{} {}]",
        "[{}] x",
        '[{"a": }]',
        '{"a": 1',
        "x",
    ],
)
def test_damaged_lists_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DatasetError, match="is not a file of dialogues"):
        list(read_items(tmp_path / "a.json"))


@pytest.mark.parametrize("text", ["x\n", "[]\n", '{"rounds": 3}\n', '{"dialogue": {}}\n'])
def test_damaged_lines_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(DatasetError, match="a.jsonl:1 is no typed dialogue"):
        list(read_typed(tmp_path / "a.jsonl"))


def test_a_folder_that_was_not_built(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no dataset.json"):
        list(read_typed(tmp_path))
    with pytest.raises(DatasetError, match="cannot be read"):
        list(read_typed(tmp_path / "missing.jsonl"))
    with pytest.raises(DatasetError, match="cannot be read"):
        list(read_items(tmp_path / "missing.json"))


def test_an_image_that_is_no_image(folder: Path) -> None:
    (folder / "images" / "x.png").write_bytes(b"no picture")
    with pytest.raises(InexpressibleError, match="x.png"):
        convert_to_official(folder / "typed.jsonl", folder / "out" / "all.json")
    with pytest.raises(ImageFileError):
        Root(folder).image_size("images/x.png")
