"""Cases survive JSON and Parquet unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediround.dialogue import Rle
from mediround.errors import DatasetError
from mediround.evaluation.cases import Case, pack, unpack
from mediround.evaluation.metrics import Overlap
from mediround.evaluation.storage import read_cases, write_cases
from mediround.evaluation.surface import Surface

MASK = Rle.encode(np.eye(5, 7, dtype=bool))
SHARES = st.floats(0, 1)
OVERLAPS = st.none() | st.builds(Overlap, st.integers(0, 99), st.integers(0, 99))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    values: dict[str, Any] = {
        "text": draw(st.sampled_from(["free", "gold"])),
        "references": draw(st.sampled_from(["predicted", "gold", "random"])),
        "outcome": draw(st.sampled_from(["drawn", "missed", "unaskable", "rejected"])),
        "correction": draw(st.sampled_from([None, "on", "off"])),
        "spacing": draw(st.none() | st.tuples(SHARES, SHARES)),
        "surface": draw(
            st.none() | st.builds(Surface, SHARES, SHARES, SHARES, st.sampled_from(["mm", "pixel"]))
        ),
        "mask": draw(st.none() | st.just(MASK)),
        "truth": draw(st.none() | st.just(MASK)),
    }
    for name in ("dataset", "patient", "slice", "kind", "query", "answer", "baseline", "expected"):
        values[name] = draw(TEXTS)
    for name in ("entity", "predicted_name"):
        values[name] = draw(st.none() | TEXTS)
    for name in ("dialogue", "round", "drawn", "target", "targets"):
        values[name] = draw(st.integers(0, 9))
    for name in ("needs_reference", "named"):
        values[name] = draw(st.booleans())
    for name in ("overlap", "set_overlap"):
        values[name] = draw(OVERLAPS)
    for name in ("score", "reference_dice"):
        values[name] = draw(st.none() | SHARES)
    return Case(**values, right=draw(st.none() | st.booleans()))


@settings(deadline=None)
@given(cases())
def test_json_keeps_everything(case: Case) -> None:
    assert unpack(json.loads(json.dumps(pack(case)))) == case


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(cases(), max_size=4))
def test_parquet_keeps_everything_and_gives_equal_bytes(tmp_path: Path, some: list[Case]) -> None:
    path = tmp_path / "cases.parquet"
    write_cases(path, some)
    first = path.read_bytes()
    assert read_cases(tmp_path) == some
    write_cases(path, read_cases(path))
    assert path.read_bytes() == first


def test_what_is_no_table_of_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"cases\.parquet"):
        read_cases(tmp_path)
    (tmp_path / "cases.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DatasetError, match="expected the cases"):
        read_cases(tmp_path)
