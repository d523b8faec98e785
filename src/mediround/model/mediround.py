"""MediRound: an image and a dialogue in, text and masks out (arXiv 2511.12110, figure 3).

image ──> segmenter.trunk ──┬─> perception.image ────────┐
                            ├─> perception.reference <── earlier mask
                            │                            v
                            │        query ──> language model ──> text with [SEG]
                            v                            │ state at [SEG]
                      segmenter.tail ──> decoder <── projection
                                            │
                                            ├──> mask
                                            └──> judge ──> score ──> correction, when it is low

Beside the language model, ``questions`` reads which relation a query asks for, and :meth:`survey`
draws all that is known, so that a session can deduce what must be meant. ``parcellation`` tells
the structures of a head, of which the language model knows nothing.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from mediround.config import ModelConfig
from mediround.model.deduction import Deduction, presence
from mediround.model.drawing import Drawing, Drawn
from mediround.model.kv_cache import KeyValueCache
from mediround.model.names import Names
from mediround.model.parts import (
    SegProjection,
    build_codebook,
    build_corrector,
    build_judge,
    build_parcellation,
    build_perception,
    build_questions,
    build_scene,
)
from mediround.model.questions import plainly
from mediround.model.roles import LanguageRole, SegmenterRole
from mediround.model.scene import Seen
from mediround.model.second_opinion import SecondOpinion
from mediround.prompt import IMAGE_KEY, Prompt

Guess = Callable[[Sequence[int]], Sequence[int]]
"""The ids of an answer so far -> those that will likely follow."""


@dataclass(frozen=True)
class ImageFeatures:
    """One image, encoded once.

    Attributes:
        trunk: (1, C, side, side), what masks may be read from.
        grid: (1, D, side, side), what masks are drawn on.
        tokens: (image tokens, W), what the language model sees.
        odds: float16 (entities, 4 side, 4 side), log odds of all structures that the model knows;
            None where it has no scene.
        head: float16 (structures, canvas, canvas), likewise of the parcellation; None where the
            image shows no head.
    """

    trunk: Tensor
    grid: Tensor
    tokens: Tensor
    odds: Tensor | None = None
    head: Tensor | None = None


@dataclass(frozen=True)
class Spoken:
    """An answer in words.

    Attributes:
        ids: without the end of turn.
        states: (N, W), the state at each ``[SEG]``, or before it where the model wants that.
        certainty: float32 (N,), the probability (0..1) of the words that led to each ``[SEG]``,
            counted from the one before; 1 for words that were given to the model.
    """

    ids: tuple[int, ...]
    states: Tensor
    certainty: Tensor


class MediRound(nn.Module):
    """Composes finished parts; holds no weights of its own.

    Attributes:
        codebook: the prompts of the structures that it knows; None where that is not known.
        scene: tells what an image shows; None where nothing was trained to.
        parcellation: tells what an image of a head shows, likewise.
        corrector: rewrites the prompts of bad masks; None where the configuration has none.
        second: has a say in bad masks; loading a model adds it where the configuration wants it.
        questions: reads from the words alone what is asked for; None where nothing does.
        deduction: weighs which structure stands in a relation to a mask, for :meth:`survey`.
        correcting: whether :meth:`draw` corrects.
        deducing: whether :meth:`asked` reads questions.
    """

    def __init__(
        self, config: ModelConfig, segmenter: SegmenterRole, language: LanguageRole
    ) -> None:
        super().__init__()
        self.config = config
        self.segmenter = segmenter
        self.language = language
        self.perception = build_perception(config)
        self.projection = SegProjection(config)
        self.codebook = build_codebook(config)
        self.scene = build_scene(config)
        self.parcellation = build_parcellation(config)
        self.judge = build_judge(config)
        self.corrector = build_corrector(config)
        self.second: SecondOpinion | None = None
        self.questions = build_questions(config)
        self.deduction = None if self.questions is None else Deduction()
        self.correcting = self.deducing = True
        self.prompter = language.writer(
            self.perception.image_tokens, self.perception.reference_form
        )

    @property
    def dtype(self) -> torch.dtype:
        """Type in which features are computed."""
        return self.segmenter.dtype

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.segmenter.device

    @property
    def corrects(self) -> bool:
        """Whether there is anything to correct bad masks with."""
        return self.corrector is not None or self.second is not None

    def see(self, *pixels: Tensor) -> ImageFeatures:
        """Encode one image.

        Args:
            pixels: what its view shows, float (3, H, W) each: the first to the segmenter, the
                last to the language model; one canvas in 0..1 may serve both.
        """
        batch = pixels[0][None].to(self.dtype).contiguous(memory_format=torch.channels_last)
        trunk = self.segmenter.trunk(batch)
        tokens = self.perception.look(pixels[-1], trunk, self.segmenter.position)
        grid = self.segmenter.tail(trunk)
        odds = None if self.scene is None else self.scene.odds(trunk, grid).half()
        head = None if self.parcellation is None else self.parcellation.see(pixels[0].mean(0))
        return ImageFeatures(trunk, grid, tokens, odds, None if head is None else head.half())

    def refer(self, image: ImageFeatures, *mark: Tensor) -> Tensor:
        """Tokens (R, W) of one mask, given as its image's view marks it."""
        return self.perception.refer(mark, image.trunk, self.segmenter.position)

    def embed(self, prompt: Prompt, image: Tensor, references: Mapping[int, Tensor]) -> Tensor:
        """Vectors (positions, W) of a prompt: tokens, and in its slots what they stand for.

        Args:
            prompt: what stands where.
            image: (image tokens, W).
            references: entity number -> (R, W).
        """
        device = self.language.device
        vectors = self.language.embed(torch.tensor(prompt.ids, device=device))
        for slot in prompt.slots:
            content = image if slot.key == IMAGE_KEY else references[slot.key]
            shown = content[slot.first : slot.first + slot.length]
            vectors[slot.start : slot.start + slot.length] = shown.to(vectors.dtype)
        return vectors

    def say(
        self,
        vectors: Tensor,
        cache: KeyValueCache,
        longest: int,
        heard: Callable[[Sequence[int]], None] | None = None,
        reluctant: Mapping[int, float] | None = None,
        guess: Guess | None = None,
    ) -> Spoken:
        """Read the new ``vectors`` (N, W) behind the cache and answer greedily.

        The cache afterwards holds the prompt and the answer as far as it was read again.

        Args:
            vectors: of the prompt, as far as the cache does not hold it; at least one.
            cache: what has been read before.
            longest: most tokens of an answer.
            heard: called after each token with all so far; what it raises ends the answer.
            reluctant: ids that begin an answer only where they are ahead by so much (nats).
            guess: what will likely be said after the ids so far; it is read with them at once, and
                holds as far as the model says the same (speculative decoding, arXiv 2211.17192,
                with greedy choice). The answer is the same with any guess, up to rounding, but
                sooner with a good one: a step's time goes into reading weights, not few tokens.
        """
        before = self.config.seg_state == "before"
        ids: list[int] = []
        states: list[Tensor] = []
        certainty: list[Tensor] = []
        odds = vectors.new_zeros((), dtype=torch.float32)
        with closing(self._reading(vectors, cache, longest, guess)) as reading:
            hidden, chances = next(reading)
            while len(ids) < longest:
                token = _first(chances, reluctant or {}) if not ids else int(chances.argmax())
                if token == self.language.turn_end:
                    break
                ids.append(token)
                if heard is not None:
                    heard(ids)
                odds = odds + chances[token]
                previous, (hidden, chances) = hidden, reading.send(token)
                if token == self.language.seg:
                    states.append(previous if before else hidden)
                    certainty.append(odds.exp())
                    odds = torch.zeros_like(odds)
        if not states:
            return Spoken(tuple(ids), vectors.new_zeros((0, vectors.shape[-1])), odds.new_zeros(0))
        return Spoken(tuple(ids), torch.stack(states), torch.stack(certainty))

    def _reading(
        self, new: Tensor, cache: KeyValueCache, longest: int, guess: Guess | None
    ) -> Generator[tuple[Tensor, Tensor], int, None]:
        """State (W,) at the end of what was read, and log probabilities (ids,) of what follows.

        It is sent the id that does follow. What was guessed wrongly, or not asked for any more, is
        taken from the cache again.
        """
        ids: list[int] = []
        while True:
            guessed = [] if guess is None else list(guess(ids))[: longest - len(ids)]
            tokens = torch.tensor(guessed, dtype=torch.long, device=new.device)
            read = torch.cat([new, self.language.embed(tokens).to(new.dtype)])
            hidden = self.language(read[None], cache)[0, len(new) - 1 :]
            chances = self.language.logits(hidden).log_softmax(-1)
            unsaid = len(guessed)
            try:
                for state, after, guessed_id in zip(hidden, chances, [*guessed, None], strict=True):
                    ids.append((yield state, after))
                    if ids[-1] != guessed_id:
                        break
                    unsaid -= 1
            finally:
                cache.take_back(unsaid)
            new = self.language.embed(torch.tensor(ids[-1:], device=new.device))

    def repeat(self, vectors: Tensor, cache: KeyValueCache, ids: Sequence[int]) -> Spoken:
        """Like :meth:`say`, but the answer is given: its states as if the model had said it."""
        tokens = torch.tensor(list(ids), dtype=torch.long, device=vectors.device)
        everything = torch.cat([vectors, self.language.embed(tokens).to(vectors.dtype)])
        hidden = self.language(everything[None], cache)[0]
        first = len(vectors) - (self.config.seg_state == "before")
        states = hidden[first : first + len(tokens)][tokens == self.language.seg]
        return Spoken(tuple(ids), states, torch.ones(len(states), device=states.device))

    @cached_property
    def names(self) -> Names | None:
        """The names that tokens of masks are near; None where no such names were trained."""
        own = self.perception.own
        if self.codebook is None or own is None:
            return None
        return Names(self.language, self.config.entities, own.stop - own.start)

    def asked(self, question: str) -> dict[str, float]:
        """What ``question`` asks for: relation -> probability (0..1); the rest is anything else.

        Empty where the model does not read questions apart from the dialogue.
        """
        if self.questions is None or not self.deducing:
            return {}
        words = self.language.tokenizer.encode(plainly(question))
        ids = torch.tensor([words], device=self.device)
        mask = torch.ones_like(ids, dtype=torch.bool)
        with self.language.plain():
            states = self.language.hear(ids, mask, self.questions.layer)
        chances = self.questions(states, mask)[0].exp().tolist()
        return dict(zip(self.questions.relations, chances, strict=False))

    def same(self, states: Tensor, references: Tensor) -> Tensor:
        """Whether an answer means the very structure that an earlier mask shows.

        Args:
            states: (N, W), at each ``[SEG]``.
            references: (M, R, W), tokens of masks, as :meth:`refer` makes them.

        Returns:
            Probabilities (N, M), 0..1: over all structures that the model knows, that of meaning
            one times that of the mask being taken for it. Zeros where it knows no names.
        """
        names, own = self.names, self.perception.own
        if self.codebook is None or names is None or own is None:
            return states.new_zeros((len(states), len(references)))
        meant = self.codebook.chances(self.projection(states.float())).exp()
        taken = names.chances(references[:, own]).exp()
        return meant @ taken[:, :-1].T

    def beside(self, reference: Tensor, relation: str) -> Tensor:
        """What perception sees in ``relation`` to a mask: log probabilities (entities,).

        Args:
            reference: (R, W), tokens of the mask, as :meth:`refer` makes them.
            relation: all structures are alike likely where no token tells it.
        """
        assert self.names is not None
        neighbours, own = self.perception.neighbours, self.perception.own
        if own is None or relation not in neighbours:
            count = len(self.config.entities)
            return reference.new_full((count,), 1 / count, dtype=torch.float32).log()
        token = reference[own.stop + neighbours.index(relation)]
        return self.names.beside(token[None])[0]

    def survey(self, image: ImageFeatures) -> tuple[Tensor, Tensor]:
        """All structures that the model knows, as the scene shows them.

        Returns:
            Log odds (entities, 4 side, 4 side), above 0 where each is, and whether it is there at
            all, float32 (entities,), 0..1.
        """
        assert image.odds is not None
        assert self.names is not None
        assert self.deduction is not None
        odds = image.odds.float()
        numbers = presence(odds, self.names.cells(image.tokens))
        return odds, self.deduction.odds(numbers).sigmoid()

    def draw(self, image: ImageFeatures, states: Tensor, structure: int | None = None) -> Drawn:
        """Masks and scores for ``[SEG]`` states (N, W), N at least 1; bad masks are corrected.

        With ``structure``, a place among those that the model knows, that one is drawn instead.
        """
        meant = self.projection(states.float())
        seen = None
        if self.codebook is None:
            certainty = meant.new_ones(len(meant))
        else:
            if structure is not None:
                meant = self.codebook.codes[structure].float().expand_as(meant)
            places, certainty = self.codebook.nearest(meant)
            seen = self._seen(image, places, certainty)
        corrector, second = (self.corrector, self.second) if self.correcting else (None, None)
        drawing = Drawing(self.segmenter, self.judge, corrector, second, self.config.correction)
        return drawing.draw(image.trunk, image.grid, meant[None], certainty, seen)

    def _seen(self, image: ImageFeatures, places: Tensor, certainty: Tensor) -> Seen | None:
        """What the scene shows of structures (N,); it counts as far as these are certain."""
        if self.scene is None or image.odds is None:
            return None
        return Seen(image.odds[places].float(), self.scene.share[places], certainty)


def _first(chances: Tensor, reluctant: Mapping[int, float]) -> int:
    """The best id by log-probabilities (ids,), those of ``reluctant`` lowered."""
    lowered = chances.clone()
    for token, nats in reluctant.items():
        lowered[token] -= nats
    return int(lowered.argmax())
