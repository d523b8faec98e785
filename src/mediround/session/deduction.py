"""What a question about masks must mean, found without the language model's own opinion.

The words say which relation is asked for (:mod:`mediround.model.questions`); what stands in it is
the mask itself, what the atlas says of the structure that it shows (the other one of its pair, the
vein that drains it), or what a :class:`Survey` of the image finds beside it. The language model has
an opinion too; both are weighed, and where the masks know better, they have the last word.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from mediround import anatomy
from mediround.data.scene.link import FACT_KINDS, RESEGMENTING, RelationKind
from mediround.dialogue import markers
from mediround.model.deduction import GROUPS
from mediround.model.mediround import MediRound
from mediround.session.knowledge import Knowledge, Shown
from mediround.session.survey import Survey

_SURE = 0.5
"""What is less likely than this does not count; a question of which no relation is any likelier
is left to the language model."""
_CERTAIN = 0.8
"""A relation must be likelier than this before the model is made to speak again."""
_POSSIBLE = 0.05
"""A relation that is less likely asked for is not looked for."""
_OPINION = 0.5
"""How much the language model's log probabilities count; they are too sure of themselves."""
_NEVER = 1e-6
"""How likely a structure stands in a relation to itself."""
_PAIRS = frozenset({RelationKind.LARGER_OF, RelationKind.SMALLER_OF, RelationKind.BETWEEN})
_STATED: Mapping[str, str] = {
    RelationKind.COUNTERPART: "pair",
    RelationKind.SIBLING: "sibling",
    **{kind: kind for kind in FACT_KINDS},
}
"""Relations that the atlas knows, and what it calls them."""


@dataclass(frozen=True)
class Deduced:
    """What is meant, all things considered.

    Attributes:
        structure: its place among those that the model knows.
        certainty: the probability, 0..1.
        agreed: whether the language model meant it too.
        shown: the referenced mask that is itself the answer, if one is.
    """

    structure: int
    certainty: float
    agreed: bool
    shown: Shown | None = None


