"""Training dreams: what they are asked for, and when they are over."""

import numpy as np
import pytest
import torch

from collect.dataset import TransitionDataset
from collect.frames import CollectSettings, collect_frames
from model.breakout import BACKGROUND, BALL_CLASS
from model.gaze import BALL_HEIGHT, BALL_WIDTH, places
from train.dreams import BALL_AWAY, Dreams, _is_free
from train.material import Material
from train.places import all_places
from train.sampling import TransitionSampler

CPU = torch.device("cpu")
COUNT = 64


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    out = tmp_path_factory.mktemp("frames") / "data"
    collect_frames(CollectSettings(1500, "mixed", 1, 3, episode_seconds=12.0), out, workers=1)
    dataset = TransitionDataset.load(out)
    return Material(dataset, CPU, all_places(dataset))


@pytest.fixture
def dreams(material: Material) -> Dreams:
    dreams = Dreams(COUNT, 8, material, TransitionSampler(material, np.arange(material.dataset.episodes), 0))
    dreams.restart(np.random.default_rng(0))
    return dreams


def moved(frames: torch.Tensor, ball: torch.Tensor, by: int) -> torch.Tensor:
    """The frames (D, 210, 160) with the balls (D, 2) in the open field so many pixels further right."""
    frames = frames.clone()
    for frame, (row, column) in zip(frames, ball.tolist(), strict=True):
        frame[row : row + BALL_HEIGHT, column : column + BALL_WIDTH] = BACKGROUND
        frame[row : row + BALL_HEIGHT, column + by : column + by + BALL_WIDTH] = BALL_CLASS
    return frames


def put_off(dreams: Dreams, by: int) -> torch.Tensor:
    """Move the balls that fly freely, by so many pixels; returns which dreams have one."""
    state = dreams.state
    now, after = dreams._material.place(dreams.t)[:, :2], dreams._material.place(dreams.t + 1)[:, :2]
    free = _is_free(now) & _is_free(after)
    for far in (now, after):
        free &= _is_free(far + torch.tensor([0, by]))
    state["dream_frame"][free] = moved(state["dream_frame"][free], now[free], by)
    state["dream_places"][free, -1, 1] += by
    assert 5 < int(free.sum()) < COUNT
    return free


def test_a_dream_that_is_right_is_asked_for_the_real_frame(dreams: Dreams, material: Material) -> None:
    assert torch.equal(dreams.wanted(), material.frame(dreams.t + 1))


@pytest.mark.parametrize("by", [-BALL_AWAY, 1])
def test_a_ball_that_flies_a_little_off_is_to_fly_on_so(dreams: Dreams, material: Material, by: int) -> None:
    free = put_off(dreams, by)
    wanted, real = dreams.wanted(), material.frame(dreams.t + 1)
    assert torch.equal(wanted[~free], real[~free])
    after = material.place(dreams.t + 1)[free, :2]
    assert torch.equal(wanted[free], moved(real[free], after, by))
    seen = places(dreams.state["dream_frame"][free], wanted[free])[:, :2]
    assert torch.equal(seen, after + torch.tensor([0, by]))


@pytest.mark.parametrize(("by", "goes_on"), [(BALL_AWAY, True), (BALL_AWAY + 1, False)])
def test_a_dream_is_over_when_the_ball_is_too_far_away(
    dreams: Dreams, material: Material, by: int, goes_on: bool
) -> None:
    free = put_off(dreams, by)
    drawn, place = material.frame(dreams.t + 1), material.place(dreams.t + 1)
    drawn[free] = moved(drawn[free], place[free, :2], by)
    place[free, 1] += by
    dreams.go_on(drawn, place)
    assert bool((dreams.t[free] >= 0).any()) == goes_on
    assert (dreams.t[~free] >= 0).any()
