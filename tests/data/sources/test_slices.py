"""A labelled slice: structures, instances, label map."""

from __future__ import annotations

import numpy as np
import pytest
from tests.data.sources.pictures import H, W, box

from mediround.data.sources import (
    LabelledSlice,
    Structure,
)
from mediround.errors import DatasetError
from mediround.imaging import Image


def test_overlapping_structures_have_masks_but_no_label_map() -> None:
    first, second = box(0, 0, 4, 4) > 0, box(2, 2, 6, 6) > 0
    image = Image.from_array(np.zeros((H, W), np.uint8))
    both = (Structure("liver", first, 1), Structure("tumour", second, 2))
    shown = LabelledSlice("d", "p", "n", image, both, {1: "liver", 2: "tumour"}, oriented=False)
    np.testing.assert_array_equal(shown.masks()["liver"], first)
    np.testing.assert_array_equal(shown.masks()["tumour"], second)
    with pytest.raises(DatasetError, match="tumour overlaps another structure in n"):
        _ = shown.labels


def test_instances_are_apart_and_their_masks_together() -> None:
    first, second = box(0, 0, 4, 4) > 0, box(6, 6, 8, 8) > 0
    image = Image.from_array(np.zeros((H, W), np.uint8))
    two = (Structure("nerve", first, 3), Structure("nerve", second, 3))
    shown = LabelledSlice("d", "p", "n", image, two, {3: "nerve"}, oriented=False)
    assert [m.sum() for m in shown.instances()["nerve"]] == [16, 4]
    np.testing.assert_array_equal(shown.masks()["nerve"], first | second)
    np.testing.assert_array_equal(shown.labels, np.where(first | second, 3, 0))
    crowd = (*two, Structure("nerve", box(9, 9, 10, 10) > 0, 3, crowd=True))
    unsure = LabelledSlice("d", "p", "n", image, crowd, {3: "nerve"}, oriented=False)
    assert unsure.instances() == {}
    assert unsure.masks()["nerve"].sum() == 21
