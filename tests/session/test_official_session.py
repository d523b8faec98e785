"""The paper's model in a session: any rounds, everything computed once, nothing changed by it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mediround.config import CorrectionConfig, ModelConfig, SamVitConfig
from mediround.errors import QueryError
from mediround.model.loading import compose
from mediround.model.official.sam import SamSegmenter
from mediround.presets import official_tiny
from mediround.session import Model, Session
from mediround.session.source import Source

Pictures = Callable[[int], NDArray[np.float64]]

ROUNDS = (
    ("Segment the liver.", "Sure, it is [1]."),
    ("The organ opposite [1].", "The segment is [2]."),
    ("Now the left kidney.", "Sure, [3]."),
    ("The pair of [2] beside [1].", "[4]."),
    ("What lies behind [1]?", "It is [5]."),
    ("Both beside [1].", "The one is [6] and the other [7]."),
)


def config(correction: CorrectionConfig | None = None) -> ModelConfig:
    """Small enough for a test: SAM at 128 pixels instead of 1024."""
    return dataclasses.replace(
        official_tiny(),
        vision=SamVitConfig(
            side=128, width=32, layers=2, heads=2, mlp=64, window=4, global_layers=(1,), out=64
        ),
        decoder=dataclasses.replace(official_tiny().decoder, width=64, mlp=64),
        correction=correction or official_tiny().correction,
    )


def made(settings: ModelConfig | None = None) -> Model:
    """Random weights, strong enough that every part shows in the masks."""
    network = compose(settings or config())
    with torch.no_grad():
        for part in (network.projection, network.language.inner):
            for parameter in part.parameters():
                if parameter.ndim > 1:
                    parameter.mul_(10)
    return Model(network.eval().requires_grad_(False), "official-tiny", "0" * 64)


@pytest.fixture(scope="module")
def model() -> Model:
    return made()


def held(model: Model, pixels: NDArray[Any], *, keep_cache: bool = True) -> Session:
    return Session(model, model.open(pixels).image, Source(), keep_cache=keep_cache)


def converse(session: Session) -> list[tuple[float, NDArray[np.bool_]]]:
    found = []
    for query, text in ROUNDS:
        for entity in session.ask(query, text=text).entities:
            assert entity.mask is not None
            assert entity.score is not None
            found.append((entity.score, entity.mask))
    return found


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> tuple[Model, Counter[str]]:
    """A model, and how often its encoders and how many positions of its language model ran."""
    model, calls = made(), Counter[str]()
    network = model.network

    def count(part: Any, name: str, size: Callable[..., int]) -> None:
        original = getattr(part, name)

        def counting(*inputs: Any, **named: Any) -> Any:
            calls[name] += size(*inputs)
            return original(*inputs, **named)

        monkeypatch.setattr(part, name, counting)

    count(network.segmenter, "trunk", len)
    count(network.perception, "features", len)
    count(network.language, "forward", lambda vectors, *_: vectors.shape[1])
    return model, calls


def test_a_dialogue_costs_one_image_and_one_crop_a_mask(
    counted: tuple[Model, Counter[str]], picture: Pictures
) -> None:
    model, calls = counted
    session = held(model, picture(0))
    converse(session)
    referred = {1, 2}  # by the questions, some of them four times
    assert calls["trunk"] == 1
    assert calls["features"] == 1 + len(referred)
    prompt = model.network.prompter.write(session.dialogue.rounds)
    # Read once each; only the end of an answer and of a question are read again.
    assert calls["forward"] <= len(prompt.ids) + 3 * len(ROUNDS)


def test_what_is_kept_changes_no_mask(model: Model, picture: Pictures) -> None:
    kept, anew = (converse(held(model, picture(0), keep_cache=keep)) for keep in (True, False))
    assert len(kept) == 7
    for (score, mask), (other_score, other) in zip(kept, anew, strict=True):
        assert score == pytest.approx(other_score, abs=1e-4)
        assert (mask != other).sum() <= 4
    assert len({mask.tobytes() for _, mask in kept}) >= 6


def test_logits_with_kept_keys_and_values_are_those_without(
    model: Model, picture: Pictures
) -> None:
    logits: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    network, original = model.network, model.network.draw
    for keep, found in logits.items():

        def draw(*inputs: Any, found: list[torch.Tensor] = found) -> Any:
            drawn = original(*inputs)
            found.append(drawn.logits)
            return drawn

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(network, "draw", draw)
            converse(held(model, picture(1), keep_cache=keep))
    for one, other in zip(logits[True], logits[False], strict=True):
        torch.testing.assert_close(one, other, atol=5e-4, rtol=1e-4)


def test_later_rounds_see_a_correction_by_hand(model: Model, picture: Pictures) -> None:
    sessions = [held(model, picture(0)) for _ in range(2)]
    mask = np.zeros((60, 72), dtype=bool)
    mask[5:20, 40:60] = True
    found = []
    for session, change in zip(sessions, (False, True), strict=True):
        session.ask(ROUNDS[0][0], text=ROUNDS[0][1])
        if change:
            session.entities[1].replace(mask)
        turn = session.ask(ROUNDS[1][0], text=ROUNDS[1][1])
        assert turn.entities[0].mask is not None
        found.append(turn.entities[0].mask)
    assert (found[0] != found[1]).any()


@pytest.mark.parametrize("rounds", [ROUNDS[:1], (ROUNDS[0], ROUNDS[2], ("Spleen.", "It is [3]."))])
def test_one_round_and_rounds_without_any_reference(
    model: Model, picture: Pictures, rounds: tuple[tuple[str, str], ...]
) -> None:
    session = held(model, picture(2))
    for number, (query, text) in enumerate(rounds, start=1):
        turn = session.ask(query, text=text.replace("[3]", f"[{number}]"))
        assert turn.entities[0].mask is not None
        assert turn.entities[0].mask.shape == (60, 72)


def test_more_than_twelve_rounds(model: Model, picture: Pictures) -> None:
    session = held(model, picture(3))
    for number in range(1, 15):
        session.ask(
            "Next." if number == 1 else f"Beside [{number - 1}].", text=f"It is [{number}]."
        )
    assert len(session.turns) == 14


def test_it_speaks_for_itself(model: Model, picture: Pictures) -> None:
    texts = [held(model, picture(0)).ask("Segment the liver.").text for _ in range(2)]
    assert texts[0] == texts[1]


def test_an_empty_mask_cannot_be_referred_to(model: Model, picture: Pictures) -> None:
    session = held(model, picture(0))
    session.ask(ROUNDS[0][0], text=ROUNDS[0][1])
    view = model.encode(session.image).view
    with pytest.raises(QueryError, match="mask without pixels"):
        view.mark(np.zeros((60, 72), dtype=bool))
    assert len(session.turns) == 1


def scores(picture: Pictures, *, keep: str, threshold: float, correcting: bool = True) -> Any:
    """(logits, score, corrected) of one mask of a model that corrects like this."""
    settings = CorrectionConfig(
        judge="paper", corrector=True, threshold=threshold, keep="corrected"
    )
    network = made(config(dataclasses.replace(settings, keep=keep))).network  # type: ignore[arg-type]
    network.correcting = correcting
    generator = torch.Generator().manual_seed(1)
    with torch.inference_mode():
        pixels = torch.randn(3, 128, 128, generator=generator), torch.zeros(3, 336, 336)
        states = torch.randn(6, network.language.width, generator=generator)
        return network.draw(network.see(*pixels), states)


def test_nothing_is_corrected_above_the_threshold(picture: Pictures) -> None:
    drawn = scores(picture, keep="better", threshold=0.0)
    assert not drawn.corrected.any()


def test_as_published_every_bad_mask_is_replaced_and_keeps_its_score(picture: Pictures) -> None:
    plain = scores(picture, keep="corrected", threshold=1.0, correcting=False)
    drawn = scores(picture, keep="corrected", threshold=1.0)
    assert drawn.corrected.all()
    assert not plain.corrected.any()
    torch.testing.assert_close(drawn.scores, plain.scores)
    assert ((drawn.logits - plain.logits).abs().amax((1, 2)) > 1e-4).all()


def test_the_better_of_two_masks_is_kept(picture: Pictures) -> None:
    plain = scores(picture, keep="better", threshold=1.0, correcting=False)
    drawn = scores(picture, keep="better", threshold=1.0)
    assert drawn.corrected.any()
    taken = drawn.corrected
    assert (drawn.scores >= plain.scores).all()
    assert (drawn.scores[taken] > plain.scores[taken]).all()
    torch.testing.assert_close(drawn.logits[~taken], plain.logits[~taken])


@pytest.mark.parametrize(("score", "corrected"), [(0.5, True), (0.59, True), (0.6, False)])
def test_the_threshold_is_the_number_that_was_written(score: float, *, corrected: bool) -> None:
    network = made().network
    said = torch.full((1, 1), score)  # the float next to 0.6 is above 0.6, as recorded

    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(network.judge, "foresee", lambda *_: said)
        patch.setattr(network, "config", config(replaced(threshold=0.6, keep="corrected")))
        image = network.see(torch.zeros(3, 128, 128), torch.zeros(3, 336, 336))
        drawn = network.draw(image, torch.ones(1, network.language.width))
    assert drawn.corrected.tolist() == [corrected]


def replaced(**changes: Any) -> CorrectionConfig:
    return dataclasses.replace(official_tiny().correction, **changes)


@pytest.mark.parametrize("keep", ["better", "corrected"])
def test_a_judge_that_needs_no_mask_has_one_drawn_and_not_two(
    picture: Pictures, keep: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = scores(picture, keep=keep, threshold=1.0)
    assert drawn.corrected.any()
    calls = Counter[str]()
    original = SamSegmenter.decode

    def counting(self: SamSegmenter, image: torch.Tensor, prompts: torch.Tensor) -> Any:
        calls["masks"] += prompts.shape[1]
        return original(self, image, prompts)

    monkeypatch.setattr(SamSegmenter, "decode", counting)
    again = scores(picture, keep=keep, threshold=1.0)
    assert calls["masks"] == len(drawn.scores)
    monkeypatch.setattr("mediround.model.drawing.PromptJudge", ())  # as for any other judge
    twice = scores(picture, keep=keep, threshold=1.0)
    assert calls["masks"] > 2 * len(drawn.scores)
    for field in dataclasses.fields(again):
        one, other = getattr(again, field.name), getattr(twice, field.name)
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_both_judges_serve_either_model(picture: Pictures) -> None:
    for judge in ("evidence", "paper", None):
        settings = CorrectionConfig(judge=judge, corrector=judge is not None)
        session = held(made(config(settings)), picture(0))
        turn = session.ask(ROUNDS[0][0], text=ROUNDS[0][1])
        assert turn.entities[0].score is not None
        assert 0 <= turn.entities[0].score <= 1
        floor = session.model.network.config.unsure_below
        assert turn.entities[0].status == ("unsure" if turn.entities[0].score < floor else "ok")
