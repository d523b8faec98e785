"""A training run: parts in order, each resumable, each in its own folder."""

import dataclasses
import logging
from pathlib import Path
from typing import Literal, get_args

import torch

from mediround.data.sources import Split
from mediround.errors import ConfigError
from mediround.model.checkpoint import load_exactly, read_tensors
from mediround.model.folder import save_model
from mediround.model.loading import compose
from mediround.model.mediround import MediRound
from mediround.training.curves import draw_curves
from mediround.training.parts import features
from mediround.training.parts.conversations import Conversations, orientations
from mediround.training.parts.deduction import DeductionPart
from mediround.training.parts.features import FeatureStore
from mediround.training.parts.judge import JudgePart
from mediround.training.parts.language import LanguagePart
from mediround.training.parts.masks import MasksPart
from mediround.training.parts.parcellation import ParcellationPart, settled
from mediround.training.parts.questions import QuestionsPart
from mediround.training.parts.recipe import Recipe
from mediround.training.parts.scene import ScenePart

logger = logging.getLogger(__name__)

Part = Literal[
    "features",
    "masks",
    "scene",
    "parcellation",
    "language",
    "questions",
    "judge",
    "deduction",
    "package",
]
PARTS: tuple[Part, ...] = get_args(Part)


def run(recipe: Recipe, data: Path, folder: Path, part: Part, *, threads: int) -> None:
    """Run one part of ``recipe``.

    The language part needs only the codes, which the masks part fixes early, so that the two can
    run side by side.

    Args:
        recipe: the whole run.
        data: folder that holds the data sets.
        folder: where the run keeps its features, checkpoints and logs.
        part: which part of it.
        threads: processes for the features, threads for everything else.
    """
    if part == "package":
        package(recipe, folder)
        return
    if part == "parcellation":
        if recipe.parcellation is None:
            logger.warning("the recipe has no [parcellation]: the model will know no heads")
            return
        torch.set_num_threads(threads)
        ParcellationPart(recipe, data, folder / "parcellation", threads).train()
        return
    store = features.build(recipe, data, folder / "features", threads)
    if part == "features":
        return
    torch.set_num_threads(threads)
    if part == "masks":
        MasksPart(recipe, store, folder / "masks").train()
    elif part == "language":
        codes = folder / "masks" / "codes.safetensors"
        if not codes.exists():
            raise ConfigError(
                "there are no codes yet", expected=str(codes), remedy="run the part masks first"
            )
        oriented = orientations(recipe, data)
        talks = Conversations(recipe, store, oriented)
        unseen = Conversations(recipe, store, oriented, patients="validation")
        LanguagePart(recipe, store, talks, unseen, codes, folder / "language").train()
    elif part == "questions":
        QuestionsPart(recipe, store.entities, folder / "questions").train()
    elif part == "scene":
        ScenePart(recipe, store, folder / "masks", folder / "scene").train()
    elif part == "judge":
        masks, scene = folder / "masks", folder / "scene"
        JudgePart(recipe, store, masks, scene, folder / "judge").train()
    elif part == "deduction":
        oriented = orientations(recipe, data)
        splits: dict[Split, Conversations] = {
            "train": Conversations(recipe, store, oriented),
            "validation": Conversations(recipe, store, oriented, patients="validation"),
        }
        model = _assembled(recipe, folder)
        DeductionPart(recipe, model, splits, folder / "deduction").train()


def package(recipe: Recipe, folder: Path) -> Path:
    """Put together what the parts have trained: a model folder that ``mediround.load`` takes."""
    model = _assembled(recipe, folder)
    for part in ("questions", "deduction"):
        module = getattr(model, part)
        if module is not None:
            tensors = read_tensors(folder / part / f"{part}.safetensors")
            load_exactly(module, tensors, part)
    save_model(model, folder / "model", {"recipe_seed": str(recipe.seed)})
    draw_curves(folder, folder / "curves.png")
    return folder / "model"


def _assembled(recipe: Recipe, folder: Path) -> MediRound:
    """What draws, reads and speaks; without what reads questions and deduces."""
    entities = tuple(FeatureStore(folder / "features").entities)
    head = folder / "parcellation"
    told = None if recipe.parcellation is None else settled(recipe, head)
    model = compose(dataclasses.replace(recipe.model, entities=entities, parcellation=told))
    if model.parcellation is not None:
        tensors = read_tensors(head / "parcellation.safetensors")
        load_exactly(model.parcellation, tensors, "parcellation")
    segmenter = read_tensors(folder / "masks" / "segmenter.safetensors")
    load_exactly(model.segmenter, segmenter, "segmenter")
    if model.scene is not None:
        scene = read_tensors(folder / "scene" / "scene.safetensors")
        load_exactly(model.scene, scene, "scene")
    load_exactly(model.judge, read_tensors(folder / "judge" / "judge.safetensors"), "judge")
    language = read_tensors(folder / "language" / "language.safetensors")
    assert model.codebook is not None
    model.codebook.codes.data.copy_(read_tensors(folder / "masks" / "codes.safetensors")["tokens"])
    own = dict(model.named_parameters())
    with torch.no_grad():
        for name, tensor in language.items():
            own[name].copy_(tensor)
    return model
