"""Plain talk: a turn that the pretrained language model answers, as if it had never learned masks.

Nothing of what training added takes part: no adapter, no image, no ``[SEG]``. The model reads the
words of the dialogue, in which a mask stands as the name of its structure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from mediround.dialogue import MARKER, Dialogue, Round
from mediround.errors import QueryError
from mediround.model.kv_cache import KeyValueCache
from mediround.model.roles import LanguageRole

LONGEST_TALK = 128
"""Most tokens of an answer."""


@torch.inference_mode()
def plain_answer(
    language: LanguageRole,
    dialogue: Dialogue,
    query: str,
    *,
    longest: int = LONGEST_TALK,
    told: Callable[[str], None] | None = None,
) -> str:
    """What the pretrained model answers; greedy.

    Args:
        language: with its adapter merged.
        dialogue: what has been said before.
        query: the question; may name masks with ``[n]``.
        longest: most tokens of the answer.
        told: called with the text so far; what it raises ends the answer.

    Raises:
        QueryError: the dialogue has outgrown the model's context.
    """
    names = {e.id: f"the {e.name}" if e.name else f"structure {e.id}" for e in dialogue.entities()}

    def worded(text: str) -> str:
        return MARKER.sub(lambda found: names.get(int(found.group(1)), "it"), text)

    rounds = [Round(query=worded(r.query), text=worded(r.text)) for r in dialogue.rounds]
    ids = _prompt(language, rounds, worded(query))
    if len(ids) > language.context - longest:
        raise QueryError(
            f"the dialogue has grown to {len(ids)} tokens",
            expected=f"at most {language.context - longest}",
            remedy="undo some rounds, or open the image again",
        )
    said: list[int] = []
    cache, new = KeyValueCache(), ids
    with language.plain():
        for _ in range(longest):
            vectors = language.embed(torch.tensor(new, device=language.device))
            scores = language.logits(language(vectors[None], cache)[0, -1])
            scores[language.seg] = -torch.inf  # the pretrained model knows no such word
            token = int(scores.argmax())
            if token == language.turn_end:
                break
            said.append(token)
            new = [token]
            if told is not None:
                told(language.tokenizer.decode(said).strip())
    return language.tokenizer.decode(said).strip()


def _prompt(language: LanguageRole, rounds: Sequence[Round], query: str) -> list[int]:
    """Ids of text alone: the writer of dialogues, without positions for an image."""
    prompt = language.writer(0, (2,)).write(rounds, query)
    return list(prompt.ids)
