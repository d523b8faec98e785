"""A comparison of reports as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mediround.evaluation.markdown_tables import DIFFERENCE, difference, grid, number


def page(found: Mapping[str, Any]) -> str:
    """Every test of a comparison."""
    reference = found["reference"]
    lines = [
        f"# Compared with {reference['name']}",
        "",
        "Differences are paired target by target; intervals are bootstrapped over patients, p is "
        "that of a permutation test over patients, and the last column corrects it for the "
        f"{found['tests']} tests of this page (Holm). The effect size is Cohen's d of the "
        "patients' mean differences. For hd95 less is better.",
        "",
    ]
    for each in found["comparisons"]:
        lines += [
            f"## {each['name']} ({each['model']}, {each['setting']})",
            "",
            f"{each['targets']} targets in both; {each['only_in_reference']} only in the "
            f"reference, {each['only_here']} only here.",
            "",
        ]
        head = ["metric", "part", reference["name"], each["name"], *DIFFERENCE, "p (Holm)"]
        rows = [
            [
                row["metric"],
                row["group"],
                number(row["first"]),
                number(row["second"]),
                *difference(row),
                number(row["p_holm"]),
            ]
            for row in each["rows"]
        ]
        lines += [*grid(head, rows), ""]
    return "\n".join(lines)
