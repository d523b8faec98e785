"""Baselines are settings: what is asked and shown in each, and where the floor lies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mediround.dialogue import Dialogue, Entity, Relation, Round
from mediround.errors import ConfigError
from mediround.evaluation.conduct import conduct
from mediround.evaluation.evaluate import evaluate
from mediround.evaluation.location import learn, placement_of
from mediround.evaluation.plan import EvaluationSettings
from mediround.evaluation.pool import ModelSource
from mediround.evaluation.selection import choose
from mediround.evaluation.settings import BASELINES
from mediround.evaluation.switches import corrected, corrects, deducing
from mediround.geometry import BoolMask
from mediround.session import Model

Masks = Mapping[str, BoolMask]
PLACE = ("made", "p1", "p1_3", 0)


@pytest.fixture
def masks(abdomen: Callable[..., dict[str, BoolMask]]) -> Masks:
    return abdomen()


@pytest.fixture
def dialogue(masks: Masks) -> Dialogue:
    """A liver [1], then something unnamed behind it [2], then an absent structure."""
    return Dialogue(
        rounds=(
            Round(
                query="The liver.",
                text="The liver is [1].",
                entities=(Entity.from_mask(1, masks["liver"], name="liver"),),
                relation=Relation(kind="name"),
            ),
            Round(
                query="What lies behind [1]? Do not name it.",
                text="It is [2].",
                entities=(Entity.from_mask(2, masks["aorta"], name="aorta", refers_to=(1,)),),
                relation=Relation(kind="behind", references=(1,)),
            ),
            Round(
                query="The amygdala.",
                text="There is no amygdala in this image.",
                relation=Relation(kind="absent"),
            ),
        )
    )


def run(scripted: Any, answer: Any, dialogue: Dialogue, masks: Masks, name: str) -> Any:
    def reply(first: int, query: str, shown: Sequence[BoolMask]) -> Any:
        if "amygdala" in query:
            return answer("There is no amygdala in this image.")
        target = "liver" if "liver" in query else "aorta"
        return answer(f"The {target} is [{first}].", masks[target])

    session, script = scripted(reply)
    rng = np.random.default_rng(0)
    cases = conduct(session, dialogue, masks, BASELINES[name], PLACE, rng)
    assert all(case.baseline == name and case.setting == BASELINES[name] for case in cases)
    assert [None if c.overlap is None else c.overlap.dice for c in cases] == [1, 1, None]
    return session, script


def test_single_round_forgets_the_words_and_keeps_the_masks(
    scripted: Any, answer: Any, dialogue: Dialogue, masks: Masks
) -> None:
    session, script = run(scripted, answer, dialogue, masks, "single-round")
    assert script.queries == [
        "The liver.",
        "What lies behind [1]? Do not name it.",
        "The amygdala.",
    ]
    assert np.array_equal(script.shown[1][0], masks["liver"])
    assert len(session.turns) == 1  # of the last question alone
    assert script.texts == [None, None, None]


def test_text_rewriting_asks_for_names_and_shows_nothing(
    scripted: Any, answer: Any, dialogue: Dialogue, masks: Masks
) -> None:
    session, script = run(scripted, answer, dialogue, masks, "text-rewriting")
    assert script.queries == ["Segment the liver.", "Segment the aorta.", "The amygdala."]
    assert script.shown == [[], [], []]
    assert len(session.turns) == 3


def test_lisa_style_keeps_the_words_and_shows_nothing(
    scripted: Any, answer: Any, dialogue: Dialogue, masks: Masks
) -> None:
    session, script = run(scripted, answer, dialogue, masks, "lisa-style")
    assert script.queries[1] == "What lies behind [1]? Do not name it."
    assert script.shown[1][0].all()
    assert len(session.turns) == 3


def test_jcm_is_left_out_where_nothing_corrects(dataset: Path, tiny: Model, tmp_path: Path) -> None:
    settings = EvaluationSettings(
        limit=1, curves=False, ablations=False, boundary=False, baselines=("jcm", "lisa-style")
    )
    found = evaluate(ModelSource("tiny", "cpu"), dataset, tmp_path, settings)["baselines"]
    assert not corrects(tiny)
    assert set(found) == {"lisa-style"}


def test_closed_set_says_the_names_too(
    scripted: Any, answer: Any, dialogue: Dialogue, masks: Masks
) -> None:
    session, script = run(scripted, answer, dialogue, masks, "closed-set")
    assert script.texts == [
        "The liver is [1].",
        "The aorta is [1].",
        "There is no amygdala in this image.",
    ]
    assert len(session.turns) == 1


def test_usual_places_follow_the_training_patients(dataset: Path) -> None:
    priors = learn(choose(dataset, "train", None, 1))
    (each, *_) = (e for case in choose(dataset, "validation", 1, 1) for e in case.read())
    placement = placement_of(each.image)
    truth = each.masks()
    named = priors.draw("liver", placement, named=True)
    assert named.shape == each.image.size
    both = (named & truth["liver"]).sum() * 2 / (named.sum() + truth["liver"].sum())
    assert both > 0.7
    majority = priors.draw("spleen", placement, named=False)
    assert np.array_equal(majority, priors.draw(priors.majority, placement, named=True))
    assert not priors.draw("amygdala", placement, named=True).any()


def test_every_baseline_is_in_the_report(dataset: Path, tmp_path: Path) -> None:
    settings = EvaluationSettings(
        text="gold",
        curves=False,
        ablations=False,
        boundary=False,
        baselines=("closed-set", "majority-location", "named-location"),
    )
    report = evaluate(ModelSource("tiny", "cpu"), dataset, tmp_path, settings)
    found = report["baselines"]
    assert list(found) == [name for name in settings.baselines if name != "jcm"]
    for each in found.values():
        assert each["rounds"]["all"]["n"] == report["rounds"]["all"]["n"]
        assert each["difference"]["n"] == report["rounds"]["all"]["n"]
    dice = {name: each["rounds"]["all"]["dice"] for name, each in found.items()}
    assert dice["named-location"] > 0.5 > dice["majority-location"]
    assert "## Baselines" in (tmp_path / "report.md").read_text()


def test_an_unknown_baseline_is_refused() -> None:
    with pytest.raises(ConfigError, match="baseline 'lisa'; expected one of single-round"):
        EvaluationSettings(baselines=("lisa",))


def test_correction_is_switched_and_put_back(tiny: Model) -> None:
    network = tiny.network
    assert network.corrector is None
    with (
        pytest.raises(ConfigError, match="'tiny' has no correction"),
        corrected(tiny, "on"),
    ):
        pass
    with corrected(tiny, "off"):
        pass
    # Any part will do: it is not called here.
    network.corrector = network.judge  # type: ignore[assignment]
    try:
        with corrected(tiny, "off"):
            assert [network.correcting] == [False]
        with corrected(tiny, None):
            assert network.correcting is True
        assert network.correcting
    finally:
        network.corrector = None


def test_deduction_is_switched_and_put_back(tiny: Model) -> None:
    network = tiny.network
    with deducing(tiny, wanted=False):
        assert [network.deducing] == [False]
        with deducing(tiny, wanted=True):
            assert [network.deducing] == [False]  # what is off is not switched on
    with deducing(tiny, wanted=True):
        assert [network.deducing] == [True]
    assert network.deducing
