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


def test_codes_that_nobody_takes_are_found_and_moved() -> None:
    torch.manual_seed(0)
    quantizer = Quantizer(decay=0.9)
    quantizer.start(torch.randn(600, 128), torch.Generator().manual_seed(0))
    for _ in range(100):
        quantizer.count(torch.arange(1, 11).repeat(5))
    dead = quantizer.unused(0.02)
    assert dead.tolist() == list(range(11, 256))
    quantizer.replace(dead[:3], torch.full((3, 128), 7.0))
    assert (quantizer.codebook[dead[:3]] == 7).all()
    assert quantizer.unused(0.02).tolist() == list(range(14, 256))
    assert not quantizer.codebook[0].any()