class Deducer:
    """Answers for one image.

    Args:
        model: the composition; one that reads no questions deduces nothing.
        knowledge: of the image's structures.
    """

    def __init__(self, model: MediRound, knowledge: Knowledge) -> None:
        self.model, self.knowledge = model, knowledge

    @torch.inference_mode()
    def relates(self, question: str) -> bool:
        """Whether a structure is asked for by its relation to masks, and not what a mask shows."""
        relations = self._relations(question, len(markers(question)))
        others = (sure for each, sure in relations.items() if each != RelationKind.IDENTITY)
        return sum(others) > _CERTAIN

    @torch.inference_mode()
    def deduce(self, question: str, shown: Sequence[Shown], state: Tensor) -> Deduced | None:
        """What ``question`` means; None where only the language model can tell.

        Args:
            question: with ``[n]`` for masks.
            shown: those masks, in the order of their mention.
            state: (W,), of the language model where it draws.
        """
        if not shown or not self.knowledge.names:
            return None
        if not all(each.mask.any() for each in shown):
            return None  # nothing lies beside a mask of nothing
        told = torch.zeros(len(self.knowledge.names), device=state.device)
        again = [0.0] * len(shown)  # how likely each mask is asked for itself
        heard = 0.0
        asked, known = self._answerable(self._relations(question, len(shown)), shown)
        for relation, chance in asked.items():
            place = _asked_again(relation, shown)
            seen = self._told(relation, shown, place)
            if seen is None:
                continue
            heard += chance
            told += chance * seen
            if place is not None:
                again[place] += chance
        if heard < _SURE:
            return None
        opinion = self.knowledge.opinion(state)
        anything = torch.full_like(told, float(1 - told.sum()) / len(told))
        anything[list(self._known(shown))] = _NEVER
        chances = (_OPINION * opinion + (told + anything).log()).softmax(-1)
        structure = int(chances.argmax())
        agreed = structure == int(opinion.argmax())
        likeliest = max(range(len(shown)), key=lambda place: again[place])
        mark, certainty = shown[likeliest], again[likeliest]
        unknown = float(told.sum()) < _SURE
        if certainty > _SURE and mark.has_shape and (unknown or structure == int(told.argmax())):
            return Deduced(structure, certainty * known, agreed, mark)
        own = next((each for each in shown if self._shows(each, structure)), None)
        return Deduced(structure, float(chances[structure]) * known, agreed, own)

    def _shows(self, mark: Shown, structure: int) -> bool:
        """Whether a mask is clearly that of ``structure``, which then need not be drawn again."""
        return mark.has_shape and float(self.knowledge.taken(mark)[structure]) > _SURE

    def _relations(self, question: str, masks: int) -> dict[str, float]:
        """Relations of so many masks, and how likely they are asked for."""
        return {
            relation: chance
            for relation, chance in self.model.asked(question).items()
            if (1 + (relation in _PAIRS)) == masks
        }

    def _answerable(
        self, relations: Mapping[str, float], shown: Sequence[Shown]
    ) -> tuple[dict[str, float], float]:
        """Those of ``relations`` that may be meant where the question has an answer.

        What the atlas states holds of few structures. Where it knows no vein that drains what is
        shown, something else was asked for, or something that cannot be drawn.

        Returns:
            How likely each is, given an answer; and how likely there is one.
        """
        taken = self.knowledge.taken(shown[0])
        stated = _STATED.keys() & relations.keys()
        idle = {each for each in stated if self._stated(_STATED[each], taken) is None}
        known = 1 - sum(relations[relation] for relation in idle)
        if known < _POSSIBLE:
            return {}, known
        left = {r: chance / known for r, chance in relations.items() if r not in idle}
        return {r: chance for r, chance in left.items() if chance > _POSSIBLE}, known

    def _told(self, relation: str, shown: Sequence[Shown], place: int | None) -> Tensor | None:
        """Probabilities (entities,) by the masks, at most 1 in all; None where they cannot tell.

        ``place`` is that of the mask which is asked for itself.
        """
        if place is not None:
            return self.knowledge.taken(shown[place])
        if relation in _STATED:
            return self._stated(_STATED[relation], self.knowledge.taken(shown[0]))
        survey = self.knowledge.survey
        if relation not in GROUPS or survey is None or not survey.sees(relation):
            return None
        return self._found(survey, relation, shown)

    def _known(self, shown: Sequence[Shown]) -> set[int]:
        """The structures that the references are clearly taken for."""
        taken = (self.knowledge.taken(each) for each in shown)
        return {int(each.argmax()) for each in taken if float(each.max()) > _SURE}

    def _stated(self, kind: str, taken: Tensor) -> Tensor | None:
        """What stands in a relation of the atlas to a mask that shows ``taken``."""
        stated = taken @ _statements(self.knowledge.names, kind).to(taken)
        return stated if float(stated.sum()) > _SURE else None

    def _found(self, survey: Survey, relation: str, shown: Sequence[Shown]) -> Tensor | None:
        left_out = self._known(shown)
        masks = [each.mask for each in shown]
        beside = self.knowledge.beside(shown[0], relation)
        candidates, evidence = survey.evidence(relation, masks, beside, left_out)
        if not candidates:
            return None
        assert self.model.deduction is not None
        found = torch.zeros_like(beside)
        evidence = evidence.to(beside.device)
        found[candidates] = self.model.deduction.chances(relation, evidence).exp()
        return found


@cache
def _statements(names: tuple[str, ...], kind: str) -> Tensor:
    """float32 (names, names): a row's structure has those in this relation, all equally likely."""
    atlas = anatomy.load()
    statements = torch.zeros(len(names), len(names))
    for place, name in enumerate(names):
        facts = atlas.facts_referring_to(name) if atlas.find(name) else ()
        subjects = {fact.subject for fact in facts if fact.kind == kind} & {*names}
        for subject in subjects:
            statements[place, names.index(subject)] = 1 / len(subjects)
    return statements


def _asked_again(relation: str, shown: Sequence[Shown]) -> int | None:
    """Which of the masks is itself what is asked for; None where none is."""
    if relation == RelationKind.IDENTITY:
        return 0
    if relation not in RESEGMENTING:
        return None
    areas = [int(each.mask.sum()) for each in shown]
    if areas[0] == areas[1]:
        return None
    return int((areas[0] > areas[1]) != (relation == RelationKind.LARGER_OF))
