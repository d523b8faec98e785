"""Answers to swapped-reference twins -> the numbers of ``swapped.json``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mediround.evaluation.selection import generator
from mediround.evaluation.statistics import bootstrap_ratio, proportion
from mediround.evaluation.swapped import PairResult, Reply, SwappedSettings

Table = dict[str, Any]
Replies = tuple[Reply, Reply]


def build(results: Sequence[PairResult], settings: SwappedSettings) -> Table:
    """Rates for every kind, over all data sets and in each; the settings; every pair."""
    kinds: dict[str, Table] = {}
    for kind in settings.kinds:
        own = [result for result in results if result.kind == kind.value]
        datasets = sorted({result.dataset for result in own})
        kinds[kind.value] = _rates(own, settings.seed) | {
            "datasets": {
                name: _rates([r for r in own if r.dataset == name], settings.seed)
                for name in datasets
            }
        }
    return {
        "swapped_settings": dataclasses.asdict(settings),
        "kinds": kinds,
        "pairs": [dataclasses.asdict(result) for result in results],
    }


def summary(pairs: Mapping[str, Any]) -> Table:
    """Kind -> pairs, share of pairs with both right, and the same with random references."""
    return {
        name: {
            "n": each["both_right"]["n"],
            "both_right": each["both_right"]["share"],
            "ci95": each["both_right"]["ci95"],
            "random_references": each["random_references"]["both_right"]["share"],
        }
        for name, each in pairs["kinds"].items()
    }


def _rates(results: Sequence[PairResult], seed: int) -> Table:
    replies = [result.replies for result in results]
    controls = [result.control for result in results if result.control is not None]
    table: Table = {
        "slices": len({(r.dataset, r.slice) for r in results}),
        "patients": len({(r.dataset, r.patient) for r in results}),
        "both_right": _share(replies, _both_right),
        "both_right_and_unnamed": _share(replies, _both_right_and_unnamed),
        "right": wilson_share([reply.right for pair in replies for reply in pair]),
        "random_references": {
            "both_right": _share(controls, _both_right),
            "right": wilson_share([reply.right for pair in controls for reply in pair]),
        },
    }
    # Wilson takes pairs as independent; pairs of one patient are not, so this is given besides.
    table["both_right"]["ci95_over_patients"] = bootstrap_ratio(
        [_both_right(pair) for pair in replies],
        [1] * len(replies),
        [(result.dataset, result.patient) for result in results],
        generator(seed, "swapped bootstrap"),
        strata=[result.dataset for result in results],
    )
    return table


def wilson_share(successes: Sequence[bool]) -> Table:
    """Number, share and Wilson's 95 % interval; share and interval are None without trials."""
    return proportion(sum(successes), len(successes))


def _share(pairs: Sequence[Replies], test: Callable[[Replies], bool]) -> Table:
    return wilson_share([test(pair) for pair in pairs])


def _both_right(pair: Replies) -> bool:
    return all(reply.right for reply in pair)


def _both_right_and_unnamed(pair: Replies) -> bool:
    return all(reply.right and reply.unnamed for reply in pair)
