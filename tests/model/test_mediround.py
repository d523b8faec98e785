from __future__ import annotations

from collections.abc import Sequence
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediround.dialogue import Entity, Round
from mediround.model.kv_cache import KeyValueCache
from mediround.model.mediround import ImageFeatures, MediRound
from mediround.prompt import Prompt


@pytest.fixture(scope="module")
def image(tiny: MediRound) -> ImageFeatures:
    with torch.inference_mode():
        return tiny.see(torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1)))


def dialogue(tiny: MediRound) -> Prompt:
    first = Entity.from_mask(1, np.eye(4, dtype=bool))
    done = Round(query="Liver?", text="It is [1].", entities=(first,))
    return tiny.prompter.write([done], "Beside [1]?")


def references(tiny: MediRound, image: ImageFeatures) -> dict[int, torch.Tensor]:
    mask = torch.zeros(16, 16)
    mask[3:9, 4:12] = 1
    return {1: tiny.refer(image, mask)}


def test_shapes_of_what_is_seen_and_referred_to(tiny: MediRound, image: ImageFeatures) -> None:
    width = tiny.language.width
    assert image.trunk.shape == (1, 16, 16, 16)
    assert image.grid.shape == (1, 16, 16, 16)
    assert image.tokens.shape == (16, width)
    assert references(tiny, image)[1].shape == (*tiny.perception.reference_form, width)


@torch.inference_mode()
def test_slots_hold_what_they_stand_for_and_the_rest_is_text(
    tiny: MediRound, image: ImageFeatures
) -> None:
    prompt, given = dialogue(tiny), references(tiny, image)
    vectors = tiny.embed(prompt, image.tokens, given)
    covered = set()
    for slot in prompt.slots:
        content = image.tokens if slot.key == 0 else given[slot.key]
        place = range(slot.start, slot.start + slot.length)
        torch.testing.assert_close(vectors[list(place)], content)
        covered |= set(place)
    text = [p for p in range(len(prompt.ids)) if p not in covered]
    ids = torch.tensor(prompt.ids)
    torch.testing.assert_close(vectors[text], tiny.language.embed(ids)[text])


@pytest.mark.parametrize("seed", range(6))
@torch.inference_mode()
def test_saying_and_repeating_give_the_same_states(
    tiny: MediRound, image: ImageFeatures, seed: int
) -> None:
    vectors = tiny.embed(dialogue(tiny), image.tokens, references(tiny, image)).clone()
    noise = torch.Generator().manual_seed(seed)
    vectors += torch.randn(vectors.shape, generator=noise) * vectors.std()
    caches = KeyValueCache(), KeyValueCache()
    said = tiny.say(vectors, caches[0], 24)
    repeated = tiny.repeat(vectors, caches[1], said.ids)
    assert repeated.ids == said.ids
    assert len(said.states) == said.ids.count(tiny.language.tokenizer.seg) > 0
    torch.testing.assert_close(repeated.states, said.states, atol=1e-5, rtol=1e-4)
    lengths = {cache.tensors.get_seq_length() for cache in caches}
    assert lengths == {len(vectors) + len(said.ids)}


