"""A codebook knows its own codes, and doubts what lies between them."""

import torch

from mediround.model.codebook import Codebook


def _book() -> Codebook:
    book = Codebook(5, 3, 16)
    book.codes.data.copy_(torch.randn(5, 3, 16, generator=torch.Generator().manual_seed(0)))
    return book


def test_codes_are_recognised_for_certain() -> None:
    book = _book()
    assert book.chances(book.codes).argmax(1).tolist() == [0, 1, 2, 3, 4]
    assert (book.nearest(book.codes)[1] > 0.95).all()


def test_halfway_between_two_is_a_coin_toss() -> None:
    book = _book()
    between = (book.codes[:1] + book.codes[1:2]) / 2
    chances = book.chances(between)[0].exp()
    torch.testing.assert_close(chances[0], chances[1])
    assert book.nearest(between)[1].item() <= 0.5


def test_distances_do_not_depend_on_the_scale_of_codes() -> None:
    book, prompts = _book(), torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(1))
    distances = book.distances(prompts)
    book.codes.data.mul_(100)
    torch.testing.assert_close(book.distances(prompts * 100), distances)
