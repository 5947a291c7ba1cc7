"""The VQ-VAE: only what changed is encoded and drawn, and what each part may look at."""

import numpy as np
import pytest
import torch

from collect.emulator import Emulator
from model.vqvae import VQVAE


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    """(3, 210, 160) successive screens with a moving paddle."""
    emulator = Emulator(2)
    shown = []
    for _ in range(3):
        shown.append(emulator.step(2).frame)
    return torch.from_numpy(np.stack(shown))


@pytest.fixture
def vqvae() -> VQVAE:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    vqvae = VQVAE(16, 16).eval()
    vqvae.quantizer.codebook.data[1:].normal_()
    for parameter in vqvae.decoder.parameters():  # the last layers start at zero, and would draw nothing
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    return vqvae


def test_a_cell_has_code_0_exactly_where_nothing_changes(vqvae: VQVAE, frames: torch.Tensor) -> None:
    codes = vqvae.encode(frames[:1], frames[1:2])
    moved = (frames[0] != frames[1]).reshape(7, 30, 5, 32).any(1).any(-1).T.flatten()
    assert torch.equal(codes[0] != 0, moved)
    assert moved.any()


def test_cells_with_code_0_are_copied(vqvae: VQVAE, frames: torch.Tensor) -> None:
    codes = torch.zeros(1, 35, dtype=torch.int64)
    codes[0, 13] = 5  # column 1, row 6
    drawn = vqvae.decode(frames[None, :2], codes)[0]
    same = (drawn == frames[1]).reshape(7, 30, 5, 32).all(1).all(-1).T.flatten()
    assert same[torch.arange(35) != 13].all()


def test_the_decoder_sees_the_frame_before_last(vqvae: VQVAE, frames: torch.Tensor) -> None:
    codes = vqvae.encode(frames[1:2], frames[2:3])
    assert not torch.equal(vqvae.decode(frames[None, :2], codes), vqvae.decode(frames[None, 1:2], codes))
    # Of a single frame the past is taken to have stood still.
    still = torch.stack((frames[1], frames[1]))[None]
    assert torch.equal(vqvae.decode(still, codes), vqvae.decode(frames[None, 1:2], codes))


def test_looking_once_and_painting_is_the_same_as_forward(vqvae: VQVAE, frames: torch.Tensor) -> None:
    windows = torch.randint(0, 9, (3, 48, 56), dtype=torch.uint8)
    vectors, cells = torch.randn(3, 128), torch.tensor([0, 6, 34])
    decoder = vqvae.decoder
    looked = decoder.look(windows, cells)
    assert torch.equal(decoder(windows, vectors, cells), decoder.paint(windows, vectors, cells, looked))


def test_the_codes_identity_is_that_of_encoder_and_codebook(vqvae: VQVAE) -> None:
    before = vqvae.codes_sha256()
    vqvae.decoder.keep.data += 1
    assert vqvae.codes_sha256() == before
    vqvae.half().float()  # as shipped
    assert vqvae.codes_sha256() == before
    vqvae.quantizer.codebook.data[7, 3] += 1
    assert vqvae.codes_sha256() != before
