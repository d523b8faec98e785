"""The part of ``mediround data build`` that lets a language model reword questions."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mediround.errors import InputError

if TYPE_CHECKING:
    from mediround.data.building.settings import BuildSettings
    from mediround.data.rewriting.rewriter import RewriteSettings
    from mediround.data.shards import Record
    from mediround.data.sources import Source

logger = logging.getLogger(__name__)


def rewriting(
    url: str | None, model: str, price: tuple[float, float] | None
) -> RewriteSettings | None:
    """The endpoint that was asked for; None without one.

    Raises:
        InputError: an endpoint without a model.
    """
    if url is None:
        return None
    from mediround.data.rewriting.rewriter import RewriteSettings

    if not model:
        raise InputError("--rewrite without --rewrite-model", expected="the name of a model")
    return RewriteSettings(
        url=url,
        model=model,
        api_key=os.environ.get("MEDIROUND_REWRITE_KEY") or os.environ.get("OPENAI_API_KEY"),
        input_price=price[0] if price else None,
        output_price=price[1] if price else None,
    )


@contextmanager
def reworded(
    settings: RewriteSettings | None, cache: Path
) -> Iterator[Callable[[Sequence[Record]], list[Record]] | None]:
    """A function that rewords records, or None without an endpoint; at the end tells its tally."""
    if settings is None:
        yield None
        return
    from mediround.data.rewriting.rewriter import Rewriter

    with Rewriter(settings, cache) as rewriter:

        def rewrite(records: Sequence[Record]) -> list[Record]:
            dialogues = rewriter.rewrite([r.dialogue for r in records], [_key(r) for r in records])
            return [
                record.model_copy(update={"dialogue": dialogue})
                for record, dialogue in zip(records, dialogues, strict=True)
            ]

        yield rewrite
        counted = ", ".join(f"{name} {value}" for name, value in rewriter.tally.as_dict().items())
        typer.echo(f"rewriting: {counted}", err=True)


def estimated(
    sources: Sequence[Source],
    build: BuildSettings,
    settings: RewriteSettings,
    cache: Path,
    **how: Any,
) -> tuple[str, dict[str, Any]]:
    """What rewriting would send and cost, in words and as JSON values; nothing is sent or kept.

    Args:
        sources: of the data set.
        build: its settings.
        settings: the endpoint.
        cache: file of rewrites; what it holds costs nothing.
        how: passed on to the build: pool, progress.
    """
    from mediround.data.building.build import build as run
    from mediround.data.rewriting.rewriter import estimate
    from mediround.data.shards import DialogueFolder

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "dialogues"
        run(sources, out, build, **how)
        built = DialogueFolder(out)
        found = estimate(
            (record.dialogue for record in built.records()),
            settings,
            cache if cache.exists() else None,
            (_key(record) for record in built.records()),
        )
    return str(found), asdict(found)


def _key(record: Record) -> str:
    """Twins share their words, so they share their key."""
    return min(record.id, record.twin or record.id)
