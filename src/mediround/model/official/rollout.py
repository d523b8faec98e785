"""Round by round over a dialogue whose words are given, as the official evaluation does it.

The official loop reads the whole dialogue again in every round, later rounds included. Since the
language model is causal, reading each position once gives the same states; only what follows a
replaced reference is new, and that has not been read yet.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mediround.model.kv_cache import KeyValueCache
from mediround.model.mediround import ImageFeatures, MediRound
from mediround.model.official.postprocess import full_size
from mediround.model.official.reference import predicted_reference
from mediround.model.official.sample import Sample
from mediround.prompt import IMAGE_KEY


@dataclass(frozen=True)
class Outcome:
    """One round.

    Attributes:
        state: (W,), from which the prompt was made.
        prompt: (T, D), from which the mask was drawn, corrected or not.
        low_res: (256, 256) logits.
        logits: (rows, columns) logits in the size that is asked for.
        score: of the judge, 0..1; None where nobody judged.
        corrected: whether the corrector wrote the prompt.
        boxes: (R, 4), of all references as they stood in this round.
    """

    state: Tensor
    prompt: Tensor
    low_res: Tensor
    logits: Tensor
    score: float | None
    corrected: bool
    boxes: Tensor


class Rollout:
    """One dialogue, its masks fed back or not.

    Args:
        model: in the paper's configuration. Of its quirks, ``judge_referenced_only`` and those of
            references count.
        sample: the dialogue, with the annotated references.
        refers: for every question the round that it refers to, from 0, and the number of its
            reference, from 0; (-1, -1) for none.
        predicted: replace references by the model's own masks; else the annotated stay.
        correct: judge and correct.
    """

    def __init__(
        self,
        model: MediRound,
        sample: Sample,
        refers: Sequence[tuple[int, int]],
        *,
        predicted: bool,
        correct: bool,
    ) -> None:
        self.model, self.sample, self.refers = model, sample, refers
        self.predicted, self.correct = predicted, correct
        self.crops, self.boxes = sample.crops.clone(), sample.boxes.clone()
        self._versions = [0] * len(self.crops)
        self._cache = KeyValueCache()
        self._tokens: dict[tuple[int, int], Tensor] = {}

    @torch.inference_mode()
    def rounds(self) -> Iterator[Outcome]:
        """The rounds in their order."""
        device = self.model.device
        image = self.model.see(self.sample.sam.to(device), self.sample.clip.to(device))
        for number in range(self.sample.rounds):
            state = self._read(image, number)
            outcome = self._answer(image, state, number)
            yield outcome
            if self.predicted:
                self._feed_back(number, outcome)

    def _read(self, image: ImageFeatures, number: int) -> Tensor:
        """The state (W,) before or at the ``[SEG]`` of a round."""
        references, contents = {}, dict[int, Hashable]({IMAGE_KEY: "image"})
        for slot, version in enumerate(self._versions):
            key = (slot, version)
            if key not in self._tokens:
                mark = (self.crops[slot], self.boxes[slot])
                self._tokens[key] = self.model.refer(
                    image, *(each.to(self.model.device) for each in mark)
                )
            references[slot + 1], contents[slot + 1] = self._tokens[key], key
        prompt = self.sample.prompt
        end = prompt.seg[number][0] + (self.model.config.seg_state == "at")
        marks = prompt.signature(contents)[:end]
        good = self._cache.reuse(marks)
        vectors = self.model.embed(prompt, image.tokens, references)[good:end]
        hidden = self.model.language(vectors[None], self._cache)
        self._cache.append(marks[good:])
        return hidden[0, -1]  # type: ignore[no-any-return]  # modules return Any

    def _answer(self, image: ImageFeatures, state: Tensor, number: int) -> Outcome:
        model, settings = self.model, self.model.config.correction
        prompts = model.projection(state[None].float())[None]
        decoded = model.segmenter.decode(image.grid, prompts.to(image.grid.dtype))
        score, corrected = None, False
        if self.correct and model.corrector is not None and self._is_judged(number):
            score = float(model.judge.score(prompts, decoded)[0, 0])
            if score <= settings.threshold:
                better = model.corrector(prompts)
                redrawn = model.segmenter.decode(image.grid, better.to(image.grid.dtype))
                judged = float(model.judge.score(better, redrawn)[0, 0])
                if settings.keep == "corrected" or judged > score:
                    prompts, decoded, corrected = better, redrawn, True
                    score = score if settings.keep == "corrected" else judged
        low = decoded.logits[0].float()
        sample = self.sample
        full = full_size(low, sample.sam.shape[-1], sample.shown, sample.size)
        return Outcome(state, prompts[0, 0], low[0], full[0], score, corrected, self.boxes.clone())

    def _is_judged(self, number: int) -> bool:
        """Every mask is, but for a quirk: only one to which a later round refers."""
        return not self.model.config.quirks.judge_referenced_only or any(
            meant == number for meant, _ in self.refers[number + 1 :]
        )

    def _feed_back(self, number: int, outcome: Outcome) -> None:
        """Let later questions that refer to this round see its mask.

        Raises:
            QueryError: the mask is empty, and no quirk says what to do then.
        """
        for meant, slot in self.refers[number + 1 :]:
            if meant != number:
                continue
            mask = (outcome.logits > 0).numpy(force=True)
            side = self.crops.shape[-1]
            quirks = self.model.config.quirks
            found = predicted_reference(self.sample.picture, mask, side, quirks)
            if found is None:
                continue  # the quirk that keeps what was annotated
            self.crops[slot] = torch.from_numpy(found.pixels)
            self.boxes[slot] = torch.from_numpy(found.box)
            self._versions[slot] += 1
