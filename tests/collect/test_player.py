"""The player at play: what it looks at, its file, when it chooses, and which of two games it looks after."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collect import player as rules
from collect.player import FEATURES, HOLD, SHAPES, SHIPPED, Attention, Follower, Player, features, with_serves
from model import engine
from model.breakout import Action
from model.checkpoint import save_tensors
from model.files import FileError
from model.state import INDEX, LIVES

RISING = [[[120 - 2 * t, 80 + t, 60 + 3 * t, 16] for t in range(4)]]
NO_BALL = [[[0, 50, 60, 16]] * 4]


def player(**about: Any) -> Player:
    """A player of random weights."""
    rng = np.random.default_rng(0)
    tensors = {name: rng.normal(scale=0.2, size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    return Player(tensors, about, np.random.default_rng(1))


def test_features_say_where_things_are_and_how_fast_they_go() -> None:
    seen = features(np.array(RISING + NO_BALL))
    assert (seen.shape, seen.dtype) == ((2, FEATURES), np.float32)
    middle, off = 69 + 8, 83 + 1 - 77
    wanted = [1, -6 / 60, 3 / 40, -1, 0.5, (middle - 80) / 40, 0.75, 1, off / 40, np.tanh(off / 6), np.tanh(11 / 6)]
    assert np.allclose(seen[0], wanted)
    assert np.flatnonzero(seen[1]).tolist() == [5, 7]  # where the paddle is, and that it is long


def test_a_ball_that_has_just_been_served_has_no_speed_yet() -> None:
    objects = np.array(RISING)
    objects[0, 0, 0] = 0
    assert features(objects)[0, 3:5].tolist() == [0, 0]


def test_a_file_gives_the_same_player_and_says_where_it_is_from(tmp_path: Path) -> None:
    one = player(world="dream", frames=300)
    one.save(tmp_path / "player.safetensors")
    other = Player.load(tmp_path / "player.safetensors")
    assert np.array_equal(one.logits(np.array(RISING)), other.logits(np.array(RISING)))
    assert (other.about["world"], other.about["frames"]) == ("dream", 300)


def test_what_is_no_player_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "player.safetensors"
    with pytest.raises(FileError, match="does not exist"):
        Player.load(path)
    save_tensors(path, {"0.weight": np.zeros((2, 2), np.float32)}, {"kind": "memory"})
    with pytest.raises(FileError, match="not those of a player"):
        Player.load(path)
    Player({"0.weight": np.zeros((2, 2), np.float32)}, {}, np.random.default_rng(0)).save(path)
    with pytest.raises(FileError, match="has shape"):
        Player.load(path)


def test_a_choice_is_held_and_a_serve_is_given_at_once() -> None:
    one = player()
    keys = [one.act(np.array(RISING * 50)) for _ in range(3 * HOLD)]
    for first in range(0, len(keys), HOLD):
        assert all(np.array_equal(keys[first], key) for key in keys[first : first + HOLD])
    assert len({key.tobytes() for key in keys}) > 1
    assert set(np.concatenate(keys).tolist()) <= {Action.NOOP, Action.RIGHT, Action.LEFT}
    assert one.act(np.array(RISING + NO_BALL))[1] == Action.FIRE
    assert with_serves(np.array([2, 3]), np.array(RISING + NO_BALL)).tolist() == [2, Action.FIRE]


def test_the_game_whose_ball_falls_is_looked_after() -> None:
    attention = Attention()
    assert attention.choose([(100, 5), (100, 5)]) == (0, False)
    assert attention.choose([(98, 5), (102, 5)]) == (1, False)
    assert attention.choose([None, (130, 5)]) == (1, False)  # too late for a serve
    assert attention.choose([None, (128, 5)]) == (1, True)
    assert attention.choose([None, None]) == (None, True)
    follower = Follower(np.random.default_rng(0))
    assert follower.act([((100, 90), 40.0)]) == Action.RIGHT
    assert follower.act([((101, 20), 40.0)]) == Action.LEFT
    assert {follower.act([(None, 40.0)]) for _ in range(50)} == {Action.NOOP, Action.FIRE}


def test_the_shipped_player_is_small_and_from_the_dream() -> None:
    shipped = Player.load()
    assert SHIPPED.stat().st_size < 2_000_000
    assert shipped.about["world"] == "dream"
    assert len(str(shipped.about["twin"])) == 64
    assert int(shipped.about["frames"]) > 0


def test_a_dreamt_game_that_is_over_stands_still() -> None:
    """The digits show a last life after its end: dreamt on, the game would have it again."""
    games = rules.DreamGames(2)
    board, memory = games.env.state.board.copy(), games.env.state.memory.copy()
    board[0, LIVES], memory[0, INDEX["life_due"]] = 1, 2
    games.env.state = over = games.env.state._replace(board=board, memory=memory)
    for _ in range(HOLD):
        assert games.step(np.array([1, 1]))[0] == 0
        assert games.lives.tolist() == [0, 5]
    assert all(np.array_equal(one[0], other[0]) for one, other in zip(games.env.state, over, strict=True))
    games.begin(np.array([True, False]))
    assert games.lives.tolist() == [5, 5]


def test_dreamt_games_go_frame_by_frame_or_not_at_all(tmp_path: Path) -> None:
    """A player is asked for each frame: in steps of four, what is held and minutes would be other ones."""
    shutil.copytree(engine.SHIPPED, tmp_path / "w")
    manifest = tmp_path / "w" / engine.MANIFEST
    manifest.write_text(manifest.read_text().replace('"frameskip": 1', '"frameskip": 4'))
    with pytest.raises(ValueError, match="these weights have frame skip 4, not 1"):
        rules.DreamGames(1, tmp_path / "w")
