"""Lookups, including the anatomy that a reader would check first."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest

from mediround import anatomy
from mediround.anatomy import Atlas
from mediround.errors import InputError

ATLAS = anatomy.load()


def test_load_is_shared() -> None:
    assert anatomy.load() is ATLAS


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("Gullet", "esophagus"),
        ("oesophagus", "esophagus"),
        ("kidney_left", "left kidney"),
        ("LEFT-KIDNEY", "left kidney"),
        ("brain tumor", "brain tumour"),
        ("fifth lumbar vertebra", "vertebra L5"),
        ("third rib on the left", "left rib 3"),
    ],
)
def test_find_by_any_name(name: str, canonical: str) -> None:
    entity = ATLAS.find(name)
    assert entity is not None
    assert entity.name == canonical
    assert name in ATLAS


@pytest.mark.parametrize("name", ["", "kidney", "kidneys", "flux capacitor", "left", "left liver"])
def test_find_does_not_guess(name: str) -> None:
    assert ATLAS.find(name) is None
    assert name not in ATLAS


def test_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match=r"'lver'.*did you mean 'liver'"):
        ATLAS.pair("lver")


@pytest.mark.parametrize(
    ("name", "counterpart"),
    [
        ("left kidney", "right kidney"),
        ("right adrenal gland", "left adrenal gland"),
        ("left lung", "right lung"),
        ("left ventricle cavity", "right ventricle cavity"),
        ("right atrium", "left atrium"),
        ("left hippocampus", "right hippocampus"),
        ("lower lobe of the left lung", "lower lobe of the right lung"),
        ("middle lobe of the right lung", None),
        ("liver", None),
    ],
)
def test_pair(name: str, counterpart: str | None) -> None:
    assert ATLAS.pair(name) == counterpart


def test_parts_wholes_and_siblings() -> None:
    assert set(ATLAS.parts("right lung")) == {
        "upper lobe of the right lung",
        "middle lobe of the right lung",
        "lower lobe of the right lung",
    }
    assert ATLAS.wholes("left hippocampus") == (
        "left temporal lobe",
        "left cerebral hemisphere",
        "brain",
    )
    assert ATLAS.siblings("anterior hippocampus") == ("posterior hippocampus",)
    assert ATLAS.siblings("posterior hippocampus") == ("anterior hippocampus",)
    assert ATLAS.siblings("liver") == ()


def test_blood_makes_the_round() -> None:
    """From the right atrium through the lungs back to the right atrium."""
    circuit = [
        *("right atrium", "right ventricle cavity", "pulmonary artery", "left lung"),
        *("pulmonary vein", "left atrium", "left ventricle cavity", "aorta", "left renal artery"),
        *("left kidney", "left renal vein", "inferior vena cava", "right atrium"),
    ]
    for here, there in pairwise(circuit):
        downhill = (
            there in ATLAS.related(here, "flows_into")
            or there in ATLAS.related(here, "drained_by")
            or there in ATLAS.related(here, "supplies")
        )
        assert downhill, (here, there)


def test_related_and_inverse_are_two_views_of_one_relation() -> None:
    assert ATLAS.related("hepatic vein", "drains") == ("liver",)
    assert ATLAS.inverse("liver", "drains") == ("hepatic vein",)
    assert ATLAS.inverse("bile", "stores") == ("gallbladder",)
    assert ATLAS.related("liver", "produces") == ("bile",)
    with pytest.raises(ValueError, match="unknown relation 'likes'"):
        ATLAS.related("liver", "likes")
    with pytest.raises(ValueError, match="unknown relation"):
        ATLAS.inverse("liver", "likes")


@pytest.mark.parametrize("upper", ["C1", "C7", "T1", "T11", "T12", "L4"])
def test_vertebrae_are_stacked(upper: str) -> None:
    column = [f"C{i}" for i in range(1, 8)] + [f"T{i}" for i in range(1, 13)]
    column += [f"L{i}" for i in range(1, 6)]
    lower = column[column.index(upper) + 1]
    assert ATLAS.related(f"vertebra {upper}", "superior_to") == (f"vertebra {lower}",)
    assert ATLAS.related(f"vertebra {lower}", "inferior_to") == (f"vertebra {upper}",)


def test_iteration_yields_each_entity_once() -> None:
    assert tuple(entity.name for entity in ATLAS) == ATLAS.names()
    assert isinstance(ATLAS, Atlas)


def test_the_package_needs_only_the_standard_library() -> None:
    script = (
        "import sys; from mediround.anatomy import load; load(); "
        "print(*{'torch', 'numpy', 'pydantic', 'pydicom'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
