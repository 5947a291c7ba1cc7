"""Correlation and motion kernels against shifting by hand."""

import pytest
import torch

from model.motion import KERNEL_COLUMNS, KERNEL_ROWS, REACH_COLUMNS, REACH_ROWS, correlation, move
from model.pixels import MARGIN_COLUMNS, MARGIN_ROWS, middle


@pytest.mark.parametrize("shift", [(0, 0), (3, -4), (-9, 12), (9, -12)])
def test_move_shifts_by_the_kernel(shift: tuple[int, int]) -> None:
    mask = torch.rand(1, 48, 56) < 0.3
    kernel = torch.zeros(1, 1, KERNEL_ROWS, KERNEL_COLUMNS)
    kernel[0, 0, MARGIN_ROWS + shift[0], MARGIN_COLUMNS + shift[1]] = 1
    moved = move(mask[:, None], kernel.flatten(2))
    assert torch.equal(moved[:, 0] > 0.5, middle(mask.roll(shift, (1, 2))))


def test_correlation_peaks_at_the_displacement() -> None:
    before = torch.zeros(1, 48, 56, dtype=torch.bool)
    before[0, 20:24, 30:32] = True
    for shift in ((4, -3), (-6, 5), (0, 14)):
        after = before.roll(shift, (1, 2))
        found = correlation(before & ~after, after & ~before)[0].unflatten(0, (2 * REACH_ROWS + 1, -1))
        peak = divmod(int(found.argmax()), 2 * REACH_COLUMNS + 1)
        assert (peak[0] - REACH_ROWS, peak[1] - REACH_COLUMNS) == shift


def test_correlation_ignores_what_happens_beyond_the_cell() -> None:
    before = torch.zeros(1, 48, 56, dtype=torch.bool)
    before[0, 0:4, 2:4] = True  # in the window's margin
    after = before.roll(2, 1)
    assert correlation(before & ~after, after & ~before).abs().max() < 1e-4
