"""The quantiser against a plain computation, and the properties that keep the codebook alive."""

import pytest
import torch

from model.quantizer import Quantizer


def test_nearest_code_is_the_nearest_and_never_zero() -> None:
    torch.manual_seed(0)
    quantizer = Quantizer()
    quantizer.codebook[1:].normal_()
    vectors = torch.randn(50, 128) * 0.01  # nearer to code 0 than to any other
    wanted = torch.cdist(vectors, quantizer.codebook[1:]).argmin(1) + 1
    assert torch.equal(quantizer(vectors), wanted)


def test_start_finds_clusters() -> None:
    torch.manual_seed(0)
    centres = torch.randn(40, 128)
    vectors = centres.repeat(30, 1) + 0.001 * torch.randn(1200, 128)
    quantizer = Quantizer()
    quantizer.start(vectors, torch.Generator().manual_seed(0))
    error = (quantizer.embed(quantizer(vectors)) - vectors).square().sum(1)
    assert error.max() < 0.01
    assert not quantizer.codebook[0].any()
    with pytest.raises(ValueError, match="at least 255"):
        quantizer.start(vectors[:200], torch.Generator())


def test_update_moves_codes_toward_their_vectors_and_revives_dead_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    quantizer = Quantizer(decay=0.9)
    cloud = torch.randn(600, 128)
    quantizer.start(cloud, generator)
    target = torch.randn(1, 128) * 3
    for _ in range(200):
        vectors = target + 0.01 * torch.randn(64, 128)
        quantizer.update(vectors, quantizer(vectors), generator)
    distance = (quantizer.codebook[1:] - target).norm(dim=1)
    assert distance.min() < 0.2
    # Codes that nothing was near to any more moved to where the vectors are.
    assert (distance < 1).float().mean() > 0.5
    assert not quantizer.codebook[0].any()
