"""`evaluate --live`: the steps it reports are those that were played, and the accuracy follows from them."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import main
from collect.emulator import Emulator, Step
from collect.policies import make_policy, start_episode
from evaluate.heldout import SEED_OFFSET
from evaluate.live import STREAM, live, longest_run
from evaluate.predictors import action_to_code
from model import WorldModel
from model.breakout import CELLS, KNOB_CENTRE, Action

STEPS = 40


@pytest.fixture(scope="module")
def wm() -> WorldModel:
    return WorldModel.untrained()


@pytest.fixture(scope="module")
def report(wm) -> dict:
    return live(wm, STEPS, "people", 3)


def test_accuracy_follows_from_the_steps(wm, report) -> None:
    steps = report["steps_taken"]
    assert len(steps) == report["steps"] == STEPS
    assert wm.controller == "context"
    for name in ("context", "action"):
        found = report["controllers"][name]["code_accuracy"]
        wrong = sum(step["wrong_codes"][name] for step in steps)
        assert found["all"]["value"] == pytest.approx(1 - wrong / (STEPS * CELLS), abs=1e-6)
        noops = [step["wrong_codes"][name] for step in steps if step["action"] == "noop"]
        assert found["noop"]["of"] == len(noops) * CELLS
        assert found["noop"]["value"] == pytest.approx(1 - sum(noops) / (len(noops) * CELLS), abs=1e-6)
        assert report["mistakes"][name]["codes"]["wrong"] == wrong
    assert sum(of["steps"] for of in report["events"].values()) == STEPS
    json.dumps(report, allow_nan=False)


def test_the_action_alone_predicts_what_the_public_function_says(wm, report) -> None:
    """Play the same game again by hand: actual codes against `action_to_code`, step by step."""
    emulator, rng = Emulator(wm.frameskip), np.random.default_rng([SEED_OFFSET + 3, STREAM])
    start_episode(emulator, "people", rng)
    player = make_policy("people", rng, wm.frameskip)
    for step in report["steps_taken"][:15]:
        before, action = emulator.rgb, player.act(emulator.objects())
        assert step["action"] == Action(action).name.lower()
        emulator.step(action)
        wrong = (wm.encode(before, emulator.rgb) != action_to_code(wm, action)).sum()
        assert step["wrong_codes"]["action"] == wrong


class Short(Emulator):
    """Its games are over after five steps."""

    def __init__(self, frameskip: int) -> None:
        super().__init__(frameskip)
        self.steps = 0

    def step(self, action: int) -> Step:
        self.steps += 1
        return super().step(action)

    @property
    def over(self) -> bool:
        return self.steps >= 5


def test_several_games_and_the_same_numbers_twice(wm, monkeypatch) -> None:
    monkeypatch.setattr("evaluate.live.Emulator", Short)
    monkeypatch.setattr("evaluate.live.start_episode", lambda emulator, policy, rng: emulator.reset())
    one = live(wm, 12, "mixed")
    assert one["games"] == 3
    assert [step["game"] for step in one["steps_taken"]] == [0] * 5 + [1] * 5 + [2] * 2
    assert live(wm, 12, "mixed") == one


def test_the_twin_is_told_where_the_knob_is_when_a_game_begins(wm, monkeypatch) -> None:
    known = []

    class Watched(Emulator):
        def step(self, action: int) -> Step:
            known.append((wm.unseen.knob, self.knob))
            return super().step(action)

    def start_episode(emulator: Emulator, policy: str, rng: np.random.Generator) -> None:
        for _ in range(3):
            emulator.advance(Action.LEFT)

    monkeypatch.setattr("evaluate.live.Emulator", Watched)
    monkeypatch.setattr("evaluate.live.start_episode", start_episode)
    live(wm, 20, "people", 3)
    assert known[0][1] < KNOB_CENTRE
    assert len(known) == 20
    assert all(twin == real for twin, real in known)


def test_longest_run() -> None:
    assert longest_run(np.array([1, 1, 0, 1, 1, 1, 0], bool)) == 3
    assert longest_run(np.zeros(4, bool)) == 0
    assert longest_run(np.ones(4, bool)) == 4


def test_the_command_prints_tables_and_writes_json(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(WorldModel, "load", lambda path, device: WorldModel.untrained())
    out = tmp_path / "live.json"
    result = CliRunner().invoke(main.app, ["evaluate", "--live", "6", "--policy", "people", "--json", str(out)])
    assert result.exit_code == 0, result.output
    assert "nan" not in result.output.lower()
    for part in ("changed cells", "paddle bounce", "majority", "longest run"):
        assert part in result.output
    assert json.loads(out.read_text())["steps"] == 6
    assert CliRunner().invoke(main.app, ["evaluate", "--live", "0"]).exit_code == 2
