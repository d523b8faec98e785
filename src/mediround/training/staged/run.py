"""A whole run on dialogues: both stages, one after the other or one alone."""

import logging
from collections.abc import Sequence
from pathlib import Path

from mediround.errors import ConfigError
from mediround.training.staged.devices import accelerator
from mediround.training.staged.recipe import DialogueRecipe
from mediround.training.staged.talks import find_talks, fingerprints
from mediround.training.staged.trainer import MODEL_FOLDER, Trainer

logger = logging.getLogger(__name__)


def train(
    recipe: DialogueRecipe,
    folder: Path,
    *,
    stages: Sequence[int] = (1, 2),
    data: Path | None = None,
    resume: bool = False,
    device: str = "auto",
) -> Path:
    """Train; the same call in every process that ``torchrun`` or ``accelerate launch`` started.

    Args:
        recipe: the whole run.
        folder: where the run keeps features, checkpoints and logs.
        stages: which of them.
        data: a source of dialogues instead of the recipe's own.
        resume: go on where an earlier run stopped.
        device: "auto", "cpu" or "cuda".

    Returns:
        The model folder that the last of the stages has left; ``mediround.load`` takes it.

    Raises:
        ConfigError: the recipe contradicts itself, the folder holds another run, or stage 2 is
            asked for where stage 1 has not been.
        DatasetError: no usable dialogues.
    """
    own = [Path(recipe.folder) / source for source in recipe.data.sources]
    sources = own if data is None else [data]
    if not sources:
        raise ConfigError(
            "the recipe names no data", expected="data.sources", remedy="or give --data"
        )
    made = accelerator(recipe.execution, device)
    talks = find_talks(sources, recipe.data)
    if made.is_main_process:
        logger.info("%d dialogues, %d unseen", len(talks["train"]), len(talks["validation"]))
    model = folder / "stage1" / MODEL_FOLDER
    for stage in stages:
        before = model if stage == 2 and model.is_dir() else None
        if stage == 2 and before is None and recipe.start is None:
            raise ConfigError(
                "stage 2 has nothing to judge yet",
                expected=f"the model of stage 1 in {model}, or weights to start from",
                remedy="run --stage 1 first",
            )
        trainer = Trainer(
            recipe, stage, talks, folder, made, data=fingerprints(sources), before=before
        )
        model = trainer.run(resume=resume)
        made.free_memory()
    return model
