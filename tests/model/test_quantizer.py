"""The nearest code, and never the one for "unchanged"."""

from __future__ import annotations

import pytest
import torch

from model.breakout import CODE_DIM, CODES, UNCHANGED
from model.vqvae import Quantizer


@pytest.fixture
def quantizer() -> Quantizer:
    chance = torch.Generator().manual_seed(0)
    found = Quantizer()
    found.codebook[1:] = torch.randn(CODES - 1, CODE_DIM, generator=chance)
    return found


def test_each_vector_gets_its_nearest_code(quantizer: Quantizer) -> None:
    vectors = torch.randn(200, CODE_DIM, generator=torch.Generator().manual_seed(1))
    far = torch.cdist(vectors, quantizer.codebook[1:])
    assert torch.equal(quantizer(vectors), far.argmin(1) + 1)
    assert torch.equal(quantizer(quantizer.codebook[1:]), torch.arange(1, CODES))


def test_no_vector_is_unchanged(quantizer: Quantizer) -> None:
    """Code 0 is the zero vector, and is told by pixels, not by distance."""
    assert not quantizer.embed(torch.tensor(UNCHANGED)).any()
    assert (quantizer(torch.zeros(3, CODE_DIM)) != UNCHANGED).all()


def test_codes_and_vectors_and_back(quantizer: Quantizer) -> None:
    codes = torch.randint(1, CODES, (4, 35), generator=torch.Generator().manual_seed(2))
    assert torch.equal(quantizer(quantizer.embed(codes).flatten(0, 1)).reshape(4, 35), codes)
    assert not quantizer.codebook.requires_grad, "training moves codes by hand"


def test_it_agrees_with_another_implementation(quantizer: Quantizer) -> None:
    other = pytest.importorskip("vector_quantize_pytorch")
    theirs = other.VectorQuantize(dim=CODE_DIM, codebook_size=CODES - 1).eval()
    theirs.codebook = quantizer.codebook[1:].clone()
    vectors = torch.randn(50, CODE_DIM, generator=torch.Generator().manual_seed(3))
    assert torch.equal(theirs(vectors[None])[1][0] + 1, quantizer(vectors))
