"""``mediround compare``: reports against each other, and the cross-data-set matrix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table


def compare(
    reports: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of evaluations, or their report.json; the first is the one "
            "that the others are compared with."
        ),
    ],
    name: Annotated[
        list[str] | None,
        typer.Option(
            help="What to call each report, in their order; for --matrix the data set "
            "that its model was trained on, several joined by '+'."
        ),
    ] = None,
    matrix: Annotated[
        bool,
        typer.Option(help="Models against data sets instead of reports against each other."),
    ] = False,
    metric: Annotated[
        str, typer.Option(help="Shown in the table: dice, iou, nsd or hd95; --json has all.")
    ] = "dice",
    out: Annotated[
        Path | None, typer.Option(help="Folder for compare.json or matrix.json, .md and .png.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of resampling.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Paired tests between reports on the same cases.

    Differences are those of the same target in both reports, with 95 % bootstrap intervals over
    patients, the p of a permutation test that exchanges the reports patient by patient, that p
    after Holm's correction, and Cohen's d of the patients' differences.

    Example: mediround compare results/before results/after --json
    """
    from mediround.evaluation.comparison import Report, compare_reports, names_of, read_head
    from mediround.evaluation.matrix import build

    names = _names(reports, name or names_of(reports))
    console = Console(width=150)  # a table that is folded at 80 columns cannot be read
    if matrix:
        heads = [(own, read_head(path)) for path, own in zip(reports, names, strict=True)]
        found = build(heads)
        if out is not None:
            _write_matrix(found, out)
        if as_json:
            typer.echo(json.dumps(found, indent=1))
        else:
            _show_matrix(found, console)
        return
    _check(reports, metric)
    read = [Report.read(path, own) for path, own in zip(reports, names, strict=True)]
    found = compare_reports(read, seed=seed)
    if out is not None:
        _write_comparison(found, out)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        _show(found, metric, console)


def _names(reports: list[Path], names: list[str]) -> list[str]:
    from mediround.errors import InputError

    if len(names) != len(reports):
        raise InputError(f"{len(names)} names for {len(reports)} reports", expected="one for each")
    return names


def _check(reports: list[Path], metric: str) -> None:
    from mediround.errors import InputError
    from mediround.evaluation.comparison import METRICS

    if len(reports) < 2:
        raise InputError("one report", expected="at least two to compare")
    if metric not in METRICS:
        raise InputError(f"metric {metric!r}", expected=f"one of {', '.join(METRICS)}")


def _show(found: dict[str, Any], metric: str, console: Console) -> None:
    reference = found["reference"]["name"]
    for each in found["comparisons"]:
        console.print(
            f"{each['name']} minus {reference}: {each['targets']} targets in both, "
            f"{each['only_in_reference']} only in {reference}, {each['only_here']} only here"
        )
        head = (
            "",
            "targets",
            "patients",
            reference,
            each["name"],
            "difference",
            "95 %",
            "p",
            "p (Holm)",
            "effect",
        )
        table = Table(*head, box=None, pad_edge=False)
        for row in each["rows"]:
            if row["metric"] != metric:
                continue
            table.add_row(
                row["group"],
                str(row["n"]),
                str(row["clusters"]),
                *(_number(row[key]) for key in ("first", "second")),
                f"{row['difference']:+.3f}",
                "–" if row["ci95"] is None else f"{row['ci95'][0]:+.3f} to {row['ci95'][1]:+.3f}",
                *(_number(row[key]) for key in ("p", "p_holm", "effect")),
            )
        console.print(table)
    console.print(f"Holm's correction is for {found['tests']} tests.")


def _show_matrix(found: dict[str, Any], console: Console) -> None:
    table = Table("trained on", *found["columns"], box=None, pad_edge=False)
    for name, row in found["rows"].items():
        cells = (row.get(column) for column in found["columns"])
        table.add_row(name, *(_cell(cell) for cell in cells))
    console.print(table)
    console.print(
        f"mean Dice on own data sets (*) {_number(found['own'])}, "
        f"on others {_number(found['other'])}"
    )


def _cell(cell: dict[str, Any] | None) -> str:
    return "–" if cell is None else _number(cell["dice"]) + ("*" if cell["own"] else "")


def _write_comparison(found: dict[str, Any], out: Path) -> None:
    from mediround.evaluation import markdown_comparison
    from mediround.evaluation.writing import write_json, write_text
    from mediround.imaging.output import ensure_folder

    folder = ensure_folder(out)
    write_json(folder / "compare.json", found)
    write_text(folder / "compare.md", markdown_comparison.page(found))


def _write_matrix(found: dict[str, Any], out: Path) -> None:
    from mediround.evaluation import matrix, plots
    from mediround.evaluation.writing import write_json, write_text
    from mediround.imaging.output import ensure_folder

    folder = ensure_folder(out)
    write_json(folder / "matrix.json", found)
    write_text(folder / "matrix.md", matrix.markdown(found))
    plots.matrix(found, folder / "matrix.png")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
