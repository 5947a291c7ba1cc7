"""Training of a player: the same code in both worlds, and nothing that was there is lost."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from collect.player import HOLD, DreamGames, Player, features
from model.checkpoint import load_tensors
from tests.train.conftest import Trained
from tests.train.test_commands import run
from train import player as training

pytestmark = pytest.mark.slow

OBJECTS = np.array([[[100 + t, 80 - t, 40 + 2 * t, 16] for t in range(4)], [[0, 0, 90, 12]] * 4])


@pytest.fixture(autouse=True)
def _few_games(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "GAMES", 2)
    monkeypatch.setattr(training, "ROLLOUT", 16)


def test_the_same_seed_gives_the_same_player_and_what_is_there_is_kept(tmp_path: Path) -> None:
    for name in ("one", "two"):
        printed = run("train", "player", "--world", "real", "--frames", 300, "--out", tmp_path / name, "--seed", 3)
    assert f"next: python main.py evaluate-player --player {tmp_path / 'two' / 'player.safetensors'}" in printed
    (first, about), (second, _) = (load_tensors(tmp_path / name / "player.safetensors") for name in ("one", "two"))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert (about["world"], about["seed"], about["frames"]) == ("real", 3, 300)
    lines = [json.loads(line) for line in (tmp_path / "one" / "player_log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 300
    assert "choose another --out" in run("train", "player", "--frames", 9, "--out", tmp_path / "one", status=1)
    assert all(np.array_equal(first[n], t) for n, t in load_tensors(tmp_path / "one" / "player.safetensors")[0].items())


def test_it_trains_in_a_dream_and_plays_without_pytorch_as_it_does_with_it(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = []
    monkeypatch.setattr(training.PPO, "learn", _watched(training.PPO.learn, models))
    figures = training.train_player("dream", tmp_path, frames=2 * 16 * HOLD, weights=trained.weights)
    assert figures["step"] == 2 * 16 * HOLD
    player = Player.load(tmp_path / "player.safetensors")
    assert player.about["twin"] == DreamGames(1, trained.weights).env.engine.checksum
    with torch.no_grad():
        wanted = models[0].policy.get_distribution(torch.from_numpy(features(OBJECTS))).distribution.probs.numpy()
    logits = np.exp(player.logits(OBJECTS))
    assert np.allclose(logits / logits.sum(1, keepdims=True), wanted, atol=1e-5)


def _watched(learn, models):
    def watched(self, *args, **kwargs):
        models.append(self)
        return learn(self, *args, **kwargs)

    return watched


def test_its_help_names_no_option_that_it_has_not() -> None:
    assert "--resume" not in run("train", "player", "--help")


def test_minutes_end_a_training_too(tmp_path: Path) -> None:
    assert training.train_player("real", tmp_path, minutes=0.001)["step"] < 3000


def test_a_life_is_an_episode_and_a_game_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    lessons = training.Lessons(training.RealGames(2), 0)
    lessons.reset()
    ends = np.zeros(2)
    for _ in range(500):
        seen, _, done, infos = lessons.step(np.array([2, 2]))
        ends += done
        if lessons.scores:
            break
    assert max(ends) == 5
    assert (seen.shape, len(infos)) == ((2, 11), 2)
    monkeypatch.setattr(training, "LONGEST", 1)
    _, _, done, infos = lessons.step(np.array([0, 0]))
    assert done.all()
    assert infos[1]["TimeLimit.truncated"]
    lessons.close()


def test_without_the_extra_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "train.player")
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    assert 'pip install -e ".[player]"' in run("train", "player", "--out", tmp_path, status=1)
