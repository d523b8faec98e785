"""Learning how far a survey and perception are to be believed about neighbours; minutes in all.

All structures are looked for in slices of training patients, as a session surveys an image. Which
of them are there, and which of them stands in a relation to another, the labels say. Two convex
problems of a few numbers each.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from mediround import anatomy
from mediround.data.scene.relations import RADIOLOGICAL, Scene
from mediround.data.sources import Split
from mediround.errors import ConfigError
from mediround.model.checkpoint import write_tensors
from mediround.model.deduction import GROUPS, Deduction, presence
from mediround.model.mediround import MediRound
from mediround.model.perception import Perception
from mediround.session.survey import Survey
from mediround.training.parts.conversations import Conversations, coverage
from mediround.training.parts.recipe import Recipe
from mediround.training.run_log import RunLog

logger = logging.getLogger(__name__)

_PRESENCE_DECAY, _DECAY = 1e-3, 3e-3  # of the squared weights, beside a mean over cases


@dataclass(frozen=True)
class _Looked:
    """One view with everything that is seen in it.

    Attributes:
        drawn: its masks, bits packed along the last axis.
        numbers: (entities, PRESENCE).
        labels: what is there.
        shown: the same, roughened.
        beside: name -> relation -> what perception sees there: log probabilities (entities,).
        axes: see :class:`Survey`.
    """

    drawn: NDArray[np.uint8]
    numbers: Tensor
    labels: Mapping[str, NDArray[np.bool_]]
    shown: Mapping[str, NDArray[np.bool_]]
    beside: Mapping[str, Mapping[str, Tensor]]
    axes: str | None


@dataclass(frozen=True)
class _Question:
    """Which of the candidates it is: their evidence (N, EVIDENCE), and the right one."""

    relation: str
    evidence: Tensor
    right: int


class DeductionPart:
    """Fits :class:`Deduction` to training views; reports validation views.

    Args:
        recipe: the run.
        model: everything else that the run has trained, put together.
        talks: views of each split.
        folder: of this part.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: MediRound,
        talks: Mapping[Split, Conversations],
        folder: Path,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.recipe, self.model, self.talks, self.folder = recipe, model.eval(), talks, folder
        self.store = talks["train"].store
        self.deduction = Deduction()

    def train(self) -> None:
        """Write ``deduction.safetensors``; log what is right of the neighbours."""
        counts: dict[Split, int] = {
            "train": self.recipe.deduction.views,
            "validation": self.recipe.deduction.watched,
        }
        looked = {split: list(self._look(split, count)) for split, count in counts.items()}
        numbers = torch.cat([each.numbers for each in looked["train"]])
        there = torch.cat([self._there(each) for each in looked["train"]])
        _fit(
            self.deduction.presence,
            lambda: F.binary_cross_entropy_with_logits(self.deduction.odds(numbers), there),
            _PRESENCE_DECAY,
        )
        asked = {split: self._asked(each) for split, each in looked.items()}
        for split, questions in asked.items():
            if not questions:
                raise ConfigError(
                    f"the scene sees no neighbour of any structure in {len(looked[split])} {split} "
                    "views",
                    expected="a scene that has learned to tell structures apart",
                    remedy="train the part scene for more steps, or look at more views",
                )
        _fit(self.deduction.weights, lambda: self._loss(asked["train"]), _DECAY)
        log = RunLog(self.folder, tensorboard=False)
        for split, questions in asked.items():
            odds = [self.deduction.odds(each.numbers) for each in looked[split]]
            told = [
                (row > 0) == self._there(each).bool()
                for row, each in zip(odds, looked[split], strict=True)
            ]
            right = self._right(questions)
            log.log(
                split=split,
                views=len(looked[split]),
                presence=float(torch.cat(told).float().mean()),
                questions=len(questions),
                loss=self._loss(questions).item(),
                **right,
            )
            logger.info("%s: %s", split, right)
        write_tensors(
            self.folder / "deduction.safetensors", self.deduction.state_dict(), metadata={}
        )

    @torch.inference_mode()
    def _look(self, split: Split, count: int) -> Iterator[_Looked]:
        rng = np.random.default_rng((self.recipe.seed, 7, split == "train"))
        model, talks = self.model, self.talks[split]
        perception, names = model.perception, model.names
        assert isinstance(perception, Perception)
        assert names is not None
        assert model.scene is not None
        side = self.recipe.model.normalisation.canvas // 4
        for row, shown in tqdm(talks.draw_masks(count, rng, plain=True), desc=split):
            trunk = self.store.features([row])
            with torch.autocast("cpu", torch.bfloat16):
                grid = model.segmenter.tail(trunk)
            tokens = perception.image(trunk.float(), model.segmenter.position)[0]
            cover = torch.stack([coverage(mask, side) for mask in shown.values()])
            read = perception.read(trunk[0].float(), cover, model.segmenter.position)
            odds = model.scene.odds(trunk, grid)
            labels = self.store.masks(row)
            oriented = talks.oriented[self.store.views[row].dataset]
            yield _Looked(
                np.packbits((odds > 0).numpy(), axis=-1),
                presence(odds, names.cells(tokens)),
                {self.store.entities[place]: mask for place, mask in labels.items()},
                shown,
                {
                    name: {kind: model.beside(mark, kind) for kind in GROUPS}
                    for name, mark in zip(shown, read, strict=True)
                },
                RADIOLOGICAL if oriented else None,
            )

    def _there(self, looked: _Looked) -> Tensor:
        return torch.tensor([float(name in looked.labels) for name in self.store.entities])

    def _asked(self, looked: list[_Looked]) -> list[_Question]:
        """Every question about neighbours whose answer is among the candidates."""
        atlas, place = anatomy.load(), self.store.entities.index
        asked = []
        for each in looked:
            with torch.no_grad():
                there = self.deduction.odds(each.numbers).sigmoid()
            drawn = np.unpackbits(each.drawn, axis=-1).astype(bool)
            survey = Survey(self.store.entities, drawn, there, each.axes)
            kept = {name: mask for name, mask in each.labels.items() if name in each.shown}
            for link in Scene(kept, atlas, oriented=False, axes=each.axes).links:
                if link.kind.value not in GROUPS:
                    continue
                candidates, evidence = survey.evidence(
                    link.kind.value,
                    [each.shown[name] for name in link.references],
                    each.beside[link.references[0]][link.kind.value],
                    {place(name) for name in link.references},
                )
                if place(link.target) in candidates:
                    right = candidates.index(place(link.target))
                    asked.append(_Question(link.kind.value, evidence, right))
        return asked

    def _loss(self, questions: list[_Question]) -> Tensor:
        costs = [-self.deduction.chances(q.relation, q.evidence)[q.right] for q in questions]
        return torch.stack(costs).mean()

    @torch.no_grad()
    def _right(self, questions: list[_Question]) -> dict[str, float]:
        hits: dict[str, list[bool]] = {"all": []}
        for each in questions:
            guess = int(self.deduction.chances(each.relation, each.evidence).argmax())
            for key in ("all", each.relation):
                hits.setdefault(key, []).append(guess == each.right)
        return {f"right_{key}": float(np.mean(found)) for key, found in hits.items()}


def _fit(weights: Tensor, loss: Callable[[], Tensor], decay: float) -> None:
    """Minimise ``loss`` over ``weights`` alone, in place."""
    optimiser = torch.optim.LBFGS([weights], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        cost = loss() + decay * weights.square().sum()
        cost.backward()
        return cost

    optimiser.step(closure)
