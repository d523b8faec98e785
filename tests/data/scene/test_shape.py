"""What a shape's centre says of where it lies."""

from dataclasses import replace

import numpy as np

from mediround.data.scene.shape import Shape, is_ahead


def test_the_edge_of_a_cone_belongs_to_it_however_centres_are_rounded() -> None:
    shape = Shape.of("spleen", np.ones((3, 3), bool))
    assert shape is not None
    reference = replace(shape, centre=(0.0, 0.0))
    for forward in (7.640211640211639, 7.640211640211641):  # a picture, and its mirror image
        beside = replace(shape, centre=(5.73015873015873, forward))
        assert is_ahead(beside, reference, (0, 1), 0.75)
    assert not is_ahead(replace(shape, centre=(5.731, 7.64)), reference, (0, 1), 0.75)
