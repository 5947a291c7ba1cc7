"""Two fixed tools that make motion easy to see and to draw, wherever in a cell it happens.

`correlation` counts, for every displacement, how many pixels vanished here and appeared there (the correlation layer of
Dosovitskiy et al. 2015, "FlowNet", https://arxiv.org/abs/1504.06852, on masks). `move` shifts a mask by a learned
distribution over displacements (the motion kernels of Finn et al. 2016, https://arxiv.org/abs/1605.07157). Both are
products in the frequency domain: cheap, and the same at every position.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.pixels import MARGIN_COLUMNS, MARGIN_ROWS, middle

SIZE = (48, 56)
KERNEL_ROWS, KERNEL_COLUMNS = 2 * MARGIN_ROWS + 1, 2 * MARGIN_COLUMNS + 1
KERNEL = KERNEL_ROWS * KERNEL_COLUMNS
REACH_ROWS, REACH_COLUMNS = MARGIN_ROWS, 20
"""Displacements that `correlation` looks at; columns as far as a paddle's trailing edge is from its leading edge."""
CORRELATION = (2 * REACH_ROWS + 1) * (2 * REACH_COLUMNS + 1)


def correlation(vanished: Tensor, appeared: Tensor) -> Tensor:
    """Masks (M, 48, 56) bool of pixels -> (M, 779) float: pairs of pixels at each displacement, as shares.

    A pair counts if at least one of the two lies in the cell in the middle, and twice if both do.
    """
    inner = torch.zeros_like(vanished[:1])
    middle(inner).fill_(True)
    from_, to = torch.fft.rfft2(vanished.float()), torch.fft.rfft2(appeared.float())
    from_inner, to_inner = torch.fft.rfft2((vanished & inner).float()), torch.fft.rfft2((appeared & inner).float())
    counts = torch.fft.irfft2(from_.conj() * to_inner + from_inner.conj() * to, s=SIZE)
    counts = counts.roll((REACH_ROWS, REACH_COLUMNS), (1, 2))[:, : 2 * REACH_ROWS + 1, : 2 * REACH_COLUMNS + 1]
    counts = counts.flatten(1)
    return counts / counts.amax(1, keepdim=True).clamp(min=1)


def move(mask: Tensor, kernel: Tensor) -> Tensor:
    """Shift masks: (M, K, 48, 56) by kernels (M, K, 475), each a distribution over 19 x 25 displacements.

    Returns (M, K, 30, 32) float: how much of a mask arrives at each pixel of the cell in the middle.
    """
    kernel = kernel.float().unflatten(2, (KERNEL_ROWS, KERNEL_COLUMNS))
    moved = torch.fft.irfft2(torch.fft.rfft2(mask.float()) * torch.fft.rfft2(kernel, s=SIZE), s=SIZE)
    # Displacement 0 is the kernel's middle, so what arrives is shifted by the margins; nothing wraps into this part.
    return moved[:, :, 2 * MARGIN_ROWS :, 2 * MARGIN_COLUMNS :]
