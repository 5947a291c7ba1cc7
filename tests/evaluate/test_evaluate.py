"""`evaluate`, `match` and `bench` end to end at tiny size: the same bytes twice, tables without NaN, clean errors."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from collect.policies import make_policy, start_episode
from evaluate.bench import soak, steadiness
from evaluate.commands import app
from evaluate.heldout import SEED_OFFSET
from evaluate.reports import (
    STREAM,
    EvaluationSettings,
    evaluate,
    first_differences,
    live,
    longest_run,
    match,
    play_from_reset,
)
from evaluate.summaries import codebook_use, plain
from evaluate.tables import number, print_evaluation, share, spans, with_interval
from model.breakout import CELLS, Action
from model.metrics import Quartiles, Rate
from tests.evaluate.conftest import Perfect

pytestmark = pytest.mark.slow

TINY = (
    *("--episodes", "2", "--game-seconds", "5", "--transitions", "9", "--runs", "2", "--least-seconds", "0.5"),
    *("--run-seconds", "1.5", "--alone", "1"),
)
SETTINGS = EvaluationSettings(0, ("people",), 2, 8.0, 9, 2, 0.5, 1.5, 1, 2.0)


def run(*arguments: str):
    return CliRunner().invoke(app, [*arguments])


def test_the_command_writes_the_same_bytes_twice(shipped, tmp_path: Path) -> None:
    texts = []
    for name in ("a.json", "b.json"):
        result = run("evaluate", *TINY, "--alone-seconds", "1", "--json", str(tmp_path / name))
        assert result.exit_code == 0, result.output
        texts.append((tmp_path / name).read_bytes())
    assert texts[0] == texts[1]
    report = json.loads(texts[0], parse_constant=pytest.fail)
    assert report["settings"]["seed"] == 0
    assert report["weights"] == "copy-last"
    assert set(report["held_out"]) == {"people", "mixed"}
    for held in report["held_out"].values():
        assert set(held["controllers"]) == {"context", "action"}
        assert set(held["dreams"]) == {"context", "action", "decoder alone", "controller alone", "copy last"}
        assert held["truth"]["steps"]["all"] == 9
        assert held["dreams"]["context"]["runs"] == 2
        assert {"paddle bounce", "serve"} <= set(held["events"])
        assert {"half_row", "knob"} <= set(held["memory"]["dreams"])
    assert report["held_out"]["people"]["alone"]["runs"] == 1


def test_games_shorter_than_an_event_are_measured(shipped, tmp_path: Path) -> None:
    out = tmp_path / "short.json"
    tiny = ("--episodes", "1", "--game-seconds", "0.1", "--transitions", "1", "--runs", "1", "--json", str(out))
    result = run("evaluate", *tiny)
    assert result.exit_code == 0, result.output
    held = json.loads(out.read_text(), parse_constant=pytest.fail)["held_out"]["people"]
    assert held["transitions"] == 3
    assert {rate["of"] for rate in held["events"].values()} == {0}


def test_another_seed_gives_other_games(still) -> None:
    one = evaluate(still, SETTINGS)["held_out"]["people"]
    other = evaluate(still, SETTINGS._replace(seed=1, alone=0))["held_out"]["people"]
    assert one["seed"] != other["seed"]
    assert one["truth"] != other["truth"]
    assert "alone" not in other


def test_the_tables_show_every_part_and_no_nan(perfect, capsys: pytest.CaptureFixture[str]) -> None:
    shares: list[float] = []
    report = evaluate(perfect, SETTINGS, lambda share, text: shares.append(share))
    print_evaluation(report, Console(width=160))
    text = capsys.readouterr().out
    for part in ("context", "action", "majority", "copy last", "delta PSNR", "partings per minute", "Kaplan-Meier",
                 "decoder alone", "paddle bounce", "half_row", "ambiguous", "ball error", "left alone"):  # fmt: skip
        assert part in text, part
    assert "nan" not in text.lower()
    assert shares == sorted(shares)
    assert shares[-1] <= 1


@pytest.mark.parametrize(
    ("arguments", "status", "named"),
    [
        (["evaluate", "--policy", "nobody"], 2, "--policy"),
        (["evaluate", "--episodes", "0"], 2, "--episodes"),
        (["evaluate", "--seed", "-1"], 2, "--seed"),
        (["evaluate", "--run-seconds", "nan"], 2, "--run-seconds"),
        (["evaluate", "--least-seconds", "9", "--run-seconds", "5"], 2, "--least-seconds"),
        (["evaluate", "--live", "5", "--runs", "3"], 2, "--runs"),
        (["evaluate", "--live", "0"], 2, "--live"),
        (["bench", "--soak", "1", "--seconds", "3"], 2, "--seconds"),
        (["match", "--seeds", "0"], 2, "--seeds"),
        (["analyze", "--pairs", "missing.json"], 1, "missing.json"),
    ],
)
def test_bad_input_names_the_option(shipped, arguments: list[str], status: int, named: str) -> None:
    result = run(*arguments)
    assert result.exit_code == status, result.output
    assert named in result.output
    assert "Traceback" not in result.output
    if status == 1:
        assert len(result.output.strip().splitlines()) == 1


# --- live ---


def test_live_reports_the_steps_that_were_played(still) -> None:
    report = live(still, 40, "people", 3)
    steps = report["steps_taken"]
    assert len(steps) == report["steps"] == 40
    for name in ("context", "action"):
        found = report["controllers"][name]["code_accuracy"]
        wrong = sum(step["wrong_codes"][name] for step in steps)
        assert found["all"].value == pytest.approx(1 - wrong / (40 * CELLS))
        assert report["mistakes"][name]["codes"]["wrong"] == wrong == report["mistakes"][name]["codes"]["missed"]
    assert sum(of["steps"] for of in report["events"].values()) == 40
    # The same game, played again by hand.
    rng = np.random.default_rng([SEED_OFFSET + 3, STREAM])
    rng.integers(2**31)
    emulator = Perfect().emulator
    start_episode(emulator, "people", rng)
    player = make_policy("people", rng, 2)
    for step in steps[:10]:
        action = player.act(emulator.objects())
        before = emulator.frame
        emulator.step(action)
        assert step["action"] == Action(action).name.lower()
        assert step["wrong_pixels"]["context"] == (before != emulator.frame).sum()
    json.dumps(plain(report), allow_nan=False)


def test_live_prints_tables(shipped, tmp_path: Path) -> None:
    out = tmp_path / "live.json"
    result = run("evaluate", "--live", "6", "--policy", "people", "--json", str(out))
    assert result.exit_code == 0, result.output
    for part in ("changed cells", "paddle bounce", "majority", "longest run"):
        assert part in result.output
    assert json.loads(out.read_text())["steps"] == 6


def test_longest_run() -> None:
    assert longest_run(np.array([1, 1, 0, 1, 1, 1, 0], bool), np.zeros(7, int)) == 3
    assert longest_run(np.zeros(4, bool), np.zeros(4, int)) == 0
    assert longest_run(np.ones(4, bool), np.zeros(4, int)) == 4
    assert longest_run(np.ones(5, bool), np.array([0, 0, 0, 1, 1])) == 3


# --- match ---


def test_a_perfect_twin_matches_the_emulator_from_a_reset() -> None:
    report = match(Perfect(), 3, 40)
    for found in report["policies"].values():
        assert found["never"].value == 1
        assert found["first_difference"] == [None] * 3
        assert found["compared"].tolist() == [40] * 3
        assert found["steps"].median is None


def test_the_first_step_that_differs_is_found() -> None:
    games = play_from_reset("random", 2, 3, 50, 0)
    compared, differs = first_differences(Perfect(breaks_after=9), games)
    assert differs.all()
    # After the ninth step the picture stands still: the first difference is where the real one next changes.
    for game, first in enumerate(games.first[:-1]):
        frames = games.frame(first + np.arange(9, 51))
        changed = np.flatnonzero((frames[1:] != frames[0]).any((1, 2)))
        assert compared[game] == 10 + changed[0]


def test_the_match_command(shipped) -> None:
    result = run("match", "--seeds", "2", "--steps", "30")
    assert result.exit_code == 0, result.output
    assert "first step that differs" in result.output
    assert "median [quartiles]" in result.output
    assert "never [never, never]" in run("match", "--seeds", "1", "--steps", "1").output


# --- bench ---


def test_bench_measures_every_part(shipped, tmp_path: Path) -> None:
    result = run("bench", "--seconds", "0.05", "--json", str(tmp_path / "bench.json"))
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "bench.json").read_text())
    assert set(report["step_milliseconds"]) == {"predict", "advance", "encode", "draw"}
    for by_batch in report["step_milliseconds"].values():
        assert set(by_batch) == {"1", "4", "16", "64"}
        assert all(0 < part["median"] <= part["p99"] for part in by_batch.values())
    assert report["real_time_milliseconds"] == pytest.approx(1000 * 2 / 60)
    assert report["bare_emulator_frames_per_second"] == pytest.approx(2 * report["ale_steps_per_second"])
    assert min(report["dream_steps_per_second"].values()) > 0
    assert "frames/s" in result.output


def test_a_soak_watches_memory_and_pace(shipped) -> None:
    report = soak(shipped, 0.02)
    assert [round(sample["minutes"], 1) for sample in report["samples"]] == [1, 1.2]
    assert report["samples"][0]["step"] > 0
    samples = [{"memory": 100.0 + n, "step": 1.0 + n} for n in range(8)]
    assert steadiness(samples) == {"memory_growth": pytest.approx(0.07), "pace_drift": pytest.approx(7.5 / 1.5 - 1)}
    assert steadiness(samples[:1]) == {"memory_growth": None, "pace_drift": None}
    for hours in ("0.002", "0.0000001"):  # less than a step
        assert "hours of play" in run("bench", "--soak", hours).output


# --- numbers as text ---


def test_numbers_as_text() -> None:
    assert [number(value, 0) for value in (2.0, None, float("nan"), float("inf"))] == ["2", "-", "-", "gone"]
    assert share(Rate(0.5, None, None, 2)) == "50.0%"
    assert share(Rate(None, None, None, 0)) == "-"
    assert with_interval(Rate(0.5, 0.25, 1, 2)) == "50.0% [25.0, 100.0]"
    assert with_interval(Rate(3.0, None, None, 2), percent=False) == "3.0"
    assert spans(Quartiles(1.0, 2.5, None, 4)) == "2.5 [1.0, never]"
    assert spans(Quartiles(None, None, None, 0)) == "-"


def test_plain_leaves_nothing_that_json_refuses() -> None:
    value = {"a": [np.float32(0.1), float("nan"), np.inf], 1: (np.int64(3), True), "b": Rate(0.5, None, 1.0, 2)}
    rate = {"value": 0.5, "low": None, "high": 1.0, "of": 2}
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == {"a": [0.1, None, None], "1": [3, True], "b": rate}


def test_codebook_use() -> None:
    used = codebook_use(np.array([[0, 3], [7, 7]]))
    assert used["all_cells"] == {"used": 3, "perplexity": pytest.approx(2**1.5)}
    assert used["changed_cells"]["used"] == 2
    assert codebook_use(np.zeros((1, 2), np.int64))["changed_cells"] == {"used": 0, "perplexity": None}
