"""What the language model has read in one session, and its answers."""

import dataclasses
import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediround import anatomy
from mediround.data.words.answers import said
from mediround.data.words.wording import answer, answer_absent
from mediround.dialogue import Dialogue, markers
from mediround.errors import QueryError
from mediround.imaging import Modality
from mediround.model.drawing import Drawn
from mediround.model.kv_cache import KeyValueCache
from mediround.model.mediround import ImageFeatures, MediRound, Spoken
from mediround.model.view import View
from mediround.prompt import IMAGE_KEY, Prompt
from mediround.session.deduction import Deduced, Deducer
from mediround.session.foretelling import LikelyAnswers
from mediround.session.head import AXIAL, Head, Parcels, Reply, Said
from mediround.session.knowledge import Learned, Shown
from mediround.session.literal import passed_over

LONGEST_ANSWER = 64
"""Most tokens of an answer."""
_ABSENT, _PRESENT = 0.01, 0.95
"""A structure that is there with less than the one is not drawn, with more than the other not
denied, whatever the language model says. A question about masks is taken at its word."""
_DOUBT = 0.125
"""Exponent of the probabilities by which a score is lowered (``docs/results.md``, Judge)."""
_LIKELY = 0.5
"""Only an answer that means the structure of a referenced mask with more than this may take it."""


@dataclass(frozen=True)
class Answer:
    """What the model said and drew.

    A structure that the question shows as a mask keeps that mask, unless the one drawn anew has the
    better score; a mask that a person has corrected is kept in any case.

    Attributes:
        text: with ``[n]`` where it drew, counted from the first new number.
        masks: bool (N, H, W) in source pixels.
        scores: (N,), 0..1: the judge's, times how certain the structure is: an eighth root of the
            product of the probabilities of the words before the mask and of the structure.
    """

    text: str
    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]


