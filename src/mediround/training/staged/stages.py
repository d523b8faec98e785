"""What each stage of the training changes."""

from collections.abc import Mapping, Sequence
from typing import Final

from mediround.config import ModelConfig
from mediround.errors import ConfigError
from mediround.model.folder import trained_names
from mediround.model.mediround import MediRound

_JUDGING: Final = ("judge.", "corrector.")
_STAGE1: Final[Mapping[str, tuple[str, ...]]] = {
    "clip": ("projection.", "perception.reference.", "segmenter.decoder."),
    "grid": (
        "projection.",
        "perception.",
        "segmenter.decoder.",
        "segmenter.no_mask",
        "segmenter.vision.neck.",
        "language.seg_",
    ),
}
"""By kind of perception: as published, and for models whose eyes are the segmenter's."""
_WORDS: Final = ("language.inner.model.embed_tokens.", "language.inner.lm_head.")
"""The published table is trained even with an adapter: its last rows are new."""


def freeze(model: MediRound, stage: int, trained: Sequence[str] = ()) -> None:
    """Let gradients reach what the stage trains, and nothing else.

    By default stage 1 trains the language model (with an adapter: the adapter, and what was new
    in the tables of words), the projection of ``[SEG]``, what encodes references, and the mask
    decoder; stage 2 judge and corrector.

    Args:
        model: any.
        stage: 1 or 2.
        trained: instead of the default: parameters whose names begin so; "lora_" means the
            adapter wherever it is.

    Raises:
        ConfigError: nothing is called so, a model folder does not hold it, or there is nothing to
            train in this stage.
    """
    names = [name for name, _ in model.named_parameters()]
    for prefix in trained:
        if not any(_matches(name, prefix) for name in names):
            raise ConfigError(
                f"no parameter's name begins with {prefix!r}",
                expected=f"such as {', '.join(sorted({name.split('.')[0] for name in names}))}",
            )
    kept = set(names) if model.config.whole else set(trained_names(model))
    found = 0
    for name, parameter in model.named_parameters():
        wanted = (
            any(_matches(name, prefix) for prefix in trained)
            if trained
            else _is_trained(model.config, name, stage)
        )
        if wanted and name not in kept:
            raise ConfigError(
                f"{name} would be trained and not be saved",
                expected="what a model folder of this preset holds: not the pretrained rest",
            )
        parameter.requires_grad_(wanted)
        found += wanted
    if not found:
        raise ConfigError(
            f"stage {stage} has nothing to train in {model.config.name!r}",
            expected="a judge or a corrector in its configuration",
        )


def _matches(name: str, prefix: str) -> bool:
    return "lora_" in name if prefix == "lora_" else name.startswith(prefix)


def _is_trained(config: ModelConfig, name: str, stage: int) -> bool:
    if stage == 2:
        return name.startswith(_JUDGING)
    if name.startswith(_STAGE1[config.perception.kind]):
        return True
    if not name.startswith("language.inner."):
        return False
    if "lora_" in name or config.language.lora_rank == 0:
        return True
    return config.language.kind == "mistral" and name.startswith(_WORDS)
