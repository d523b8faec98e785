"""A source read to its end."""

from __future__ import annotations

import pickle

from mediround.data.sources import BadCase, LabelledSlice, Source, readable


def everything(source: Source) -> tuple[list[LabelledSlice], list[BadCase]]:
    bad: list[BadCase] = []
    # A case travels to other processes, so it must survive a pickle.
    cases = [pickle.loads(pickle.dumps(case)) for case in source.cases()]
    return list(readable(cases, bad.append)), bad
