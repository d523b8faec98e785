"""Which slices are chosen, and their random numbers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from mediround.data.sources import NnunetFolder
from mediround.errors import DatasetError
from mediround.evaluation.selection import ChosenCase, choose, find_datasets, generator

Write = Callable[..., Path]


def names(chosen: list[ChosenCase]) -> list[str]:
    return [name for case in chosen for name in case.slices]


def test_a_data_set_and_a_folder_of_data_sets_are_found(
    write_dataset: Write, tmp_path: Path
) -> None:
    first = write_dataset(tmp_path / "Dataset2", 5)
    second = write_dataset(tmp_path / "Dataset1", 5)
    write_dataset(tmp_path / "Dataset3", 5, images=False)
    (tmp_path / "notes").mkdir()
    assert find_datasets(first) == ([first], {})
    assert find_datasets(tmp_path) == ([second, first], {"Dataset3": "no imagesTr"})
    assert find_datasets(tmp_path, ["Dataset2"]) == ([first], {})


def test_what_cannot_be_used_is_said(write_dataset: Write, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no dataset\.json; expected an nnU-Net raw folder"):
        find_datasets(tmp_path)
    with pytest.raises(DatasetError, match=r"no dataset\.json"):
        find_datasets(tmp_path / "missing")
    write_dataset(tmp_path / "Dataset1", 5, images=False)
    with pytest.raises(DatasetError, match="Dataset1 without imagesTr"):
        find_datasets(tmp_path)
    with pytest.raises(DatasetError, match="holds no Dataset7; expected some of Dataset1"):
        find_datasets(tmp_path, ["Dataset7"])


def test_parts_share_no_patient_and_make_up_the_whole(dataset: Path) -> None:
    parts = {part: set(names(choose(dataset, part, None, 20))) for part in ("train", "validation")}
    assert parts["train"] | parts["validation"] == set(names(choose(dataset, "all", None, 20)))
    assert not parts["train"] & parts["validation"]
    assert len(parts["validation"]) == 2
    source = NnunetFolder(dataset)
    assert {each.name for each in source.slices("validation")} == parts["validation"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 10, 50])
def test_a_limit_takes_slices_at_even_distances(dataset: Path, limit: int) -> None:
    everything = names(choose(dataset, "all", None, 20))
    chosen = names(choose(dataset, "all", limit, 20))
    assert len(chosen) == min(limit, len(everything))
    places = [everything.index(name) for name in chosen]
    steps = {after - before for before, after in pairwise(places)}
    assert places == sorted(places)
    assert max(steps, default=0) - min(steps, default=0) <= 1


def test_small_structures_do_not_count(dataset: Path) -> None:
    with pytest.raises(DatasetError, match="has no labelled slices"):
        choose(dataset, "all", None, 10_000)


def test_a_chosen_case_reads_its_slices_alone(dataset: Path) -> None:
    case = choose(dataset, "validation", None, 20)[0]
    assert [each.name for each in case.read()] == list(case.slices)
    assert list(ChosenCase(case.folder, case.case, ()).read()) == []


def test_generators_depend_on_every_name_and_on_nothing_else() -> None:
    def first(*parts: object) -> float:
        return float(generator(*parts).random())  # type: ignore[arg-type]

    assert first(0, "a", "b") == first(0, "a", "b")
    assert len({first(0, "a", "b"), first(1, "a", "b"), first(0, "ab"), first(0, "b", "a")}) == 4
