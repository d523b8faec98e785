from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.rewriting.stub import Stub, network, polite, serving

from mediround.data.rewriting.endpoint import Endpoint
from mediround.data.rewriting.rewriter import Rewriter, RewriteSettings, RewriteTally, estimate
from mediround.dialogue import Dialogue, Entity, Relation, Round
from mediround.errors import EndpointError

MASK = np.eye(4, dtype=bool)


def named(query: str, name: str, number: int) -> Round:
    text = f"The {name} is [{number}]."
    return Round(query=query, text=text, entities=(entity(number, name),))


def entity(number: int, name: str) -> Entity:
    return Entity.from_mask(number, MASK, name=name)


def dialogue(seed: int = 0) -> Dialogue:
    """Named, unnamed, without mask, and one whose words depend on the round before."""
    sizes = ("the larger of [1] and [2]", "the bigger one of [1] and [2]")
    return Dialogue(
        rounds=(
            named("Segment the liver.", "liver", 1),
            named("Show me the spleen.", "spleen", 2),
            Round(
                query=f"Outline {sizes[seed % 2]}. Do not name it.",
                text="It is [3].",
                entities=(entity(3, "liver"),),
                relation=Relation(kind="larger_of", references=(1, 2)),
            ),
            Round(
                query="No, the other one.",
                text="The spleen is [4].",
                entities=(entity(4, "spleen"),),
                relation=Relation(kind="correction", references=(1, 2)),
            ),
            Round(query="How large is [1]?", text="It covers 3 % of the image."),
        )
    )


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving(Stub()) as served:
        yield served


def rewriter(stub: Stub, cache: Path | None = None, **changes: Any) -> Rewriter:
    settings = RewriteSettings(url=stub.url, model="m", **{"timeout": 5.0, "batch": 2, **changes})
    endpoint = Endpoint(settings, sleep=lambda seconds: None, transport=network())
    return Rewriter(settings, cache, endpoint=endpoint)


def queries(dialogues: list[Dialogue]) -> list[str]:
    return [each.query for every in dialogues for each in every.rounds]


def without_queries(each: Dialogue) -> dict[str, Any]:
    content = each.model_dump()
    for every in content["rounds"]:
        del every["query"]
    return content


def test_questions_get_new_words_and_nothing_else_changes(stub: Stub) -> None:
    original = dialogue()
    with rewriter(stub) as rewriting:
        (new,) = rewriting.rewrite([original])
    assert queries([new]) == [
        polite("Segment the liver."),
        polite("Show me the spleen."),
        polite("Outline the larger of [1] and [2].") + " Do not name it.",
        "No, the other one.",
        polite("How large is [1]?"),
    ]
    assert without_queries(new) == without_queries(original)
    assert Dialogue.model_validate(new.model_dump()) == new
    tally = rewriting.tally
    assert (tally.asked, tally.rewritten, tally.left_alone, tally.requests) == (4, 4, 1, 2)
    assert (tally.input_tokens, tally.output_tokens) == (200, 100)


def test_the_request_not_to_name_is_never_sent(stub: Stub) -> None:
    with rewriter(stub) as rewriting:
        rewriting.rewrite([dialogue()])
    assert not [text for text in stub.questions if "name" in text]
    assert sorted(stub.questions) == sorted(set(stub.questions))


@pytest.mark.parametrize(
    ("reword", "reason"),
    [
        (lambda text: text.replace("[1]", "[2]"), "references"),
        (lambda text: text.replace("larger", "liver, the larger"), "leak"),
        (lambda text: text.replace("larger", "hepatic larger"), "leak"),
        (lambda text: text.replace("larger", "smaller"), "meaning"),
        (lambda text: text.replace("Outline", "Name and outline"), "request"),
        (lambda text: "", "form"),
    ],
)
def test_a_bad_rewrite_keeps_the_original_and_is_counted(
    stub: Stub, reword: Any, reason: str
) -> None:
    stub.reword = reword
    original = dialogue()
    with rewriter(stub) as rewriting:
        (new,) = rewriting.rewrite([original])
    assert new.rounds[2] == original.rounds[2]
    assert rewriting.tally.rejected[reason] >= 1


def test_the_same_words_back_are_no_rewrite(stub: Stub) -> None:
    stub.reword = lambda text: f" {text} "
    with rewriter(stub) as rewriting:
        assert rewriting.rewrite([dialogue()]) == [dialogue()]
    assert rewriting.tally.unchanged == 4


@pytest.mark.parametrize("step", ["500", "slow", "429 after 1", "cut off", "half"])
def test_what_stays_unanswered_keeps_its_words(stub: Stub, step: str) -> None:
    stub.always = step
    original = dialogue()
    with rewriter(stub, timeout=0.2, attempts=2, batch=8) as rewriting:
        (new,) = rewriting.rewrite([original])
    kept = sum(a == b for a, b in zip(new.rounds, original.rounds, strict=True))
    assert rewriting.tally.unanswered == kept - 1 == (2 if step == "half" else 4)


