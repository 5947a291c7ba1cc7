"""The vector quantiser: from a vector of 128 numbers to one of 256 codes.

van den Oord et al. 2017, "Neural Discrete Representation Learning" (https://arxiv.org/abs/1711.00937), with the
codebook moved by exponential averages (its appendix A.1), started by k-means on real vectors, and dead codes revived:
without the last two the codebook collapsed to a handful of codes.

Code 0 is special: it is the zero vector, means "this cell does not change", and is never learned nor chosen by
distance.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.breakout import CODE_DIM, CODES

UNCHANGED = 0


class Quantizer(nn.Module):
    """A codebook of 256 x 128, code 0 fixed to zeros.

    `decay` is that of the averages; a code whose average count falls below `dead_below` vectors a batch is moved to a
    vector of the batch.
    """

    counts: Tensor
    sums: Tensor

    def __init__(self, decay: float = 0.99, dead_below: float = 0.005) -> None:
        super().__init__()
        self.decay, self.dead_below = decay, dead_below
        self.codebook = nn.Parameter(torch.zeros(CODES, CODE_DIM), requires_grad=False)
        self.register_buffer("counts", torch.ones(CODES))
        self.register_buffer("sums", torch.zeros(CODES, CODE_DIM))

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
        self.codebook[1:] = vectors[torch.randperm(len(vectors), generator=generator)[: CODES - 1]]
        for _ in range(rounds):
            codes = self(vectors)
            counts = torch.bincount(codes, minlength=CODES).float()
            sums = torch.zeros_like(self.codebook).index_add_(0, codes, vectors)
            used = counts > 0
            self.codebook[used] = sums[used] / counts[used, None]
        self.counts.copy_(counts.clamp(min=1) / counts.sum() * len(vectors) / rounds)
        self.sums.copy_(self.codebook * self.counts[:, None])

    @torch.no_grad()
    def update(self, vectors: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        """Move the codebook toward a batch: `vectors` (M, 128) that were given `codes` (M,)."""
        vectors = vectors.float()
        self.count(codes)
        sums = torch.zeros_like(self.sums).index_add_(0, codes, vectors)
        self.sums.mul_(self.decay).add_(sums, alpha=1 - self.decay)
        dead = self.unused(self.dead_below)
        if len(dead) and len(vectors):
            chosen = vectors[torch.randint(len(vectors), (len(dead),), generator=generator)]
            self.sums[dead], self.counts[dead] = chosen, 1.0
        self.codebook[1:] = self.sums[1:] / self.counts[1:, None]

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
