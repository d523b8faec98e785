"""Answers about an image of a head, whose structures the language model was never taught.

What is asked for is read from the names in a question, or deduced from its relation to masks;
what is drawn is what the parcellation shows (:mod:`mediround.model.parcellation`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediround import anatomy
from mediround.data.words.answers import said as words_said
from mediround.data.words.wording import DENIALS, answer, answer_absent
from mediround.model.mediround import MediRound
from mediround.model.parcellation import Parcellation
from mediround.model.view import View
from mediround.session.deduction import Deducer
from mediround.session.head_words import HeadWords
from mediround.session.knowledge import Shown
from mediround.session.literal import asked_by_name
from mediround.session.naming import named_masks
from mediround.session.survey import Survey

AXIAL = "LP"
"""Where columns and rows lead in slices like those that were learned."""
_SURE = 0.5
"""A description must be read with more than this."""
_ELSEWHERE = frozenset({"abdomen", "heart", "limb", "pelvis", "thorax", "trunk"})
"""Regions of the body of which no picture of a head shows anything."""
_LEAST = 24
"""Pixels of the canvas below which a structure is not there."""


@dataclass(frozen=True)
class Meant:
    """What a question asks for.

    Attributes:
        places: of the structures that are shown, in order.
        absent: names of those that are not.
        certainty: 0..1, that this was asked for.
        mark: the mask that is itself the answer, if one is.
    """

    places: tuple[int, ...]
    absent: tuple[str, ...] = ()
    certainty: float = 1.0
    mark: Shown | None = None


@dataclass(frozen=True)
class Said:
    """What was answered before the head was looked at.

    Attributes:
        text: with ``[n]`` for masks.
        numbers: of those masks.
        given: whether the words were given, and stand.
        enquired: whether the answer only says what a mask is called.
    """

    text: str
    numbers: range
    given: bool
    enquired: bool


@dataclass(frozen=True)
class Reply:
    """What is said and drawn of a head."""

    meant: Meant
    text: str


class Parcels:
    """What the parcellation shows of one image.

    Attributes:
        there: whether each structure is in the image.
        scores: (structures,), 0..1, of their masks.
        alike: log probabilities (structures,) where nothing is known.

    Args:
        network: as trained.
        odds: (structures, canvas, canvas), see ``Parcellation.odds``.
        view: the way to the image's pixels.
        axes: where columns and rows lead in the patient ("LP"); None where nobody knows.
    """

    def __init__(self, network: Parcellation, odds: Tensor, view: View, axes: str | None) -> None:
        self.names = network.entities
        odds = odds.float()
        self.alike = odds.new_full((len(self.names),), 1 / len(self.names)).log()
        self.there = [bool(area >= _LEAST) for area in (odds > 0).sum((1, 2)).tolist()]
        self.scores = network.scores(odds).numpy(force=True)
        presence = torch.tensor([0.999 if each else 0.001 for each in self.there])
        self.survey = Survey(self.names, view.masks(odds), presence, axes)

    @property
    def masks(self) -> NDArray[np.bool_]:
        """(structures, H, W) in the image's pixels."""
        return self.survey.masks

    def taken(self, mark: Shown) -> Tensor:
        """By the Dice of the mask with every structure."""
        shared = (self.masks & mark.mask).sum((1, 2))
        dice = 2 * shared / (self.masks.sum((1, 2)) + mark.mask.sum())
        return torch.from_numpy(dice / max(1.0, dice.sum())).to(self.alike)

    def beside(self, mark: Shown, relation: str) -> Tensor:  # noqa: ARG002
        """Nothing."""
        return self.alike

    def opinion(self, state: Tensor) -> Tensor:  # noqa: ARG002
        """None: the language model does not know them."""
        return self.alike


class Head:
    """Understands questions about one image of a head.

    Args:
        model: the composition.
        parcels: what the image shows.
    """

    def __init__(self, model: MediRound, parcels: Parcels) -> None:
        self.parcels, self._deducer = parcels, Deducer(model, parcels)
        self._words = HeadWords(parcels.names)

    def reply(self, question: str, shown: Sequence[Shown], said: Said) -> Reply | None:
        """The answer to ``question``; None where it asks for nothing of a head.

        Args:
            question: with ``[n]`` for masks.
            shown: those masks, in the order of their mention.
            said: what the language model would answer; it stands where it names nothing, and has
                as many masks.
        """
        if said.given:
            meant = self._given(question, shown, said)
            return None if meant is None else Reply(meant, said.text)
        if said.enquired and shown:
            name = self._shows(shown[0])
            called = None if name is None else words_said("is_name", "en", name=name)
            return None if called is None else Reply(Meant(()), called)
        talk = not shown and not said.numbers and not said.text.startswith(DENIALS)
        if talk and asked_by_name(question) is None:
            return None
        meant = self._meant(question, shown, said.text)
        if meant is None:
            return None
        if len(said.numbers) == len(meant.places) == 1 and not anatomy.load().recognise(said.text):
            return Reply(meant, said.text)
        drawn = [
            (self.parcels.names[place], said.numbers.start + n)
            for n, place in enumerate(meant.places)
        ]
        parts = [answer(drawn)] if drawn else []
        return Reply(meant, " ".join([*parts, *(answer_absent(name) for name in meant.absent)]))

    def _meant(self, question: str, shown: Sequence[Shown], answered: str) -> Meant | None:
        """What is to be drawn; None where that is nothing of a head.

        Where neither words nor masks tell, what the language model ``answered`` may: it heard what
        was said before ("and its counterpart?").
        """
        if shown:
            found = self._deducer.deduce(question, shown, self.parcels.alike)
            if found is None:
                return None
            if found.shown is None and not self.parcels.there[found.structure]:
                return Meant((), (self.parcels.names[found.structure],))
            return Meant((found.structure,), certainty=found.certainty, mark=found.shown)
        names, certainty = self._words.meant(question)
        if not names or certainty <= _SURE:
            names, certainty = [*anatomy.load().recognise(answered)], 1.0
        return self._named(names, certainty)

    def _given(self, question: str, shown: Sequence[Shown], said: Said) -> Meant | None:
        """What given words draw: what they name, or what is asked for where they do not."""
        named = named_masks(said.text)
        names = [named.get(number) for number in said.numbers]
        known = [self.parcels.names.index(name) for name in names if name in self.parcels.names]
        if known and len(known) == len(names):
            return Meant(tuple(known))
        meant = self._meant(question, shown, "") if names == [None] else None
        return meant if meant is not None and len(meant.places) == 1 else None

    def _shows(self, mark: Shown) -> str | None:
        """The structure that a mask is most likely of; None where it is none that is known."""
        taken = self.parcels.taken(mark)
        return self.parcels.names[int(taken.argmax())] if float(taken.max()) > _SURE else None

    def _named(self, names: Sequence[str], certainty: float) -> Meant | None:
        """Those of ``names`` that are known here, and those that no head has, as absent."""
        known, atlas = self.parcels.names, anatomy.load()
        there = [name for name in names if name in known and self.parcels.there[known.index(name)]]
        told = [n for n in names if n in known or atlas[n].body_region in _ELSEWHERE]
        absent = tuple(name for name in told if name not in there)
        return Meant(tuple(map(known.index, there)), absent, certainty) if told else None
