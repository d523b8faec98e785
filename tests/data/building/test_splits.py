from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediround.data.building.splits import (
    Leak,
    cross_dataset,
    leaks,
    merged_by_content,
    split_by_patient,
)
from mediround.errors import ConfigError, DatasetError

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
PATIENTS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4),
    st.sets(st.sampled_from(["liver", "spleen", "aorta"])),
    min_size=1,
    max_size=40,
)


@given(entities_of=PATIENTS, seed=st.integers(0, 99))
def test_every_patient_is_in_one_split_whatever_the_order(
    entities_of: dict[str, set[str]], seed: int
) -> None:
    split_of = split_by_patient(entities_of, SHARES, seed)
    assert split_of.keys() == entities_of.keys()
    assert set(split_of.values()) <= set(SHARES)
    backwards = dict(reversed(entities_of.items()))
    assert split_by_patient(backwards, SHARES, seed) == split_of


@given(entities_of=PATIENTS, seed=st.integers(0, 99))
def test_no_split_is_empty_where_there_are_patients_enough(
    entities_of: dict[str, set[str]], seed: int
) -> None:
    split_of = split_by_patient(entities_of, SHARES, seed)
    assert len(set(split_of.values())) == min(len(SHARES), len(entities_of))


def test_shares_are_kept_and_rare_entities_spread() -> None:
    entities_of = {
        f"p{number:03d}": {"liver", *(["gallbladder"] if number % 20 == 0 else [])}
        for number in range(200)
    }
    for seed in range(5):
        split_of = split_by_patient(entities_of, SHARES, seed)
        sizes = Counter(split_of.values())
        assert {name: pytest.approx(200 * share, abs=4) for name, share in SHARES.items()} == sizes
        rare = Counter(split_of[p] for p, shown in entities_of.items() if "gallbladder" in shown)
        assert set(rare) == set(SHARES)
        assert 6 <= rare["train"] <= 8


def test_seeds_deal_differently() -> None:
    entities_of = {f"p{number}": {"liver"} for number in range(30)}
    assert split_by_patient(entities_of, SHARES, 0) != split_by_patient(entities_of, SHARES, 1)


@pytest.mark.parametrize("shares", [{}, {"train": 0.0}, {"train": -1.0}, {"train": float("nan")}])
def test_impossible_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected a positive share"):
        split_by_patient({"p": {"liver"}}, shares)


def test_whole_data_sets_are_held_out() -> None:
    assert cross_dataset(["b", "a"], ["b"]) == {"a": "train", "b": "test"}
    with pytest.raises(DatasetError, match="'c'"):
        cross_dataset(["a", "b"], ["c"])
    with pytest.raises(DatasetError, match="every data set"):
        cross_dataset(["a"], ["a"])


def test_patients_and_copies_across_splits_are_found() -> None:
    images = [
        ("train", "a", "1"),
        ("train", "a", "2"),
        ("test", "b", "2"),
        ("test", "c", "3"),
        ("validation", "c", "4"),
    ]
    found = leaks(images)
    assert found == [
        Leak("image", "2", ("test", "train")),
        Leak("patient", "c", ("test", "validation")),
    ]
    assert str(found[0]) == "image 2 is in test and train"
    assert leaks(images[:2]) == []


@given(
    images=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 8).map(str)), min_size=1),
    seed=st.integers(0, 9),
)
def test_joined_patients_leave_no_copy_across_splits(
    images: list[tuple[str, str]], seed: int
) -> None:
    joined = merged_by_content(images)
    split_of = split_by_patient({root: set() for root in joined.values()}, SHARES, seed)
    assert leaks((split_of[joined[patient]], patient, content) for patient, content in images) == []


def test_patients_without_copies_stay_themselves() -> None:
    assert merged_by_content([("a", "1"), ("b", "2")]) == {"a": "a", "b": "b"}
    assert merged_by_content([("c", "1"), ("b", "1"), ("b", "2"), ("a", "2")]) == {
        "a": "a",
        "b": "a",
        "c": "a",
    }
