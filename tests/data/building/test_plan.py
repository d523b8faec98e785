"""How dialogues are shared out among images, splits and shards."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediround.data.building.journal import Spooled
from mediround.data.building.plan import Plan, plan
from mediround.data.building.settings import BuildSettings, generator
from mediround.errors import ConfigError, DatasetError

ENTITIES = ("aorta", "liver", "spleen", "stomach")


def image(number: int, *, dataset: str = "one", patient: str = "p", **changes: Any) -> Spooled:
    facts: dict[str, Any] = {
        "order": (0, 0, number),
        "key": f"{dataset}-{number}",
        "dataset": dataset,
        "patient": patient,
        "slice": f"slice-{number}",
        "modality": "CT",
        "entities": ENTITIES[: 1 + number % 4],
        "raw_bytes": 100,
        "facts": (0, 1),
        "png": (1, 1),
    }
    return Spooled(**{**facts, **changes})


def settings(**changes: Any) -> BuildSettings:
    return BuildSettings(**{"dialogues": 100, "split": {"train": 0.5, "test": 0.5}, **changes})


def counts(found: Plan) -> dict[str, int]:
    return {each.key: count for shard in found.shards for each, count in shard.images}


IMAGES = st.lists(
    st.tuples(st.sampled_from(["one", "two"]), st.integers(0, 5)), min_size=1, max_size=40
).map(lambda drawn: [image(n, dataset=d, patient=f"p{p}") for n, (d, p) in enumerate(drawn)])


@given(IMAGES, st.integers(1, 300), st.floats(0, 1))
def test_exactly_so_many_dialogues_and_no_patient_in_two_splits(
    images: list[Spooled], dialogues: int, balance: float
) -> None:
    found = plan(images, settings(dialogues=dialogues, balance=balance, shard_dialogues=30))
    given_out = counts(found)
    assert sum(given_out.values()) == dialogues
    assert min(given_out.values()) >= 1
    assert len(given_out) + found.unused == len(images)
    splits: dict[tuple[str, str], set[str]] = {}
    for shard in found.shards:
        for each, _ in shard.images:
            splits.setdefault((each.dataset, each.patient), set()).add(shard.split)
    assert all(len(names) == 1 for names in splits.values())
    for shard in found.shards:
        total = sum(count for _, count in shard.images)
        assert total <= 30 or len(shard.images) == 1


def test_balance_between_data_sets() -> None:
    images = [image(n, patient=f"p{n}", entities=("aorta",)) for n in range(90)]
    images += [image(n, dataset="two", patient=f"q{n}", entities=("aorta",)) for n in range(10)]
    shares = []
    for balance in (0.0, 0.5, 1.0):
        given_out = counts(plan(images, settings(dialogues=1000, balance=balance)))
        shares.append(sum(n for key, n in given_out.items() if key.startswith("two")))
    assert shares == [500, 250, 100]


def test_an_image_with_more_structures_gets_more_dialogues() -> None:
    images = [image(n, patient=f"p{n}", entities=ENTITIES[: 1 + n % 2]) for n in range(8)]
    given_out = counts(plan(images, settings(dialogues=120)))
    assert [given_out[f"one-{n}"] for n in range(8)] == [10, 20] * 4


def test_copies_and_images_without_structures_are_left_out_and_listed() -> None:
    images = [image(0), image(1, patient="q"), image(2, key="one-0", patient="r")]
    images.append(image(3, entities=()))
    found = plan(images, settings(dialogues=10))
    assert set(counts(found)) == {"one-0", "one-1"}
    assert found.duplicates == {"one/slice-2": "one/slice-0"}
    assert found.empty == ("one/slice-3",)


def test_shards_keep_to_their_bytes() -> None:
    images = [image(n, patient=f"p{n}", raw_bytes=400) for n in range(20)]
    found = plan(images, settings(split={"train": 1.0}, shard_bytes=1000))
    assert Counter(len(shard.images) for shard in found.shards) == {2: 10}
    assert [shard.path for shard in found.shards[:2]] == [
        "train/shard-00000.tar",
        "train/shard-00001.tar",
    ]


def test_nothing_to_ask_for_is_an_error() -> None:
    with pytest.raises(DatasetError, match="none of 1 labelled slices shows a structure"):
        plan([image(0, entities=())], settings())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dialogues": 0}, "0 dialogues"),
        ({"balance": 1.5}, "balance is 1.5"),
        ({"split": {"train": 0.5}}, "positive shares that add up to 1"),
        ({"split": {"../x": 1.0}}, "a split is called '../x'"),
    ],
)
def test_settings_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(**changes)


def test_every_name_has_random_numbers_of_its_own() -> None:
    drawn = [generator(*names).integers(2**60) for names in ((0, "a"), (1, "a"), (0, "b"))]
    assert len(set(drawn)) == 3
    assert generator(0, "a").integers(2**60) == drawn[0]


def test_other_splits_use_words_of_their_own() -> None:
    assert settings().mixture_of("train").wording_split == "train"
    assert settings().mixture_of("test").wording_split == "heldout"
    assert settings(heldout_wording=False).mixture_of("test").wording_split == "train"
