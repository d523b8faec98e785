"""``mediround data build``: labelled images in, a data set of dialogues out."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mediround.cli.data_rewriting import estimated, reworded, rewriting
from mediround.cli.task_bar import task_bar
from mediround.errors import InputError

if TYPE_CHECKING:
    from mediround.imaging import Plane


class PlaneName(StrEnum):
    """A plane in which volumes are cut."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


def build(  # one parameter an option
    src: Annotated[
        Path,
        typer.Argument(
            help="nnU-Net raw, SA-Med2D-20M, COCO json, NIfTI label maps, DICOM SEG, images with "
            "masks; or a folder that holds several of these."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the data set; new, or to be gone on with.")],
    dialogues: Annotated[int, typer.Option(min=1, help="How many.")],
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes; the bytes do not depend on it.")
    ] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            help="Work on a Ray cluster: its address, 'auto', or 'local' for one on this machine "
            "with --workers CPUs."
        ),
    ] = None,
    max_rounds: Annotated[int, typer.Option(min=1, help="Most rounds of a dialogue.")] = 6,
    split: Annotated[
        str, typer.Option(help="Shares of the patients by split.")
    ] = "train=0.8,validation=0.1,test=0.1",
    plane: Annotated[
        list[PlaneName] | None, typer.Option(help="Plane of volumes; may be repeated.")
    ] = None,
    balance: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="0: each data set alike. 1: by their images and structures."
        ),
    ] = 0.5,
    heldout_wording: Annotated[
        bool, typer.Option(help="Splits other than train use wordings that train never does.")
    ] = True,
    rewrite: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Let a language model behind this OpenAI-compatible endpoint reword questions; "
            "its key is read from MEDIROUND_REWRITE_KEY or OPENAI_API_KEY.",
        ),
    ] = None,
    rewrite_model: Annotated[str, typer.Option(help="Name of that model.")] = "",
    rewrite_cache: Annotated[
        Path | None, typer.Option(help="File of rewrites; OUT.rewrites.sqlite by default.")
    ] = None,
    price: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="IN OUT", help="Of a million tokens, for the estimate."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Estimate what rewriting costs; write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Make multi-round dialogues about labelled images.

    Each asks for structures by name, by description and in relation to earlier masks. Run the
    same command again after an interruption and it goes on.

    Example: mediround data build datasets --out dialogues --dialogues 10000 --workers 2
    """
    from mediround.data.building.build import build as run
    from mediround.data.building.settings import BuildSettings
    from mediround.data.dialogues.settings import DialogueSettings
    from mediround.data.sources import open_sources

    settings = BuildSettings(
        dialogues=dialogues,
        seed=seed,
        split=_shares(split),
        mixture=DialogueSettings.rich(max_rounds=max_rounds),
        balance=balance,
        heldout_wording=heldout_wording,
        rewritten_by=rewrite_model if rewrite and not dry_run else None,
    )
    rewording = rewriting(rewrite, rewrite_model, price)
    cache = rewrite_cache or out.with_name(f"{out.name}.rewrites.sqlite")
    planes = cast("list[Plane]", [each.value for each in plane or [PlaneName.AXIAL]])
    sources = open_sources(src, planes=planes, synthesis_seed=seed)
    pool = _pool(workers, ray)
    if dry_run:
        if rewording is None:
            raise InputError("--dry-run without --rewrite", expected="a cost to estimate")
        with task_bar() as progress:
            words, values = estimated(
                sources, settings, rewording, cache, pool=pool, progress=progress
            )
        typer.echo(json.dumps(values) if as_json else words)
        return
    with task_bar() as progress, reworded(rewording, cache) as rewrite_records:
        manifest = run(
            sources, out, settings, pool=pool, rewrite=rewrite_records, progress=progress
        )
    if as_json:
        typer.echo(manifest.model_dump_json(indent=1))
        return
    for name, counts in manifest.splits.items():
        told = ", ".join(f"{counts.get(w, 0):,} {w}" for w in ("patients", "images", "dialogues"))
        typer.echo(f"{name}: {told}")
    report = json.loads((out / "report.json").read_text())
    for what, listed in report.items():
        if count := listed if isinstance(listed, int) else len(listed):
            typer.echo(f"{what.replace('_', ' ')}: {count:,} (see {out / 'report.json'})")
    typer.echo(f"data set: {out}")


def _shares(text: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = part.partition("=")
        try:
            shares[name.strip()] = float(share)
        except ValueError:
            raise InputError(
                f"--split is {text!r}", expected="such as train=0.8,validation=0.2"
            ) from None
    return shares


def _pool(workers: int, ray: str | None) -> Any:
    from mediround.data.building.scale import pool_of

    if ray is None:
        return pool_of(workers)
    from mediround.data.building.ray_cluster import RayCluster

    return RayCluster(workers, None if ray == "local" else ray)
