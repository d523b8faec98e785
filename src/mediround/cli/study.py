"""``mediround study``: a blinded comparison of two evaluations by readers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    help="A blinded study with readers: export cases of two evaluations, score the ratings.",
    epilog="Example: mediround study export results/a results/b --data datasets --out study",
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def export(
    first: Annotated[Path, typer.Argument(help="Folder of one evaluation.")],
    second: Annotated[Path, typer.Argument(help="Folder of another one of the same dialogues.")],
    data: Annotated[Path, typer.Option(help="The data that both were made from.")],
    out: Annotated[Path, typer.Option(help="Folder for study.html and key.json.")],
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="Most cases.")] = 30,
    seed: Annotated[int, typer.Option(help="Of the choice, the order and the sides.")] = 0,
) -> None:
    """Write a page for readers, and the key to it.

    Send readers study.html alone: it needs no network, names no model, and saves the ratings as
    a CSV file. Keep key.json.

    Example: mediround study export results/a results/b --data datasets --out study -n 30
    """
    from mediround.evaluation.comparison import Report, names_of
    from mediround.evaluation.study import KEY, PAGE
    from mediround.evaluation.study import export as write
    from mediround.evaluation.study_material import chosen_for

    names = names_of([first, second])
    reports = [Report.read(path, name) for path, name in zip((first, second), names, strict=True)]
    chosen = chosen_for(data, reports)
    items = write(reports[0], reports[1], chosen, out, count=number, seed=seed)
    typer.echo(f"{len(items)} cases")
    typer.echo(f"for the readers: {out / PAGE}")
    typer.echo(f"keep to yourself: {out / KEY}")


@app.command()
def score(
    key: Annotated[Path, typer.Argument(help="key.json of the study, or its folder.")],
    ratings: Annotated[list[Path], typer.Argument(help="CSV files that the readers sent back.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Preference, quality and agreement of the readers, with intervals.

    Example: mediround study score study ratings-ab.csv ratings-cd.csv
    """
    from mediround.evaluation.study import read_key
    from mediround.evaluation.study_score import read_ratings
    from mediround.evaluation.study_score import score as count

    held = read_key(key)
    found = count(held["items"], held["reports"], read_ratings(ratings, held["items"]))
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    for line in _lines(found):
        typer.echo(line)


def _lines(found: dict[str, Any]) -> list[str]:
    first, second = found["reports"]
    quality, preference = found["quality"], found["preference"]
    change, decided = quality["difference"], preference["second"]
    lines = [f"{found['cases']} cases, {len(found['raters'])} raters, {found['ratings']} ratings"]
    lines += [
        f"quality of {name}: {quality[name]['mean']:.2f} {_interval(quality[name]['ci95'])}"
        for name in (first, second)
    ]
    lines.append(
        f"difference: {change['difference']:+.2f} {_interval(change['ci95'])}, "
        f"p = {_number(change['p'])}"
    )
    lines.append(
        f"prefer {second}: {decided['right']} of {decided['n']} decided ratings "
        f"{_interval(decided['ci95_over_patients'])}; no difference: "
        f"{preference['no_difference']}; sign test over cases p = "
        f"{_number(preference['sign_test_p'])}"
    )
    for name, each in found["agreement"].items():
        lines.append(
            f"agreement on {name}: Krippendorff's alpha {_number(each['krippendorff_alpha'])}, "
            f"Cohen's kappa {_number(each['cohen_kappa'])}"
        )
    lines.append(f"rank correlation of Dice and rating: {_number(found['dice_agrees'])}")
    return lines


def _interval(value: list[float] | None) -> str:
    return "" if value is None else f"[{value[0]:.2f}, {value[1]:.2f}]"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
