"""How players are measured: games to their ends, in step, and a table with intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from collect.player import SHAPES, Player, RealGames
from evaluate import reports as measuring
from evaluate.tables import print_players

pytestmark = pytest.mark.slow


def test_games_are_played_to_their_ends_and_cut_at_the_longest() -> None:
    def fire(objects: np.ndarray) -> np.ndarray:
        return np.ones(len(objects), np.int64)

    games = RealGames(3)
    points, frames = measuring.play(games, fire, seed=0, longest=2000)
    assert len(set(frames.tolist())) == 3  # each has its own number of NOOPs before it
    assert (frames < 1500).all()
    assert (points < 20).all()
    games.begin(np.ones(3, np.bool_))
    assert measuring.play(games, fire, seed=0, longest=50)[1].tolist() == [50] * 3


def test_the_autopilot_beats_chance_and_all_are_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "LONGEST", 700)
    path = tmp_path / "player.safetensors"
    tensors = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
    Player(tensors, {"world": "real"}, np.random.default_rng(0)).save(path)
    report = measuring.evaluate_players([path], number=2, seed=0)
    found = report["players"]
    assert list(found) == ["random keys", "the built-in autopilot", f"trained in the real game: {path}"]
    score = {who: worlds["sticky 0"]["score"].value for who, worlds in found.items()}
    assert score["the built-in autopilot"] > score["random keys"]
    assert all(len(world["scores"]) == 2 for worlds in found.values() for world in worlds.values())
    console = Console(width=160, record=True)
    print_players(report, console)
    text = console.export_text()
    assert "401.2" in text
    assert "sticky 0.25" in text
