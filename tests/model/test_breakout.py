"""The facts of the game: conversions are lossless and the flat cell order is column by column."""

import numpy as np
import pytest

from model.breakout import (
    ALE_COLOURS,
    CLASSES,
    PALETTE,
    changed_cells,
    classes_from_ale,
    classes_from_rgb,
    from_cells,
    rgb_from_classes,
    to_cells,
)


@pytest.fixture
def frame() -> np.ndarray:
    return np.random.default_rng(0).integers(0, CLASSES, (210, 160), dtype=np.uint8)


def test_rgb_and_back(frame: np.ndarray) -> None:
    assert np.array_equal(classes_from_rgb(rgb_from_classes(frame)), frame)


def test_ale_indices_to_classes(frame: np.ndarray) -> None:
    assert np.array_equal(classes_from_ale(np.array(ALE_COLOURS, np.uint8)[frame]), frame)


def test_unknown_colours_are_refused(frame: np.ndarray) -> None:
    rgb = rgb_from_classes(frame)
    rgb[100, 100] = (1, 2, 3)
    with pytest.raises(ValueError, match="never draws"):
        classes_from_rgb(rgb)
    # The sum of green and blue is that of a colour of the palette, but the colour is not.
    rgb[100, 100] = (7, *PALETTE[1, 1:])
    with pytest.raises(ValueError, match="never draws"):
        classes_from_rgb(rgb)
    with pytest.raises(ValueError, match="never draws"):
        classes_from_ale(np.full((210, 160), 7, np.uint8))


def test_cells_and_back(frame: np.ndarray) -> None:
    cells = to_cells(np.stack((frame, frame[::-1])))
    assert cells.shape == (2, 35, 30, 32)
    assert np.array_equal(from_cells(cells)[1], frame[::-1])
    column, row = 3, 6
    assert np.array_equal(cells[0, column * 7 + row], frame[row * 30 : row * 30 + 30, column * 32 : column * 32 + 32])


def test_changed_cells_names_the_cell_of_each_pixel(frame: np.ndarray) -> None:
    for row, column in ((0, 0), (29, 31), (30, 32), (209, 159), (100, 64)):
        after = frame.copy()
        after[row, column] = (after[row, column] + 1) % CLASSES
        assert np.flatnonzero(changed_cells(frame, after)).tolist() == [column // 32 * 7 + row // 30]
    assert not changed_cells(frame, frame.copy()).any()
