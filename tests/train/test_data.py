"""What training is shown: several datasets as one, splits, draws, and memories with parts that are hidden."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from collect.dataset import TransitionDataset
from collect.frames import CollectSettings, collect_frames, play_episode
from model.files import FileError
from model.state import INDEX, NOT_KNOWN, Things
from model.vqvae import SAME_DIGIT, STANDS, STEP, TO_LONG, TO_SHORT, VANISH
from tests.train.conftest import Trained
from train.data import UNTAUGHT, Data, Sampler, held_out, hide, interesting, load_frames, taught_loss
from train.events import NAMES, _settle, paddle_event, way
from train.steps import NO_CODE, targets
from train.weights import load_vqvae


def quiet(share: float, text: str) -> None:
    """Hears how far things are."""


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second dataset."""
    out = tmp_path_factory.mktemp("more") / "mixed"
    collect_frames(CollectSettings(600, "mixed", 1, 3, episode_seconds=4.0), out, workers=1)
    return out


def test_several_datasets_are_one_and_pictures_may_be_left_out(frames: Path, more: Path) -> None:
    one, other = TransitionDataset.load(frames), TransitionDataset.load(more)
    said: list[float] = []
    both = load_frames([frames, more], lambda share, text: said.append(share))
    assert len(both) == len(one) + len(other) == 2600
    assert both.manifest["dataset"]["policies"] == ["drill", "mixed"]
    t = np.arange(0, len(other.index), 37)
    assert np.array_equal(both.frame(t + len(one.index)), other.frame(t))
    assert said == sorted(said)
    blind = load_frames([frames, more], quiet, pictures=False)
    assert len(blind.cells) == 1
    for mine, theirs in zip(vars(Data.of(blind)).values(), vars(Data.of(both)).values(), strict=True):
        assert torch.equal(mine, theirs)
    assert blind.manifest == both.manifest


def test_datasets_of_different_frame_skips_are_refused(frames: Path, tmp_path: Path) -> None:
    collect_frames(CollectSettings(20, "random", 4, 0, episode_seconds=1.0), tmp_path / "data", workers=1)
    with pytest.raises(FileError, match="frame skip 4"):
        load_frames([frames, tmp_path / "data"], quiet)
    with pytest.raises(FileError, match="collect frames"):
        load_frames([tmp_path / "nothing"], quiet)


def test_a_split_is_by_whole_episode(frames: Path) -> None:
    dataset = TransitionDataset.load(frames)
    training, held = Data.split(dataset)
    assert training.objects is held.objects  # the frames are there once
    episodes = [set(data.first[data.steps].tolist()) for data in (training, held)]
    assert episodes[0].isdisjoint(episodes[1])
    assert len(held.steps) > 100
    for data in (training, held):
        assert (data.first[data.steps] == data.first[data.steps + 1]).all()


def test_too_few_steps_to_hold_any_out_are_refused_in_words() -> None:
    settings = CollectSettings(0, "random", 1, 0)
    for lengths in ((1, 1, 1), (30, 1)):  # an episode's first step is not learned from: its digits are not known
        games = [play_episode(settings, number, length) for number, length in enumerate(lengths)]
        with pytest.raises(FileError, match="collect more, longer episodes"):
            Data.split(TransitionDataset(games, {"frameskip": 1}))


def test_what_happens_is_drawn_more_often_and_the_same_again(frames: Path) -> None:
    data = Data.of(TransitionDataset.load(frames))
    weights, sampler, generator = interesting(data), Sampler(data), torch.Generator()
    drawn = sampler(20_000, generator.manual_seed(1))
    share = (weights[drawn] > 1).float().mean()
    assert share == pytest.approx(float(weights[weights > 1].sum() / weights.sum()), abs=0.02)
    assert torch.equal(drawn, sampler(20_000, generator.manual_seed(1)))
    chosen = held_out(data, 50)
    assert (weights[chosen["events"]] > 1).all()
    assert len(chosen["steps"]) == 50


