"""How drawn structures lie to a reference, in numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mediround.model.deduction import EVIDENCE, GROUPS
from mediround.session.survey import Survey

NAMES = ("liver", "spleen", "aorta", "stomach", "pancreas")
BESIDE = torch.full((len(NAMES),), 0.2).log()
PRESENCE, ROUGHLY, CLEARLY, ALONG, ACROSS, BEYOND, GAP, APART, NEARER, _, ALONE, SEEN = range(12)


def block(row: int, column: int, side: int = 10) -> NDArray[np.bool_]:
    mask = np.zeros((100, 100), dtype=bool)
    mask[row : row + side, column : column + side] = True
    return mask


def surveyed(masks: list[NDArray[np.bool_]], axes: str | None = "LP") -> Survey:
    presence = torch.full((len(NAMES),), 0.9)
    presence[3] = 0.1
    return Survey(NAMES, np.stack(masks), presence, axes)


@pytest.fixture
def survey() -> Survey:
    """Left to right: liver, spleen, aorta, stomach; the pancreas is a speck."""
    return surveyed([block(40, 5), block(40, 30), block(40, 60), block(40, 85), block(0, 0, 2)])


def test_the_next_structure_on_a_side_has_nothing_nearer(survey: Survey) -> None:
    candidates, evidence = survey.evidence("left_of", [block(40, 30)], BESIDE, {1})
    assert candidates == [0, 2, 3]  # a speck of four pixels is no structure
    assert evidence.shape == (3, EVIDENCE)
    liver, aorta, stomach = evidence
    assert liver[ROUGHLY] == liver[CLEARLY] == 0  # the patient's left is the picture's right
    assert liver[ALONG] < 0
    assert aorta[CLEARLY] == stomach[CLEARLY] == aorta[BEYOND] == aorta[ALONE] == 1
    assert aorta[NEARER] == 0
    assert stomach[NEARER] == pytest.approx(0.9)  # the aorta, as far as it is there
    assert stomach[PRESENCE] < aorta[PRESENCE]
    assert aorta[GAP] < stomach[GAP]


def test_directions_need_to_know_how_the_patient_lies(survey: Survey) -> None:
    blind = surveyed([block(40, 5)] * len(NAMES), axes=None)
    assert not blind.sees("left_of")
    assert blind.sees("nearest_to")
    assert blind.sees("picture_left")
    assert survey.sees("left_of")
    assert not survey.sees("identity")
    assert not surveyed([block(40, 5)] * len(NAMES), axes="LI").sees("behind")  # a coronal slice


def test_sides_of_the_picture_are_those_that_are_seen(survey: Survey) -> None:
    towards = survey.evidence("right_of", [block(40, 30)], BESIDE, {1})
    seen = survey.evidence("picture_left", [block(40, 30)], BESIDE, {1})
    assert towards[0] == seen[0]
    assert torch.equal(towards[1], seen[1])


def test_a_drawing_of_the_reference_itself_is_no_candidate(survey: Survey) -> None:
    """Whatever it is drawn as."""
    candidates, _ = survey.evidence("nearest_to", [block(41, 61)], BESIDE, set())
    assert candidates == [0, 1, 3]


def test_between_lies_on_the_line(survey: Survey) -> None:
    ends = [block(40, 5), block(40, 60)]
    candidates, evidence = survey.evidence("between", ends, BESIDE, {0, 2})
    assert candidates == [1, 3]
    assert evidence[:, CLEARLY].tolist() == evidence[:, BEYOND].tolist() == [1, 0]
    assert evidence[0, ALONG] == pytest.approx(abs(25 / 55 - 0.5), abs=1e-5)
    assert evidence[0, ACROSS] == 0


@given(
    row=st.integers(0, 90),
    column=st.integers(0, 90),
    relation=st.sampled_from(sorted(set(GROUPS) - {"between"})),
)
def test_evidence_is_finite_and_about_one_in_size(row: int, column: int, relation: str) -> None:
    rng = np.random.default_rng(row)
    drawn = [block(*map(int, rng.integers(0, 90, 2))) for _ in NAMES]
    _, evidence = surveyed(drawn).evidence(relation, [block(row, column)], BESIDE, set())
    assert evidence.isfinite().all()
    assert evidence.abs().max() <= 10 if len(evidence) else True
