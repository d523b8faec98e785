"""``mediround data check``: is a data set of dialogues what it claims to be?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mediround.cli.task_bar import task_bar


def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A data set of dialogues.")],
    oracle: Annotated[
        bool, typer.Option(help="Measure how well words alone answer, without the masks.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Validate a data set of dialogues; exit code 1 when something is wrong.

    Looks at checksums, schema, pixels, masks, references and the index, at patients and images in
    two splits, and whether rounds that are marked as needing their reference do need it.

    Example: mediround data check dialogues
    """
    from mediround.data.inspection.check import check as run

    with task_bar() as bar:
        progress = None if bar is None else lambda done, total: bar("checking images", done, total)
        findings = run(folder, oracle=oracle, progress=progress)
    if as_json:
        typer.echo(json.dumps(findings.as_json(), indent=1))
        raise typer.Exit(0 if findings.passed else 1)
    typer.echo(
        f"{findings.images:,} images, {findings.dialogues:,} dialogues, {findings.rounds:,} rounds"
    )
    if findings.oracle is not None:
        report = findings.oracle
        typer.echo(
            f"{report.necessary_share:.1%} of the rounds after the first need their reference; of "
            f"{report.marked:,} such rounds words alone answer {report.answered_share:.1%}, blind "
            f"guesses {report.guessed_share:.1%}"
        )
    for warning in findings.warnings:
        typer.echo(f"warning: {warning}")
    for kind, listed in findings.problems.items():
        typer.echo(f"{kind}: {findings.counts[kind]:,}", err=True)
        for what in listed:
            typer.echo(f"  {what}", err=True)
    if not findings.passed:
        raise typer.Exit(1)
    typer.echo("nothing is wrong")
