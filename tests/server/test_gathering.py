"""What is computed as one is what each would have got alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest
import torch
from benchmarks.talkative import talkative
from torch import Tensor

from mediround.model.kv_cache import KeyValueCache
from mediround.model.loading import arrange
from mediround.server.gathering import Gathering, GatheringLanguage, GatheringSegmenter, gather


def in_threads(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def test_everybody_gets_their_own_result_and_few_calls_are_made() -> None:
    sizes: list[int] = []

    def double(numbers: Sequence[int]) -> list[int]:
        sizes.append(len(numbers))
        time.sleep(0.02)
        return [2 * number for number in numbers]

    gathering = Gathering(double, most=4)
    found: dict[int, int] = {}
    in_threads(12, lambda n: found.update({n: gathering(n)}))
    assert found == {n: 2 * n for n in range(12)}
    assert max(sizes) <= 4
    assert sum(sizes) == gathering.arguments == 12
    assert len(sizes) == gathering.calls < 12


def test_those_who_come_again_are_waited_for() -> None:
    """Four threads of ten calls each, in step: about ten calls and not twenty."""
    sizes: list[int] = []

    def double(numbers: Sequence[int]) -> list[int]:
        sizes.append(len(numbers))
        time.sleep(0.01)
        return [2 * number for number in numbers]

    gathering = Gathering(double, most=4, patience=0.5)
    started = threading.Barrier(4)

    def work(number: int) -> None:
        started.wait(30)
        for each in range(10):
            assert gathering(10 * number + each) == 2 * (10 * number + each)
            time.sleep(0.002 * number)

    began = time.monotonic()
    in_threads(4, work)
    assert sum(sizes) == 40
    assert len(sizes) <= 10 + 4  # until all have met, and when some have gone
    assert time.monotonic() - began < 5


def test_nobody_is_waited_for_longer_than_patience() -> None:
    gathering: Gathering[int, int] = Gathering(list, most=4, patience=0.05)
    found: list[int] = []
    in_threads(4, lambda number: found.append(gathering(number)))
    assert sorted(found) == [0, 1, 2, 3]
    began = time.monotonic()
    assert gathering(7) == 7  # the others do not come again
    assert gathering(8) == 8  # and are not expected any more
    assert time.monotonic() - began < 0.5


def test_an_error_is_everybodys_who_was_in_it_and_nobody_elses() -> None:
    def fail(numbers: Sequence[int]) -> list[int]:
        if 3 in numbers:
            raise ValueError("three")
        return list(numbers)

    gathering = Gathering(fail, most=1)
    found: dict[int, object] = {}

    def work(number: int) -> None:
        try:
            found[number] = gathering(number)
        except ValueError as error:
            found[number] = str(error)

    in_threads(6, work)
    assert found == {0: 0, 1: 1, 2: 2, 3: "three", 4: 4, 5: 5}


@pytest.mark.parametrize("kinds", [1, 2])
def test_images_and_masks_together_are_those_alone(kinds: int) -> None:
    """Also where some answers have one mask and some have two."""
    network = talkative().network
    inner = network.segmenter
    generator = torch.Generator().manual_seed(0)
    side = network.config.normalisation.canvas
    pictures = [torch.rand(3, side, side, generator=generator) for _ in range(5)]
    width = network.language.width
    asked = [torch.randn(1 + n % kinds, width, generator=generator) for n in range(5)]
    with torch.inference_mode():
        alone = [network.see(each) for each in pictures]
        drawn = [network.draw(image, each) for image, each in zip(alone, asked, strict=True)]
        gather(network, images=4, answers=1)
        segmenter = network.segmenter
        assert isinstance(segmenter, GatheringSegmenter)
        assert segmenter.inner is inner
    started = threading.Barrier(5)
    together: dict[int, tuple[Tensor, ...]] = {}

    def work(number: int) -> None:
        with torch.inference_mode():
            started.wait(30)
            image = network.see(pictures[number])
            found = network.draw(image, asked[number])
            together[number] = (image.trunk, image.grid, image.tokens, found.logits, found.scores)

    in_threads(5, work)
    for number in range(5):
        image, found = alone[number], drawn[number]
        expected = (image.trunk, image.grid, image.tokens, found.logits, found.scores)
        for one, other in zip(expected, together[number], strict=True):
            torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4)
    assert segmenter.encoding.arguments == 5
    assert segmenter.encoding.calls <= 5


def test_answers_that_grow_together_are_those_alone() -> None:
    network = talkative().network
    network.language.to(torch.bfloat16)
    arrange(network.language, torch.device("cpu"))
    read = [torch.randn(3 + n, network.language.width).bfloat16() for n in range(6)]
    with torch.inference_mode():
        alone = [network.say(each, KeyValueCache(), 12) for each in read]
    gather(network, images=1, answers=4)
    language = network.language
    assert isinstance(language, GatheringLanguage)
    started = threading.Barrier(len(read))
    together: dict[int, tuple[int, ...]] = {}

    def work(number: int) -> None:
        with torch.inference_mode():
            started.wait(30)
            together[number] = network.say(read[number], KeyValueCache(), 12).ids

    in_threads(len(read), work)
    assert together == {number: each.ids for number, each in enumerate(alone)}
    assert language.steps.arguments == sum(len(each.ids) for each in alone)
    assert language.steps.calls < language.steps.arguments


def test_answers_are_gathered_only_where_that_changes_nothing() -> None:
    network = talkative().network  # in float32, so not packed
    before = network.language
    gather(network, images=1, answers=4)
    assert network.language is before
