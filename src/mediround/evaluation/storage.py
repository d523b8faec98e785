"""Cases as a Parquet table, masks included, and back."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mediround.dialogue import Rle
from mediround.errors import DatasetError
from mediround.evaluation.cases import Case, row
from mediround.evaluation.metrics import Overlap
from mediround.evaluation.surface import Surface
from mediround.imaging.output import replacing

CASES = "cases.parquet"

_COUNTS = {"dialogue", "round", "drawn", "target", "targets", "height", "width"}
_COUNTS |= {"intersection", "union", "set_intersection", "set_union"}
_TRUTHS = {"needs_reference", "named", "right"}
_SHARES = {"dice", "iou", "set_dice", "set_iou", "nsd", "hd95", "hd95_distance", "score"}
_SHARES |= {"reference_dice", "row_spacing", "column_spacing"}
_DERIVED = {"dice", "iou", "set_dice", "set_iou"}


def write_cases(path: Path, cases: Sequence[Case]) -> None:
    """Write one row a case; equal cases give equal bytes.

    Columns are those of :func:`mediround.evaluation.cases.row`, and ``mask`` and ``truth``: the
    counts of COCO's compressed run-length code of a mask with ``height`` and ``width``.

    Raises:
        OutputError: the file cannot be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    rows = [_row(case) for case in cases]
    names = list(_row(_EXAMPLE))
    schema = pa.schema([(name, _kind(name, pa)) for name in names])
    memory = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows, schema=schema), memory, compression="zstd")
    with replacing(path) as file:
        file.write(memory.getvalue())


def read_cases(path: Path) -> list[Case]:
    """The cases that :func:`write_cases` wrote.

    Args:
        path: the file, or the folder of an evaluation.

    Raises:
        DatasetError: there is no such file, or it is no table of cases.
    """
    import pyarrow as pa
    from pyarrow import parquet

    file = path / CASES if path.is_dir() else path
    try:
        rows: Iterable[dict[str, Any]] = parquet.read_table(file).to_pylist()
        return [_case(each) for each in rows]
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{file.name} of {file.parent.name or file.parent} cannot be read as cases "
            f"({type(error).__name__})",
            expected=f"the {CASES} of 'mediround evaluate'",
        ) from error


def _row(case: Case) -> dict[str, Any]:
    best = case.set_overlap
    size = next((code.size for code in (case.truth, case.mask) if code is not None), None)
    return row(case) | {
        "set_intersection": None if best is None else best.intersection,
        "set_union": None if best is None else best.union,
        "height": None if size is None else size[0],
        "width": None if size is None else size[1],
        "truth": None if case.truth is None else case.truth.counts,
        "mask": None if case.mask is None else case.mask.counts,
    }


def _case(values: dict[str, Any]) -> Case:
    size = values.pop("height"), values.pop("width")
    made = {name: value for name, value in values.items() if name not in _DERIVED}
    made["overlap"] = _overlap(made.pop("intersection"), made.pop("union"))
    made["set_overlap"] = _overlap(made.pop("set_intersection"), made.pop("set_union"))
    spacing = made.pop("row_spacing"), made.pop("column_spacing")
    made["spacing"] = None if spacing[0] is None else spacing
    nsd, relative = made.pop("nsd"), made.pop("hd95")
    distance, unit = made.pop("hd95_distance"), made.pop("hd95_unit")
    made["surface"] = None if nsd is None else Surface(nsd, distance, relative, unit)
    for name in ("truth", "mask"):
        made[name] = None if made[name] is None else Rle(size=size, counts=made[name])
    return Case(**made)


def _overlap(intersection: int | None, union: int | None) -> Overlap | None:
    if intersection is None or union is None:
        return None
    return Overlap(intersection, union)


def _kind(name: str, pa: Any) -> Any:
    if name in _COUNTS:
        return pa.int64()
    if name in _TRUTHS:
        return pa.bool_()
    return pa.float64() if name in _SHARES else pa.string()


_EXAMPLE = Case(
    text="free",
    references="predicted",
    dataset="",
    patient="",
    slice="",
    dialogue=0,
    round=1,
    kind="",
    needs_reference=False,
    named=False,
    entity=None,
    outcome="missed",
    predicted_name=None,
    overlap=None,
    score=None,
    drawn=0,
    query="",
    answer="",
)
"""Shows which columns there are, when there are no cases."""