def test_a_second_run_sends_nothing_and_gives_the_same(stub: Stub, tmp_path: Path) -> None:
    cache = tmp_path / "cache.sqlite"
    dialogues = [dialogue(0), dialogue(1)]
    with rewriter(stub, cache) as rewriting:
        first = rewriting.rewrite(dialogues)
    sent = len(stub.requests)
    stub.always = "401"
    with rewriter(stub, cache) as rewriting:
        assert rewriting.rewrite(dialogues) == first
    assert len(stub.requests) == sent
    assert rewriting.tally.cached == rewriting.tally.asked == 8


def test_answers_before_a_refusal_are_kept(stub: Stub, tmp_path: Path) -> None:
    cache = tmp_path / "cache.sqlite"
    stub.plan.extend(["ok", "403"])
    with rewriter(stub, cache, parallel=1) as rewriting, pytest.raises(EndpointError):
        rewriting.rewrite([dialogue()])
    with rewriter(stub, cache) as rewriting:
        rewriting.rewrite([dialogue()])
    assert rewriting.tally.cached == 2


def test_bad_answers_are_cached_and_refused_again(stub: Stub, tmp_path: Path) -> None:
    cache = tmp_path / "cache.sqlite"
    stub.reword = lambda text: text.replace("[1]", "[7]")
    for _ in range(2):
        with rewriter(stub, cache) as rewriting:
            rewriting.rewrite([dialogue()])
        assert rewriting.tally.rejected["references"] == 2


def test_equal_questions_of_equal_keys_get_equal_words(stub: Stub) -> None:
    count = 40
    stub.reword = polite
    twins = [dialogue() for _ in range(count)]
    with rewriter(stub, variants=6) as rewriting:
        same = rewriting.rewrite(twins, keys=["pair"] * count)
        assert len({each.rounds[2].query for each in same}) == 1
    before = len(stub.questions)
    with rewriter(stub, variants=6) as rewriting:
        rewriting.rewrite(twins, keys=[str(number) for number in range(count)])
    assert len(stub.questions) - before > 12  # several manners of each of four questions


def test_unequal_numbers_of_dialogues_and_keys_are_refused(stub: Stub) -> None:
    with rewriter(stub) as rewriting, pytest.raises(ValueError, match="zip"):
        rewriting.rewrite([dialogue()], keys=[])


def test_an_unnamed_round_without_known_request_is_left_alone(stub: Stub) -> None:
    query = "Mum's the word: outline it."
    unnamed = Round(query=query, text="It is [1].", entities=(entity(1, "liver"),))
    strange = Dialogue(rounds=(unnamed,))
    with rewriter(stub) as rewriting:
        assert rewriting.rewrite([strange]) == [strange]
    assert rewriting.tally.left_alone == 1
    assert stub.requests == []


def test_nothing_to_do_sends_nothing(stub: Stub) -> None:
    with rewriter(stub) as rewriting:
        assert rewriting.rewrite([]) == []
    assert stub.requests == []


def test_the_estimate_sends_nothing_and_counts_what_is_sent(stub: Stub, tmp_path: Path) -> None:
    cache = tmp_path / "cache.sqlite"
    dialogues = [dialogue(0), dialogue(1), dialogue(0)]
    settings = RewriteSettings(url=stub.url, model="m", batch=2, input_price=1.0, output_price=2.0)
    guess = estimate(iter(dialogues), settings, cache)
    assert stub.requests == []
    assert not cache.exists()
    assert (guess.questions, guess.distinct, guess.cached, guess.requests) == (12, 5, 0, 3)
    assert guess.cost is not None
    assert guess.cost == pytest.approx((guess.input_tokens + 2 * guess.output_tokens) / 1e6)
    with rewriter(stub, cache) as rewriting:
        rewriting.rewrite(dialogues)
    assert len(stub.requests) == guess.requests
    assert len(stub.questions) == guess.distinct
    after = estimate(dialogues, settings, cache)
    assert (after.cached, after.requests, after.input_tokens, after.cost) == (5, 0, 0, 0.0)


def test_the_estimate_without_prices_has_no_cost() -> None:
    settings = RewriteSettings(url="http://host/v1", model="m")
    guess = estimate([dialogue()], settings)
    assert guess.cost is None
    assert str(guess).startswith("4 questions, 4 distinct, 0 cached: 1 requests, about ")
    assert str(guess).endswith("cost unknown without prices")


def test_tallies_add_up() -> None:
    one, other = RewriteTally(asked=2), RewriteTally(asked=3, requests=1)
    one.rejected["leak"] += 1
    other.rejected["leak"] += 2
    total = one + other
    assert (total.asked, total.requests, total.rejected) == (5, 1, {"leak": 3})
    assert total.as_dict()["rejected"] == {"leak": 3}