@pytest.mark.parametrize("seg_state", ["at", "before"])
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
@torch.inference_mode()
def test_an_answer_is_the_same_whatever_is_guessed(
    tiny: MediRound, image: ImageFeatures, seg_state: str, data: st.DataObject
) -> None:
    vectors = tiny.embed(dialogue(tiny), image.tokens, references(tiny, image)).clone()
    noise = torch.Generator().manual_seed(data.draw(st.integers(0, 5)))
    vectors += torch.randn(vectors.shape, generator=noise) * vectors.std()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(vars(tiny.config), "seg_state", seg_state)
        caches = KeyValueCache(), KeyValueCache()
        heard: tuple[list[Sequence[int]], list[Sequence[int]]] = ([], [])
        usual = tiny.say(vectors, caches[0], 12, lambda ids: heard[0].append(tuple(ids)))
        tokens = st.sampled_from([*usual.ids, tiny.language.turn_end])

        def guess(ids: Sequence[int]) -> list[int]:
            """Some words that are right, and some that may be."""
            right = data.draw(st.integers(0, 5))
            rest = usual.ids[len(ids) : len(ids) + right]
            return [*rest, *data.draw(st.lists(tokens, max_size=3))]

        soon = tiny.say(
            vectors, caches[1], 12, lambda ids: heard[1].append(tuple(ids)), guess=guess
        )
    assert soon.ids == usual.ids
    assert heard[1] == heard[0]
    torch.testing.assert_close(soon.states, usual.states, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(soon.certainty, usual.certainty, atol=1e-5, rtol=1e-4)
    lengths = {cache.tensors.get_seq_length() for cache in caches}
    assert lengths == {len(vectors) + len(usual.ids)}


@torch.inference_mode()
def test_what_is_guessed_rightly_is_read_at_once(tiny: MediRound) -> None:
    vectors = tiny.language.embed(torch.tensor([5, 6, 7]))
    usual = tiny.say(vectors, KeyValueCache(), 6)
    with mock.patch.object(tiny.language, "forward", wraps=tiny.language.forward) as read:
        tiny.say(vectors, KeyValueCache(), 6, guess=lambda ids: usual.ids[len(ids) :])
    assert [call.args[0].shape[1] for call in read.call_args_list] == [3 + 6]


@torch.inference_mode()
def test_an_answer_is_the_likeliest_token_each_time(tiny: MediRound, image: ImageFeatures) -> None:
    vectors = tiny.embed(dialogue(tiny), image.tokens, references(tiny, image))
    said = tiny.say(vectors, KeyValueCache(), 5)
    tokens = tiny.language.embed(torch.tensor(said.ids))
    hidden = tiny.language(torch.cat([vectors, tokens])[None])[0]
    likeliest = tiny.language.logits(hidden[len(vectors) - 1 : -1]).argmax(-1)
    assert tuple(likeliest.tolist()) == said.ids


@torch.inference_mode()
def test_an_empty_answer_has_no_states(tiny: MediRound, image: ImageFeatures) -> None:
    vectors = tiny.embed(dialogue(tiny), image.tokens, references(tiny, image))
    repeated = tiny.repeat(vectors, KeyValueCache(), [])
    assert repeated.ids == ()
    assert repeated.states.shape == (0, tiny.language.width)


@torch.inference_mode()
def test_several_masks_are_drawn_as_one_by_one(tiny: MediRound, image: ImageFeatures) -> None:
    generator = torch.Generator().manual_seed(4)
    states = torch.randn(3, tiny.language.width, generator=generator)
    together = tiny.draw(image, states)
    assert together.logits.shape == (3, 64, 64)
    assert together.scores.shape == (3,)
    assert ((together.scores >= 0) & (together.scores <= 1)).all()
    for index in range(3):
        alone = tiny.draw(image, states[index : index + 1])
        torch.testing.assert_close(together.logits[index], alone.logits[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(together.scores[index], alone.scores[0], atol=1e-5, rtol=1e-4)
    assert (together.logits[0] - together.logits[1]).abs().max() > 1e-4


@torch.inference_mode()
def test_another_reference_gives_another_answer_state(
    tiny: MediRound, image: ImageFeatures
) -> None:
    other = torch.zeros(16, 16)
    other[10:14, 1:3] = 1
    states = [
        tiny.language(tiny.embed(dialogue(tiny), image.tokens, given)[None])[0, -1]
        for given in (references(tiny, image), {1: tiny.refer(image, other)})
    ]
    assert (states[0] - states[1]).abs().max() > 1e-4


@torch.inference_mode()
def test_a_reluctant_word_begins_an_answer_only_when_it_is_far_ahead(tiny: MediRound) -> None:
    vectors = tiny.language.embed(torch.tensor([5, 6, 7]))
    usual = tiny.say(vectors, KeyValueCache(), 3)
    first = usual.ids[0]
    assert tiny.say(vectors, KeyValueCache(), 3, reluctant={first: 0.0}).ids == usual.ids
    held_back = tiny.say(vectors, KeyValueCache(), 3, reluctant={first: 100.0})
    assert held_back.ids[0] != first
