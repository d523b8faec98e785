"""The model that a stage starts from, with its parameters in the types that training wants."""

import dataclasses
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model

from mediround.config import LanguageConfig, MistralConfig, ModelConfig
from mediround.errors import ConfigError
from mediround.model.loading import compose, load_unmerged
from mediround.model.mediround import MediRound
from mediround.model.parts import build_corrector, build_judge
from mediround.training.staged.recipe import DialogueRecipe
from mediround.training.staged.stages import freeze

_LATER = ("name", "correction", "normalisation", "dtype", "unsure_below", "denial_penalty", "seed")
"""What of a stored model's configuration a recipe may change."""


def begin(recipe: DialogueRecipe, stage: int, before: Path | None) -> MediRound:
    """A model ready for ``stage``: gradients reach what it trains, everything else is frozen.

    Args:
        recipe: names the model and its weights.
        stage: 1 or 2.
        before: model folder that the stage before has left; None: what the recipe starts from.

    Raises:
        ConfigError: the recipe changes what the stored weights were made for.
        ModelNotFoundError, WeightsError: there are no such weights.
    """
    if before is not None:
        model = load_unmerged(str(before))
    elif recipe.start is not None:
        model = _adapted(load_unmerged(_resolved(recipe)), recipe.model)
    else:
        model = compose(recipe.model)
    model.eval()  # normalisations keep their statistics
    for parameter in model.parameters():
        parameter.data = parameter.data.float()
    freeze(model, stage, recipe.stage(stage).trained)
    inner = model.language.inner
    if recipe.execution.frozen != "float32":
        dtype = getattr(torch, recipe.execution.frozen)
        for parameter in inner.parameters():
            if not parameter.requires_grad:
                parameter.data = parameter.data.to(dtype)
    if recipe.execution.checkpointing:
        inner.train()  # transformers checkpoints in this mode alone; there is no dropout
        inner.activation_checkpointing_enable({"use_reentrant": False})
        inner.enable_input_require_grads()
    return model


def rounded(model: MediRound) -> MediRound:
    """Frozen tensors of a whole model in the type that they were stored in, to be saved."""
    if model.config.whole:
        dtype = getattr(torch, model.config.dtype)
        for name, parameter in model.named_parameters():
            large = name.startswith(("language.", "segmenter.", "perception.tower."))
            if large and not parameter.requires_grad:
                parameter.data = parameter.data.to(dtype)
    return model


def _resolved(recipe: DialogueRecipe) -> str:
    assert recipe.start is not None
    folder = Path(recipe.folder) / recipe.start
    return str(folder) if folder.is_dir() else recipe.start


def _adapted(model: MediRound, wanted: ModelConfig) -> MediRound:
    """A stored model with what the recipe adds: an adapter, another judge or corrector."""
    stored = model.config
    language = _with_adapter(model, stored.language, wanted.language)
    later: dict[str, Any] = {name: getattr(wanted, name) for name in _LATER}
    merged = dataclasses.replace(stored, language=language, **later)
    expected = dataclasses.replace(
        wanted, language=language, entities=stored.entities, vision_source=stored.vision_source
    )
    if merged != expected:
        names = [f.name for f in dataclasses.fields(merged)]
        apart = [n for n in names if getattr(merged, n) != getattr(expected, n)]
        raise ConfigError(
            f"the recipe's {', '.join(apart)} differ from those of the weights it starts from",
            expected=f"the preset of the weights; changes of {', '.join(_LATER)} and the adapter",
        )
    if wanted.correction != stored.correction:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(wanted.seed)
            model.judge, model.corrector = build_judge(merged), build_corrector(merged)
    model.config = merged
    return model


def _with_adapter(
    model: MediRound,
    stored: LanguageConfig | MistralConfig,
    wanted: LanguageConfig | MistralConfig,
) -> LanguageConfig | MistralConfig:
    if stored.lora_rank or not wanted.lora_rank:
        return stored
    adapter = LoraConfig(
        r=wanted.lora_rank, lora_alpha=wanted.lora_alpha, target_modules=list(wanted.lora_targets)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(model.config.seed)
        inject_adapter_in_model(adapter, model.language.inner)
    return dataclasses.replace(
        stored,
        lora_rank=wanted.lora_rank,
        lora_alpha=wanted.lora_alpha,
        lora_targets=wanted.lora_targets,
    )
