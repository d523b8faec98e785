"""The reader study: blind on the page, exact in the key, scored with intervals."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mediround.cli import main
from mediround.dialogue import Dialogue, Rle
from mediround.errors import DatasetError
from mediround.evaluation import study
from mediround.evaluation.cases import Case
from mediround.evaluation.comparison import Report
from mediround.evaluation.metrics import Overlap
from mediround.evaluation.stored import Picture
from mediround.evaluation.study import KEY, PAGE, Item, export, read_key
from mediround.evaluation.study_page import COLUMNS
from mediround.evaluation.study_score import read_ratings, score
from mediround.imaging import Image, overlay
from mediround.imaging.overlay import Layer

SIDE = 32
HEAD: dict[str, Any] = {
    "model": "nano",
    "settings": {"text": "free", "references": "predicted", "split": "validation"},
    "rounds": {},
}


def square(shift: int) -> Rle:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[8 + shift : 20 + shift, 8:20] = True
    return Rle.encode(mask)


def case(patient: int, shift: int, entity: str) -> Case:
    truth, mask = square(0), square(shift)
    return Case(
        text="free",
        references="predicted",
        dataset="made",
        patient=f"p{patient}",
        slice=f"p{patient}_1",
        dialogue=0,
        round=1,
        kind="name",
        needs_reference=False,
        named=True,
        entity=entity,
        outcome="drawn",
        predicted_name=entity,
        overlap=Overlap.of(mask.decode(), truth.decode()),
        score=0.5,
        drawn=1,
        query="Segment it.",
        answer="It is [1].",
        truth=truth,
        mask=mask,
    )


@dataclass(frozen=True)
class Held:
    """The images of the made cases."""

    count: int = 8
    dataset: str = "made"
    case: str = "all"

    @property
    def slices(self) -> tuple[str, ...]:
        return tuple(f"p{number}_1" for number in range(self.count))

    def read(self) -> Iterator[Picture]:
        for number, name in enumerate(self.slices):
            pixels = np.random.default_rng(number).integers(0, 255, (SIDE, SIDE), np.uint8)
            yield Picture("made", f"p{number}", name, Image(pixels=pixels), {})

    def dialogues(self, *_: Any, **__: Any) -> list[Dialogue]:
        return []


@pytest.fixture(autouse=True)
def plain_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that tell masks apart and take no time."""

    def draw(image: Image, layers: list[Layer], **_: Any) -> Any:
        shade = sum(int(layer.mask[8:12].sum()) for layer in layers)
        return np.full((4, 4, 3), shade, np.uint8)

    monkeypatch.setattr(study, "draw", draw)


