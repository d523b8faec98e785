from __future__ import annotations

import pytest

from mediround import anatomy
from mediround.data.words import chinese

ATLAS = anatomy.load()


def test_every_structure_of_the_atlas_has_a_chinese_name_of_its_own() -> None:
    owner: dict[str, str] = {}
    for entity in ATLAS:
        assert chinese.names(entity.name), entity.name
        for name in chinese.names(entity.name):
            assert chinese.is_chinese(name)
            assert owner.setdefault(name, entity.name) == entity.name, name


def test_every_chinese_name_is_recognised_in_a_sentence() -> None:
    for entity in ATLAS:
        for name in chinese.names(entity.name):
            assert chinese.recognise(f"请分割{name}。") == (entity.name,), name


def test_a_pair_under_one_name_means_both_sides() -> None:
    assert chinese.recognise("两侧肾脏") == ("left kidney", "right kidney")
    assert chinese.recognise("海马") == ("hippocampus",)


def test_the_longest_name_wins() -> None:
    assert chinese.recognise("左肾上腺和肝脏") == ("left adrenal gland", "liver")


def test_nothing_is_known_of_unknown_structures() -> None:
    assert chinese.names("flux capacitor") == ()
    assert chinese.recognise("这是什么？") == ()


@pytest.mark.parametrize(("text", "expected"), [("肝", True), ("[1] liver。", False), ("", False)])
def test_chinese_is_told_by_its_characters(text: str, expected: bool) -> None:
    assert chinese.is_chinese(text) is expected
