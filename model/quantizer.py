"""The vector quantiser: from a vector of 128 numbers to one of 256 codes.

van den Oord et al. 2017, "Neural Discrete Representation Learning" (https://arxiv.org/abs/1711.00937). How the codebook
starts, and how codes move while they are learned, is in `train/vqvae.py`.

Code 0 is special: it is the zero vector, means "this cell does not change", and is never learned nor chosen by
distance.
"""

import torch
from torch import Tensor, nn

from model.breakout import CODE_DIM, CODES


class Quantizer(nn.Module):
    """A codebook of 256 x 128, code 0 fixed to zeros."""

    def __init__(self) -> None:
        super().__init__()
        # Training moves it by hand, toward the mean of each code's vectors.
        self.codebook = nn.Parameter(torch.zeros(CODES, CODE_DIM), requires_grad=False)
        self.register_buffer("counts", torch.ones(CODES))  # unused; checkpoints hold it

    def forward(self, vectors: Tensor) -> Tensor:
        """The nearest code 1..255 of each vector: (M, 128) float -> (M,) int64."""
        vectors, book = vectors.float(), self.codebook[1:]
        # |v - c|^2 without the term |v|^2, which is the same for every code.
        return (book.square().sum(1) - 2 * vectors @ book.T).argmin(1) + 1

    def embed(self, codes: Tensor) -> Tensor:
        """Codes (...) int64 0..255 -> vectors (..., 128) float32."""
        return self.codebook[codes]