def test_both_masks_are_drawn(
    reports: tuple[Report, Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "draw", overlay.draw)
    export(*reports, [Held()], tmp_path, count=1, seed=1)
    pictures = re.findall(r"base64,([\w+/=]+)", (tmp_path / PAGE).read_text())
    assert len(set(pictures)) == 3


@pytest.fixture
def reports() -> tuple[Report, Report]:
    names = ["liver", "spleen"]
    good = [case(n, 0, names[n % 2]) for n in range(8)]
    bad = [case(n, 4, names[n % 2]) for n in range(8)]
    return Report("secret-good", HEAD, good), Report("secret-bad", HEAD, bad)


def rate(items: list[Item], rater: str, *, prefers: str) -> list[dict[str, str]]:
    rows = []
    for item in items:
        left = item.left == prefers
        rows.append(
            {
                "rater": rater,
                "item": item.item,
                "left_quality": "5" if left else "2",
                "right_quality": "2" if left else "5",
                "preference": "left" if left else "right",
                "comment": 'a "quoted", comment',
            }
        )
    return rows


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_the_page_is_blind_and_the_key_is_not(
    reports: tuple[Report, Report], tmp_path: Path
) -> None:
    items = export(*reports, [Held()], tmp_path, count=6, seed=1)
    page = (tmp_path / PAGE).read_text()
    assert "secret" not in page
    assert "nano" not in page
    assert "p1_1" not in page
    assert page.count('class="card"') == 6
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:|//)", page)
    assert "{{" not in page
    key = read_key(tmp_path)
    assert key["items"] == items
    assert key["reports"] == ["secret-good", "secret-bad"]
    assert {item.left for item in items} == {"secret-good", "secret-bad"}  # sides are mixed
    assert {item.entity for item in items} == {"liver", "spleen"}


def test_equal_seeds_give_equal_studies(reports: tuple[Report, Report], tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        export(*reports, [Held()], tmp_path / name, count=8, seed=seed)
    same = [(tmp_path / name / PAGE).read_bytes() for name in "abc"]
    assert same[0] == same[1] != same[2]


def test_masks_that_are_equal_are_not_shown(reports: tuple[Report, Report], tmp_path: Path) -> None:
    good, _ = reports
    with pytest.raises(DatasetError, match="share no target that they drew differently"):
        export(good, replace(good, name="again"), [Held()], tmp_path, count=3, seed=0)


def test_images_must_be_in_the_data(reports: tuple[Report, Report], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not in the data"):
        export(*reports, [Held(count=2)], tmp_path, count=8, seed=0)


def test_unanimous_readers_agree_and_decide(reports: tuple[Report, Report], tmp_path: Path) -> None:
    items = export(*reports, [Held()], tmp_path, count=8, seed=1)
    paths = [
        write(tmp_path / f"{name}.csv", rate(items, name, prefers="secret-good"))
        for name in ("ab", "cd")
    ]
    found = score(items, ["secret-good", "secret-bad"], read_ratings(paths, items))
    assert found["quality"]["secret-good"]["mean"] == 5
    assert found["quality"]["difference"]["difference"] == -3
    assert found["quality"]["difference"]["clusters"] == 8
    assert found["preference"]["second"]["share"] == 0
    assert found["preference"]["cases_lost_by_second"] == 8
    assert found["preference"]["sign_test_p"] == pytest.approx(2 / 2**8)
    assert found["agreement"]["quality"]["krippendorff_alpha"] == pytest.approx(1)
    assert found["agreement"]["quality"]["cohen_kappa"] == pytest.approx(1)
    json.dumps(found, allow_nan=False)


def test_readers_who_contradict_each_other_decide_nothing(
    reports: tuple[Report, Report], tmp_path: Path
) -> None:
    items = export(*reports, [Held()], tmp_path, count=8, seed=1)
    rows = rate(items, "ab", prefers="secret-good") + rate(items, "cd", prefers="secret-bad")
    ratings = read_ratings([write(tmp_path / "both.csv", rows)], items)
    found = score(items, ["secret-good", "secret-bad"], ratings)
    assert found["quality"]["difference"]["difference"] == 0
    assert found["preference"]["second"]["share"] == 0.5
    assert found["preference"]["sign_test_p"] is None
    assert found["agreement"]["preference"]["krippendorff_alpha"] < 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"item": "99"}, "case '99' is not in the key"),
        ({"left_quality": "6"}, "'6'; expected one of 1"),
        ({"preference": "both"}, "'both'; expected one of left"),
        ({"rater": " "}, "no rater is named"),
        ({"item": "2"}, "has rated case 2 before"),
    ],
)
def test_wrong_ratings_are_refused(
    reports: tuple[Report, Report], tmp_path: Path, change: dict[str, str], message: str
) -> None:
    items = export(*reports, [Held()], tmp_path, count=4, seed=1)
    rows = rate(items, "ab", prefers="secret-good")
    rows[0] |= change
    with pytest.raises(DatasetError, match=message):
        read_ratings([write(tmp_path / "ab.csv", rows)], items)


def test_the_score_command(
    reports: tuple[Report, Report], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = export(*reports, [Held()], tmp_path, count=8, seed=1)
    path = write(tmp_path / "ab.csv", rate(items, "ab", prefers="secret-good"))
    assert main(["study", "score", str(tmp_path), str(path)]) == 0
    assert "prefer secret-bad: 0 of 8" in capsys.readouterr().out
    assert main(["study", "score", str(tmp_path / KEY), str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cases"] == 8
    path.write_text("rater,item\n")
    assert main(["study", "score", str(tmp_path), str(path)]) == 2
    assert "lacks left_quality" in capsys.readouterr().err