def test_hidden_memory_is_not_known_and_wrong_memory_is_of_another(frames: Path) -> None:
    data, generator = Data.of(TransitionDataset.load(frames)), torch.Generator().manual_seed(0)
    truth = data.memory.long()
    told = hide(truth, generator, whole=0.5)
    right = (told == truth) | (told == NOT_KNOWN)
    fraction = INDEX["half_row"]  # a set of what is possible: the truth is in it
    right[:, fraction] |= (told & truth)[:, fraction] == truth[:, fraction]
    assert right.all()
    assert 0.4 < (told == truth.clamp(min=0)).all(1).float().mean() < 0.65
    wrong = hide(truth, generator, whole=1.0, wrong=0.5)
    assert (wrong != truth.clamp(min=0)).float().mean() > 0.1
    untaught = hide(torch.where(torch.arange(truth.shape[1]) == fraction, truth, UNTAUGHT), generator)
    assert (untaught[:, :fraction] == NOT_KNOWN).all()
    assert (untaught[:, fraction + 1 :] == NOT_KNOWN).all()


def test_what_is_not_taught_costs_nothing() -> None:
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    wanted = torch.tensor([0, 3, -1, 2, -2, -1])
    known = wanted >= 0
    assert taught_loss(logits, wanted) == torch.nn.functional.cross_entropy(logits[known], wanted[known])
    assert taught_loss(logits, torch.full((6,), -1)) == 0


@pytest.mark.slow
def test_targets_say_what_the_codes_say(frames: Path, trained: Trained) -> None:
    dataset = TransitionDataset.load(frames)
    data, (model, _) = Data.of(dataset), load_vqvae(trained.world)
    codes = targets(data, model).long()
    assert codes.shape == (len(data.steps), 6)
    told = codes[:, 0] > 0
    steps, ball = data.steps[told], data.objects[:, 0]
    before, after = ball[steps], ball[steps + 1]
    said = model.events().said["ball_row_step"][codes[told, 0]] - 9
    moves = model.events().said["ball"][codes[told, 0]] == 1
    assert moves.any()
    assert torch.equal((after - before)[moves].long(), said[moves])
    assert (codes >= NO_CODE).all()


def test_a_paddle_that_comes_out_from_under_the_wall_shows_its_width() -> None:
    def event(before: tuple[int, int], after: tuple[int, int]) -> int:
        things = [
            Things(torch.zeros(1, 2), torch.tensor([each]), torch.zeros(1), torch.zeros(1)) for each in (before, after)
        ]
        return int(paddle_event(*things)["paddle_width"])

    assert event((100, 16), (104, 16)) == STANDS
    assert event((100, 16), (104, 12)) == TO_SHORT
    assert [event((142, width), (138, width)) for width in (12, 16)] == [TO_SHORT, TO_LONG]
    assert event((142, 16), (140, 16)) == STANDS, "it is still cut off"


def test_ways_in_words() -> None:
    assert way(-3, 2) == "2 right, 3 up"
    assert way(4, -1) == "1 left, 4 down"
    assert way(0, -8) == "8 left"
    assert way(0, 0) == "still"


def test_what_crops_do_not_tell_is_left_to_the_state() -> None:
    names = list(NAMES)
    crops = np.array([[1], [1], [2], [2], [3], [4], [4]], np.uint8)
    heads, bricks = np.zeros((7, len(names)), np.uint8), np.zeros((7, 21), np.uint8)
    heads[:, names.index("ball")] = STEP
    heads[:, names.index("ball_row_step")] = [8, 9, 7, 9, 8, 8, 9]
    bricks[5, 0] = 1
    _settle(crops, heads, bricks, np.array([10, 10, 99, 1, 7, 5, 5]))
    assert heads[:, names.index("ball")].tolist() == [VANISH, VANISH, STEP, STEP, STEP, VANISH, VANISH]
    assert heads[0, names.index("left_digit")] == SAME_DIGIT
    assert heads[2:5, names.index("ball_row_step")].tolist() == [7, 7, 8], "the commoner one is meant"
    assert not bricks.any()
