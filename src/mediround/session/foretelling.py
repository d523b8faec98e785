"""What an answer will likely say, so that the language model reads several words of it at once."""

from collections.abc import Sequence

from mediround import anatomy
from mediround.data.words.wording import answer, answer_absent, answer_unnamed
from mediround.model.mediround import Guess
from mediround.model.roles import Writer

Ids = tuple[int, ...]


class LikelyAnswers:
    """Whole answers, as training worded them, about every structure that a model knows.

    Args:
        writer: of the language model.
        names: the structures.
    """

    def __init__(self, writer: Writer, names: Sequence[str]) -> None:
        self._writer, self._names = writer, frozenset(names)
        texts = [text for name in names for text in (answer([(name, 1)]), answer_absent(name))]
        self._all = [writer.answer(text, 1) for text in (*texts, answer_unnamed(1))]

    def to(self, question: str) -> Guess:
        """What follows the ids that an answer to ``question`` begins with.

        That is the rest of the answer that draws what the question names, where they begin that
        one; else as much as all answers that they begin have in common.
        """
        named = [name for name in anatomy.load().recognise(question) if name in self._names]
        targets = [(name, number) for number, name in enumerate(named, 1)]
        expected = self._writer.answer(answer(targets), 1) if targets else ()

        def follows(ids: Sequence[int]) -> Ids:
            begun = tuple(ids)
            if expected[: len(begun)] == begun:
                return expected[len(begun) :]
            fitting = [each for each in self._all if each[: len(begun)] == begun]
            return _shared(fitting)[len(begun) :]

        return follows


def _shared(answers: Sequence[Ids]) -> Ids:
    """What all begin with; nothing of none."""
    if not answers:
        return ()
    first, last = min(answers), max(answers)
    differ = (place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return first[: next(differ, len(first))]
