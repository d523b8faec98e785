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
from mediround.data.words.wording import answer, answer_absent
from mediround.model.mediround import MediRound
from mediround.model.parcellation import Parcellation
from mediround.model.view import View
from mediround.session.deduction import Deducer
from mediround.session.head_words import HeadWords
from mediround.session.knowledge import Shown
from mediround.session.survey import Survey

AXIAL = "LP"
"""Where columns and rows lead in slices like those that were learned."""
_SURE = 0.5
"""A description must be read with more than this."""
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

    def meant(self, question: str, shown: Sequence[Shown], answered: str) -> Meant | None:
        """What ``question`` asks to be drawn; None where that is nothing of a head.

        Where neither its words nor its masks tell, what the language model ``answered`` may: it
        heard what was said before ("and its counterpart?").
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
            recognised = anatomy.load().recognise(answered)
            names, certainty = [name for name in recognised if name in self.parcels.names], 1.0
        return self._named(names, certainty) if names else None

    def said(
        self, names: Sequence[str | None], question: str, shown: Sequence[Shown]
    ) -> Meant | None:
        """What is to be drawn where an answer says ``names``, one for each of its masks.

        A name that is not said is that of what the question asks for.
        """
        known = [name for name in names if name in self.parcels.names]
        if len(known) == len(names):
            return Meant(tuple(self.parcels.names.index(name) for name in known))
        unnamed = len(names) == 1 and names[0] is None
        return self.meant(question, shown, "") if unnamed else None

    def shows(self, mark: Shown) -> str | None:
        """The structure that a mask is most likely of; None where it is none that is known."""
        taken = self.parcels.taken(mark)
        return self.parcels.names[int(taken.argmax())] if float(taken.max()) > _SURE else None

    def _named(self, names: Sequence[str], certainty: float) -> Meant:
        places = {name: self.parcels.names.index(name) for name in names}
        there = tuple(place for place in places.values() if self.parcels.there[place])
        absent = tuple(name for name, place in places.items() if not self.parcels.there[place])
        return Meant(there, absent, certainty)


def sentence(meant: Meant, names: Sequence[str], first: int) -> str:
    """The answer that draws what is ``meant`` of ``names``, its masks counted from ``first``."""
    drawn = [(names[place], first + n) for n, place in enumerate(meant.places)]
    said = [answer(drawn)] if drawn else []
    return " ".join([*said, *(answer_absent(name) for name in meant.absent)])
