"""The vector quantiser: from a vector of 128 numbers to one of 256 codes.

van den Oord et al. 2017, "Neural Discrete Representation Learning" (https://arxiv.org/abs/1711.00937), with the
codebook started by k-means on real vectors, and dead codes revived: without these two it collapsed to a handful of
codes. How codes are assigned and move while they are learned is in `train/vqvae.py`.

Code 0 is special: it is the zero vector, means "this cell does not change", and is never learned nor chosen by
distance.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.breakout import CODE_DIM, CODES

UNCHANGED = 0


class Quantizer(nn.Module):
    """A codebook of 256 x 128, code 0 fixed to zeros. `counts` (256,) are averages of how often a batch takes each
    code, and `decay` is theirs."""

    counts: Tensor

    def __init__(self, decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay
        self.codebook = nn.Parameter(torch.zeros(CODES, CODE_DIM), requires_grad=False)
        self.register_buffer("counts", torch.ones(CODES))

    def forward(self, vectors: Tensor) -> Tensor:
        """The nearest code 1..255 of each vector: (M, 128) float -> (M,) int64."""
        vectors, book = vectors.float(), self.codebook[1:]
        # |v - c|^2 without the term |v|^2, which is the same for every code.
        return (book.square().sum(1) - 2 * vectors @ book.T).argmin(1) + 1

    def embed(self, codes: Tensor) -> Tensor:
        """Codes (...) int64 0..255 -> vectors (..., 128) float32."""
        return self.codebook[codes]

    @torch.no_grad()
    def start(self, vectors: Tensor, generator: torch.Generator, rounds: int = 10) -> None:
        """Set codes 1..255 by k-means on `vectors` (M, 128), M >= 255. Raises ValueError if there are fewer."""
        if len(vectors) < CODES - 1:
            raise ValueError(f"starting the codebook takes at least {CODES - 1} vectors, got {len(vectors)}")
        vectors = vectors.float()
        drawn = torch.randperm(len(vectors), generator=generator, device=vectors.device)[: CODES - 1]
        self.codebook[1:] = vectors[drawn]
        for _ in range(rounds):
            codes = self(vectors)
            counts = torch.bincount(codes, minlength=CODES).float()
            sums = torch.zeros_like(self.codebook).index_add_(0, codes, vectors)
            used = counts > 0
            self.codebook[used] = sums[used] / counts[used, None]
        self.counts.copy_(counts.clamp(min=1) / counts.sum() * len(vectors) / rounds)

    def count(self, codes: Tensor) -> None:
        """Move the averages of how often each code is taken toward a batch's `codes` (M,)."""
        self.counts.mul_(self.decay).add_(torch.bincount(codes, minlength=CODES), alpha=1 - self.decay)

    def unused(self, below: float) -> Tensor:
        """The codes 1..255 that are taken less often than `below`, in vectors a batch: (D,) int64."""
        return torch.nonzero(self.counts[1:] < below).flatten() + 1

    @torch.no_grad()
    def replace(self, codes: Tensor, vectors: Tensor) -> None:
        """Give `codes` (D,) the places of `vectors` (D, 128), and time to be taken."""
        self.codebook[codes], self.counts[codes] = vectors.float(), 1.0
