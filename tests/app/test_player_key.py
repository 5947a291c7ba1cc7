"""The key that lets the machine play: who plays is said, and the player from the dream plays both games."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.players import AUTOPILOTS, Autopilot
from collect.player import SHAPES, Player
from tests.app.conftest import Prompted, alone, loop_of


@pytest.fixture
def one_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A player that only ever goes to the right."""
    tensors = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
    tensors["2.bias"][1] = 50
    Player(tensors, {"world": "dream"}, np.random.default_rng(0)).save(tmp_path / "player.safetensors")
    monkeypatch.setattr("collect.player.SHIPPED", tmp_path / "player.safetensors")


@pytest.mark.usefixtures("one_way")
def test_the_key_goes_through_all_who_play_and_says_who(make_engine: Any) -> None:
    screen = Prompted(*[None, "autopilot", None] * (len(AUTOPILOTS) + 1))
    loop = loop_of(make_engine, screen)
    loop.run()
    said = [view.footer.split("   ")[0] for view in screen.shown]
    for text in AUTOPILOTS.values():
        assert text in said
    assert said.index("player trained in the dream") < said.index("autopilot follows the ball")
    assert loop.player is None
    assert loop.toast == "you play"


@pytest.mark.usefixtures("one_way")
@pytest.mark.parametrize("dream", ["follow", "dream", "alone"])
def test_the_player_plays_both_games(make_engine: Any, dream: str) -> None:
    session = alone(make_engine(frameskip=1)) if dream == "alone" else loop_of(make_engine, Prompted()).session
    if dream == "dream":
        session.do("dream")
    player = Autopilot("player", 0)
    for _ in range(80):
        session.step(player.act(session) or 0)
    assert session.twin_ball is not None
    assert session.twin_paddle > 120
    assert {*session.actions} == {1, 2}


def test_without_its_weights_the_next_one_plays(make_engine: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("collect.player.SHIPPED", tmp_path / "none.safetensors")
    loop = loop_of(make_engine, Prompted("autopilot", None))
    loop.run()
    assert isinstance(loop.player, Autopilot)
    assert loop.player.name == "follow"
