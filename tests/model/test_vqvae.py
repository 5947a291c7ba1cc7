"""The VQ-VAE: only what changed is encoded and drawn, and what each part may look at."""

import numpy as np
import pytest
import torch

from collect.emulator import Emulator
from collect.policies import make_policy
from model.checkpoint import rounded
from model.gaze import places_of
from model.vqvae import VQVAE
from model.weights import SHIPPED, load_vqvae


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
    vqvae = VQVAE(16, 16, 16).eval()
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


def test_a_cell_where_nothing_can_have_met_is_drawn_without_the_past(vqvae: VQVAE, frames: torch.Tensor) -> None:
    seen = places_of(frames[None])
    seen[..., :2] = torch.tensor((170, 45))
    moved = seen.clone()
    moved[:, 0, :2] -= 2  # the ball came from elsewhere
    vqvae.decoder.meet_trail.weight.data.mul_(10)
    vqvae.colours[:, 1] = 1
    drawn = []
    for places in (seen, moved):
        codes = torch.zeros(1, 35, dtype=torch.int64)
        codes[0, [12, 13]] = 5  # column 1, rows 5 and 6
        drawn.append(vqvae.decode(frames[None, 2:], codes, places)[0])
    differs = (drawn[0] != drawn[1]).reshape(7, 30, 5, 32).any(1).any(-1).T.flatten()
    assert differs.nonzero().flatten().tolist() == [13]


def test_places_that_are_known_change_nothing(vqvae: VQVAE, frames: torch.Tensor) -> None:
    codes = vqvae.encode(frames[1:2], frames[2:3])
    known = vqvae.decode(frames[None, 2:], codes, places_of(frames[None]))
    assert torch.equal(vqvae.decode(frames[None], codes), known)


def test_a_motion_has_the_same_vector_wherever_it_happens(vqvae: VQVAE) -> None:
    vectors = []
    for row, column in ((120, 40), (133, 70), (150, 100)):
        frames = torch.zeros(2, 210, 160, dtype=torch.uint8)
        frames[0, row : row + 4, column : column + 2] = 5
        frames[1, row + 3 : row + 7, column - 2 : column] = 5
        cell = torch.tensor([column // 32 * 7 + row // 30])
        vectors.append(vqvae.encoder(frames[:1], frames[1:], torch.tensor([0]), cell))
    assert torch.equal(vectors[0], vectors[1])
    assert torch.equal(vectors[0], vectors[2])


def test_a_ball_that_is_left_out_of_a_frame_says_just_that_but_a_serve_says_where_it_is(vqvae: VQVAE) -> None:
    def vector(row: int, column: int, appears: bool) -> torch.Tensor:
        empty = torch.zeros(1, 210, 160, dtype=torch.uint8)
        empty[:, 189:193, 99:115] = 5
        ball = empty.clone()
        ball[:, row : row + 4, column : column + 2] = 5
        pair = (empty, ball) if appears else (ball, empty)
        cell = torch.tensor([column // 32 * 7 + row // 30])
        return vqvae.encoder(*pair, torch.tensor([0]), cell)

    for appears in (True, False):
        at_wall = [vector(*spot, appears) for spot in ((130, 8), (141, 9), (125, 150), (70, 80), (154, 149))]
        assert all(torch.equal(one, at_wall[0]) for one in at_wall), appears
    assert not torch.equal(vector(130, 8, True), vector(130, 8, False))
    assert not torch.equal(vector(122, 16, True), vector(122, 78, True))


def test_a_ball_at_bricks_or_not_seen_is_drawn_by_its_past(vqvae: VQVAE, frames: torch.Tensor) -> None:
    vqvae.decoder.meet_trail.weight.data.mul_(10)
    vqvae.colours[:, 1] = 1
    for row, seen_now, by_past in ((70, True, True), (150, False, True), (150, True, False)):
        seen = places_of(frames[None])
        seen[..., :2] = torch.tensor((row, 45))
        moved = seen.clone()
        moved[:, 0, :2] -= 2  # the ball came from elsewhere
        if not seen_now:
            seen[:, -1, :2] = moved[:, -1, :2] = -1
        codes = torch.zeros(1, 35, dtype=torch.int64)
        codes[0, 7 + row // 30] = 5
        drawn = [vqvae.decode(frames[None, 2:], codes, places) for places in (seen, moved)]
        assert torch.equal(*drawn) != by_past, (row, seen_now)


def test_a_picture_that_does_not_have_its_codes_is_drawn_again() -> None:
    """With the shipped weights, made to doubt every ball: only such a picture changes, and then it has its codes."""
    vqvae = load_vqvae(SHIPPED)[0].eval()
    vqvae.decoder.ball_draw[-1].bias.data.sub_(8)
    emulator, player = Emulator(1), make_policy("mixed", np.random.default_rng(2), 1)
    shown = []
    for _ in range(700):
        if emulator.over:
            emulator.reset()
        shown.append(emulator.step(player.act(emulator.objects())).frame)
    frames = torch.from_numpy(np.stack(shown))
    t = torch.arange(8, 699)
    seen = torch.cat([places_of(frames[None, n - 8 : n + 1])[:, 1:] for n in t.tolist()])
    codes = vqvae.encode(frames[t], frames[t + 1])
    sight = vqvae.decoder.see(frames[t], seen)
    plainly, surely = (vqvae.draw(frames[t], codes, sight, again).frames for again in (False, True))

    def fits(drawn: torch.Tensor) -> torch.Tensor:
        return (vqvae.encode(frames[t], drawn) == codes).all(1)

    again = (plainly != surely).flatten(1).any(1)
    assert again.sum() >= 5
    assert not fits(plainly)[again].any()
    assert fits(surely)[again].all()


def test_one_moment_is_drawn_with_many_codes(vqvae: VQVAE, frames: torch.Tensor) -> None:
    codes = torch.zeros(3, 35, dtype=torch.int64)
    codes[1, 13], codes[2, [0, 20]] = 5, 7
    sight = vqvae.decoder.see(frames[2:], places_of(frames[None]))
    drawn = vqvae.draw(frames[2:], codes, sight).frames
    for one, grid in zip(drawn, codes, strict=True):
        assert torch.equal(one, vqvae.draw(frames[2:], grid[None], sight).frames[0])
    assert torch.equal(drawn[0], frames[2])


def test_what_appears_takes_the_colour_of_its_scanline(vqvae: VQVAE) -> None:
    before = torch.zeros(1, 210, 160, dtype=torch.uint8)
    after = before.clone()
    after[0, 60:63, 8:16], after[0, 70:75, 8:16] = 5, 3
    vqvae.learn_colours(before, after)
    there = torch.ones(1, 30, 32, dtype=torch.bool)
    coloured = vqvae.coloured(torch.zeros(1, 30, 32, dtype=torch.uint8), there, torch.tensor([2]))[0]
    assert (coloured[:3] == 5).all()
    assert (coloured[10:15] == 3).all()


def test_the_codes_identity_is_that_of_encoder_and_codebook(vqvae: VQVAE) -> None:
    before = vqvae.codes_sha256()
    vqvae.decoder.keep.data += 1
    assert vqvae.codes_sha256() == before
    rounded(vqvae)  # as shipped
    assert vqvae.codes_sha256() == before
    vqvae.quantizer.codebook.data[7, 3] += 1
    assert vqvae.codes_sha256() != before