class Reader:
    """Reads a growing dialogue about one image, keeping keys and values across rounds.

    Args:
        axes: where columns and rows of the image lead in the patient ("LP"), if anybody knows.
        modality: of the image.
        keep: False forgets everything before each answer, for comparison.
    """

    def __init__(
        self,
        model: MediRound,
        image: ImageFeatures,
        view: View,
        axes: str | None = None,
        *,
        modality: Modality = Modality.UNKNOWN,
        keep: bool = True,
    ) -> None:
        self.model, self.image, self.view, self.axes, self.keep = model, image, view, axes, keep
        self._learned = Learned(model, image, view, axes)
        self._deducer = Deducer(model, self._learned)
        self._tells_heads = axes in (AXIAL, None) and modality in (Modality.MR, Modality.UNKNOWN)
        self._head: Head | None = None
        if self._tells_heads and model.parcellation is not None and image.head is not None:
            self._head = Head(model, Parcels(model.parcellation, image.head, view, axes))
        self._cache = KeyValueCache()
        self._references: dict[str, Tensor] = {}
        self._likely = LikelyAnswers(model.prompter, model.config.entities)
        denial = model.prompter.answer(answer_absent("structure"), 1)
        self._reluctant = {denial[0]: model.config.denial_penalty}
        self._naming = model.prompter.answer(said("is_name", "en", name="structure"), 1)[:1]

    @property
    def kept_bytes(self) -> int:
        """Memory of keys and values, and of what was found in the image, that are kept."""
        head = 0 if self._head is None else self._head.parcels.masks.nbytes
        return self._cache.nbytes + self._learned.kept_bytes + head

    @torch.inference_mode()
    def answer(
        self,
        dialogue: Dialogue,
        query: str,
        text: str | None,
        told: Callable[[str], None] | None = None,
    ) -> Answer:
        """Answer a resolved ``query`` after ``dialogue``; ``text`` makes the model say just that.

        ``told`` is called with the whole text so far, as it grows; what it raises ends the answer.

        Raises:
            QueryError: the dialogue has outgrown the model's context.
        """
        if not self.keep:
            self._cache, self._references = KeyValueCache(), {}
            self._learned = Learned(self.model, self.image, self.view, self.axes)
            self._deducer = Deducer(self.model, self._learned)
        first = sum(1 for _ in dialogue.entities()) + 1
        prompt = self.model.prompter.write(dialogue.rounds, query)
        limit = self.model.language.context - LONGEST_ANSWER
        if len(prompt.ids) > limit:
            raise QueryError(
                f"the dialogue has grown to {len(prompt.ids)} tokens",
                expected=f"at most {limit}",
                remedy="undo some rounds, or open the image again",
            )
        hashes, references = self._contents(dialogue, prompt)
        marks = prompt.signature(hashes)
        good = self._cache.reuse(marks)
        vectors = self.model.embed(prompt, self.image.tokens, references)[good:]
        if text is None:
            heard = None if told is None else self._heard(told, first)
            guess = self._likely.to(query)
            say = partial(
                self.model.say, cache=self._cache, longest=LONGEST_ANSWER, heard=heard, guess=guess
            )
            spoken = say(vectors, reluctant=self._reluctant)
            self._cache.append([*marks[good:], *spoken.ids])
            if spoken.ids[:1] == self._naming and self._deducer.relates(query):
                self._cache.truncate(len(marks) - 1)
                barred = {**self._reluctant, spoken.ids[0]: torch.inf}
                spoken = say(vectors[-1:], reluctant=barred)
                self._cache.append([marks[-1], *spoken.ids])
            if self._repeats(spoken):
                end = spoken.ids.index(self.model.language.seg) + 1
                once = self.model.prompter.text(spoken.ids[:end], first) + "."
                again = self._restated(once, marks, vectors[-1:], first)
                spoken = dataclasses.replace(again, certainty=spoken.certainty[:1])
                if told is not None:
                    told(once)
        else:
            ids = self.model.prompter.answer(text, first)
            spoken = self.model.repeat(vectors, self._cache, ids)
            self._cache.append([*marks[good:], *spoken.ids])
        entities = {entity.id: entity for entity in dialogue.entities()}
        shown = [Shown(entities[key], references[key]) for key in markers(query)]
        named = self._names(spoken, first)
        if self._head is not None:
            enquired = spoken.ids[:1] == self._naming and not self._deducer.relates(query)
            own = self.model.prompter.text(spoken.ids, first)
            numbers = range(first, first + len(spoken.states))
            what = Said(own, numbers, given=text is not None, enquired=enquired)
            reply = self._head.reply(query, shown, what)
            if reply is not None:
                if reply.text != own:
                    self._restated(reply.text, marks, vectors[-1:], first)
                    if told is not None:
                        told(reply.text)
                return self._parcelled(self._head, reply)
        settled = len(spoken.states) != 1 or (named and text is not None)
        deduced = None if settled else self._deducer.deduce(query, shown, spoken.states[0])
        if deduced is None:
            free = text is None and not shown
            other = self._mistaken(query, spoken, first) if free else None
            if other is not None:
                spoken = self._restated(other, marks, vectors[-1:], first)
                if told is not None:
                    told(other)
            return self._draw(spoken, first, shown)
        if named and not deduced.agreed:
            other = answer([(self.model.config.entities[deduced.structure], first)])
            spoken = self._restated(other, marks, vectors[-1:], first)
            if told is not None:
                told(self.model.prompter.text(spoken.ids, first))
        return self._draw_deduced(spoken, first, deduced)

    @staticmethod
    def _parcelled(head: Head, reply: Reply) -> Answer:
        meant, doubt = reply.meant, reply.meant.certainty**_DOUBT
        if meant.mark is not None:
            mark = meant.mark
            return Answer(reply.text, mark.mask[None], np.array([mark.score * doubt], np.float32))
        places = list(meant.places)
        scores = (head.parcels.scores[places] * doubt).astype(np.float32)
        return Answer(reply.text, head.parcels.masks[places], scores)

    def _names(self, spoken: Spoken, first: int) -> bool:
        return bool(anatomy.load().recognise(self.model.prompter.text(spoken.ids, first)))

    def _mistaken(self, query: str, spoken: Spoken, first: int) -> str | None:
        """What to say instead of drawing what is not there or was never learned, or denying it.

        A structure that the question names outright is the one to speak of.
        """
        names, presence = self.model.config.entities, self._learned.presence
        if self.model.codebook is None:
            return None
        text = self.model.prompter.text(spoken.ids, first)
        asked = passed_over(query, text)
        if asked is not None:
            return self._spoken_of(asked, first)
        if len(spoken.states) == 1:
            meant = self.model.projection(spoken.states.float())
            place, certainty = (each[0] for each in self.model.codebook.nearest(meant))
            named = anatomy.load().recognise(text)
            if certainty <= _LIKELY:
                unknown = named and not {*named} & {*names}
                return said("unlearned", "en", name=named[-1]) if unknown else None
            gone = presence is not None and presence[place] < _ABSENT
            return answer_absent(names[int(place)]) if gone else None
        for name, there in zip(names, () if presence is None else presence.tolist(), strict=False):
            if there > _PRESENT and text == answer_absent(name):
                return answer([(name, first)])
        return None

    def _spoken_of(self, name: str, first: int) -> str:
        """The answer about a structure that the image may show, or the model not know."""
        names, presence = self.model.config.entities, self._learned.presence
        if name not in names:
            seen = self._tells_heads and name in self.model.config.learned
            return answer_absent(name) if seen else said("unlearned", "en", name=name)
        there = presence is None or presence[names.index(name)] >= _ABSENT
        return answer([(name, first)]) if there else answer_absent(name)

    def _repeats(self, spoken: Spoken) -> bool:
        """Whether an answer draws one and the same structure over and over."""
        if self.model.codebook is None or len(spoken.states) < 2:
            return False
        meant, _ = self.model.codebook.nearest(self.model.projection(spoken.states.float()))
        return len(set(meant.tolist())) == 1

    def _restated(self, text: str, marks: Sequence[Hashable], last: Tensor, first: int) -> Spoken:
        """``text`` in place of what was answered.

        Args:
            text: the answer, in which the masks count from ``first``.
            marks: of the prompt.
            last: (1, W), the vector at its end.
            first: number of the mask.
        """
        ids = self.model.prompter.answer(text, first)
        self._cache.truncate(len(marks) - 1)
        spoken = self.model.repeat(last, self._cache, ids)
        self._cache.append([marks[-1], *ids])
        return spoken

    def _heard(self, told: Callable[[str], None], first: int) -> Callable[[Sequence[int]], None]:
        return lambda ids: told(self.model.prompter.text(ids, first))

    def _draw(self, spoken: Spoken, first: int, shown: Sequence[Shown]) -> Answer:
        text = self.model.prompter.text(spoken.ids, first)
        if len(spoken.states) == 0:
            empty = np.zeros((0, *self.view.size), dtype=bool)
            return Answer(text, empty, np.zeros(0, np.float32))
        drawn: Drawn = self.model.draw(self.image, spoken.states)
        # A mask may be well drawn and yet of the wrong structure: doubt about that counts too.
        judged = drawn.scores * (drawn.certainty * spoken.certainty) ** _DOUBT
        masks, scores = self.view.masks(drawn.logits), judged.float().numpy(force=True)
        self._keep(shown, spoken, masks, scores)
        return Answer(text, masks, scores)

    def _draw_deduced(self, spoken: Spoken, first: int, deduced: Deduced) -> Answer:
        text = self.model.prompter.text(spoken.ids, first)
        doubt = (deduced.certainty * float(spoken.certainty[0])) ** _DOUBT
        mark = deduced.shown
        if mark is not None:
            return Answer(text, mark.mask[None], np.array([mark.score * doubt], np.float32))
        other = None if deduced.agreed else deduced.structure
        drawn = self.model.draw(self.image, spoken.states, other)
        scores = (drawn.scores * doubt).float().numpy(force=True)
        return Answer(text, self.view.masks(drawn.logits), scores)

    def _keep(
        self,
        shown: Sequence[Shown],
        spoken: Spoken,
        masks: NDArray[np.bool_],
        scores: NDArray[np.float32],
    ) -> None:
        """Put the masks of ``shown`` in place of those drawn of the same structures."""
        kept = [each for each in shown if each.has_shape]
        if not kept:
            return
        chances = self.model.same(spoken.states, torch.stack([each.tokens for each in kept]))
        likeliest, places = chances.max(1)
        doubts = ((likeliest * spoken.certainty) ** _DOUBT).tolist()
        for row in (likeliest > _LIKELY).nonzero()[:, 0].tolist():
            mark = kept[int(places[row])]
            score = mark.score * doubts[row]
            if mark.entity.status == "corrected" or score > scores[row]:
                masks[row], scores[row] = mark.mask, score

    def _contents(
        self, dialogue: Dialogue, prompt: Prompt
    ) -> tuple[Mapping[int, Hashable], dict[int, Tensor]]:
        """Hash and tokens of everything that stands in a slot of ``prompt``."""
        entities = {entity.id: entity for entity in dialogue.entities()}
        hashes: dict[int, Hashable] = {IMAGE_KEY: "image"}
        tokens: dict[int, Tensor] = {}
        for key in {slot.key for slot in prompt.slots} - {IMAGE_KEY}:
            code = entities[key].mask
            assert code is not None  # a query that refers to an absent entity is refused before
            digest = hashlib.sha256(code.counts.encode()).hexdigest()
            if digest not in self._references:
                self._references[digest] = self._refer(code.decode())
            hashes[key], tokens[key] = digest, self._references[digest]
        return hashes, tokens

    def _refer(self, mask: NDArray[np.bool_]) -> Tensor:
        mark = self.view.mark(mask)
        device = self.model.device
        return self.model.refer(self.image, *(torch.from_numpy(each).to(device) for each in mark))
