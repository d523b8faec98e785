"""Twins: what is asked, and what counts as right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mediround.data.scene.relations import RelationKind
from mediround.data.words.wording import requests_without_name
from mediround.evaluation import swapped, swapped_report
from mediround.evaluation.pool import ModelSource
from mediround.evaluation.selection import ChosenCase, choose
from mediround.evaluation.swapped import Pair, SwappedSettings, plan, verdict
from mediround.geometry import BoolMask
from mediround.session import Model

TWO = (RelationKind.IDENTITY, RelationKind.COUNTERPART)


@pytest.fixture(scope="module")
def chosen(dataset: Path) -> list[ChosenCase]:
    return choose(dataset, "all", None, 20)


def referenced(pair: Pair) -> list[list[str | None]]:
    return [[entity.name for entity in twin.given] for twin in pair.twins]


def test_twins_have_the_same_words_and_ask_for_different_structures(
    chosen: list[ChosenCase],
) -> None:
    pairs = plan(chosen, SwappedSettings(pairs=12))
    assert {pair.kind for pair in pairs} >= set(TWO)
    for pair in pairs:
        one, other = (twin.rounds[0] for twin in pair.twins)
        assert one.query == other.query
        assert one.query.endswith(requests_without_name("heldout"))
        assert one.entities[0].name != other.entities[0].name
        first, second = referenced(pair)
        assert sorted(map(str, first)) != sorted(map(str, second))


def test_pairs_are_spread_over_slices_and_limited(chosen: list[ChosenCase]) -> None:
    def per_slice(pairs: list[Pair]) -> Counter[str]:
        return Counter(pair.slice for pair in pairs)

    few = plan(chosen, SwappedSettings(kinds=(RelationKind.COUNTERPART,), pairs=10))
    assert sorted(per_slice(few).values()) == [1] * 10
    many = plan(chosen, SwappedSettings(kinds=(RelationKind.COUNTERPART,), pairs=999, per_slice=3))
    assert sorted(per_slice(many).values()) == [3] * 10
    texts = {(pair.slice, pair.twins[0].rounds[0].query) for pair in many}
    assert len(texts) == len(many)


def test_data_sets_take_turns(
    chosen: list[ChosenCase], write_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    small = choose(write_dataset(tmp_path / "Dataset902_Small", 5), "validation", None, 20)
    pairs = plan([*chosen, *small], SwappedSettings(kinds=TWO[:1], pairs=9, per_slice=2))
    assert Counter(pair.source.dataset for pair in pairs) == {
        "Dataset901_Made": 7,
        "Dataset902_Small": 2,
    }


def test_the_plan_depends_on_its_seed_alone(chosen: list[ChosenCase]) -> None:
    one, again, other = (
        plan(chosen, SwappedSettings(kinds=TWO, pairs=8, seed=seed)) for seed in (0, 0, 1)
    )
    assert one == again
    assert one != other


def oracle(truths: Mapping[bytes, BoolMask], answer: Any) -> Any:
    """Identity: draws what it is shown. Counterpart: the other side of what it is shown."""

    def reply(first: int, query: str, shown: Sequence[BoolMask]) -> Any:
        return answer(f"It is [{first}].", truths.get(shown[0].tobytes(), shown[0]))

    return reply


@pytest.fixture
def asked(
    chosen: list[ChosenCase], scripted_model: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    def run(reply: Any, kind: RelationKind) -> dict[str, Any]:
        model: Model = scripted_model(reply)
        monkeypatch.setattr("mediround.evaluation.pool.load", lambda *_, **__: model)
        settings = SwappedSettings(kinds=(kind,), pairs=10)
        pairs = plan(chosen, settings)
        results = swapped.ask(pairs, settings, ModelSource("tiny", "cpu"))
        assert len(results) == len(pairs) == 10
        rates: dict[str, Any] = swapped_report.build(results, settings)["kinds"][kind.value]
        return rates

    return run


def test_who_looks_at_the_reference_gets_every_pair(asked: Any, answer: Any) -> None:
    rates = asked(oracle({}, answer), RelationKind.IDENTITY)
    assert rates["both_right"]["share"] == rates["both_right_and_unnamed"]["share"] == 1
    assert rates["random_references"]["both_right"]["share"] == 0
    assert rates["random_references"]["right"]["share"] == 0
    assert rates["slices"] == rates["patients"] == 10
    assert rates["datasets"]["Dataset901_Made"]["both_right"]["n"] == 10


def test_who_ignores_the_reference_gets_no_pair(
    asked: Any, answer: Any, abdomen: Callable[..., dict[str, BoolMask]]
) -> None:
    kidney = abdomen(1)["left kidney"]

    def reply(first: int, query: str, shown: Sequence[BoolMask]) -> Any:
        return answer(f"The left kidney is [{first}].", kidney)

    rates = asked(reply, RelationKind.COUNTERPART)
    assert rates["both_right"]["share"] == 0
    assert rates["right"]["share"] == 0.5
    low, high = rates["both_right"]["ci95"]
    assert low == 0
    assert 0.2 < high < 0.4


def test_a_name_in_the_text_spoils_the_stricter_rate_alone(asked: Any, answer: Any) -> None:
    def reply(first: int, query: str, shown: Sequence[BoolMask]) -> Any:
        return answer(f"The liver is [{first}].", shown[0])

    rates = asked(reply, RelationKind.IDENTITY)
    assert rates["both_right"]["share"] == 1
    assert rates["both_right_and_unnamed"]["share"] == 0


def test_right_is_one_mask_nearest_to_the_target(
    abdomen: Callable[..., dict[str, BoolMask]],
) -> None:
    masks = abdomen()
    liver, spleen = masks["liver"], masks["spleen"]

    def right(*drawn: BoolMask) -> bool:
        return verdict(drawn, "liver", masks, unnamed=True).right

    assert right(liver)
    assert not right()
    assert not right(spleen)
    assert not right(liver, spleen)
    assert not right(np.zeros_like(liver))
    crumb = np.zeros_like(liver)
    crumb[tuple(np.argwhere(liver)[0])] = True
    assert not right(crumb)  # the nearest, but hardly any of it
    both = liver | spleen
    assert right(both)
    assert not verdict([both], "spleen", masks, unnamed=True).right
