"""`evaluate` end to end at tiny size: the same bytes twice, a table without NaN, clean errors."""

import json
from pathlib import Path

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

import main
from evaluate import refinements
from evaluate.evaluation import EvaluationSettings, evaluate
from evaluate.refinements import balanced, compare_refinements, print_refinements
from evaluate.report import print_evaluation
from model import WorldModel
from train.latent_action_data import Pairs

TINY = ["--episodes", "2", "--transitions", "6", "--runs", "2", "--least-seconds", "0.2", "--run-seconds", "0.3"]
SETTINGS = EvaluationSettings(0, ("mixed",), 2, 6, 2, 0.2, 0.3)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WorldModel, "load", lambda path, device: WorldModel.untrained())


def test_the_command_writes_the_same_bytes_twice(untrained, tmp_path: Path) -> None:
    texts = []
    for name in ("a.json", "b.json"):
        result = CliRunner().invoke(main.app, ["evaluate", *TINY, "--json", str(tmp_path / name)])
        assert result.exit_code == 0, result.output
        texts.append((tmp_path / name).read_bytes())
    assert texts[0] == texts[1]
    report = json.loads(texts[0])
    assert report["schema"] == 1
    assert report["settings"]["seed"] == 0
    assert report["weights"] == "untrained-0"
    assert set(report["held_out"]) == {"mixed", "people"}
    for result in report["held_out"].values():
        assert set(result["controllers"]) == {"context", "action"}
        assert result["truth"]["steps"]["all"] == 6
        assert result["controllers"]["context"]["dream"]["runs"] == 2
    assert b"NaN" not in texts[0]


def test_another_seed_gives_other_games() -> None:
    wm = WorldModel.untrained()
    one = evaluate(wm, SETTINGS)["held_out"]["mixed"]
    other = evaluate(wm, EvaluationSettings(1, ("mixed",), 2, 6, 2, 0.2, 0.3))["held_out"]["mixed"]
    assert one["seed"] != other["seed"]
    assert one["transitions"] != other["transitions"] or one["truth"] != other["truth"]


def test_the_tables_show_every_part_and_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    shares: list[float] = []
    report = evaluate(WorldModel.untrained(), SETTINGS, lambda share, text: shares.append(share))
    print_evaluation(report, Console(width=160))
    text = capsys.readouterr().out
    for part in ("context", "action", "majority", "copy last", "delta PSNR", "horizon", "ball error"):
        assert part in text or part == "ball error"  # no run is long enough for a mark here
    assert "nan" not in text.lower()
    assert shares == sorted(shares)
    assert shares[-1] <= 1


def test_games_that_were_trained_on_are_refused() -> None:
    from evaluate.heldout import SEED_OFFSET

    wm = WorldModel.untrained()
    wm.meta = {"vqvae": {"dataset": {"seed": SEED_OFFSET}}}
    with pytest.raises(ValueError, match="trained on"):
        evaluate(wm, SETTINGS)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--weights", "missing"], 1), (["--policy", "nobody"], 2), (["--episodes", "0"], 2), (["--seed", "-1"], 2)],
)
def test_bad_input_ends_in_one_line(arguments: list[str], status: int) -> None:
    result = CliRunner().invoke(main.app, ["evaluate", *arguments])
    assert result.exit_code == status
    assert "Traceback" not in result.output
    if status == 1:
        assert len(result.output.strip().splitlines()) == 1


def test_impossible_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="least length"):
        EvaluationSettings(least_seconds=5.0, run_seconds=2.0)


def test_refinements_are_compared_in_one_table(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(refinements, "PAIR_GAMES", 2)
    monkeypatch.setattr(refinements, "PAIR_SECONDS", 4.0)
    report = compare_refinements(WorldModel.untrained(), SETTINGS, epochs=1)
    variants = report["held_out"]["mixed"]["variants"]
    assert [name for name in variants if "draw" not in name] == [
        "action only",
        "action only, actions balanced",
        "action only, a model for each action",
        "context",
    ]

    def codes(name: str) -> float:
        return variants[name]["code_accuracy"]["all"]["value"]

    assert codes("action only, best of 16 draws") >= codes("action only, drawn once")
    print_refinements(report, Console(width=160))
    text = capsys.readouterr().out
    assert "majority code" in text
    assert "nan" not in text.lower()


def test_balanced_pairs_hold_every_action_as_often() -> None:
    actions = torch.tensor([0] * 6 + [2] * 2 + [3])
    pairs = Pairs(actions, torch.arange(9)[:, None].expand(-1, 35), [4, 5], None)
    even = balanced(pairs, 0)
    assert torch.bincount(even.actions).tolist() == [6, 0, 6, 6]
    assert sum(even.lengths) == 18
    # A pair keeps its codes, and its episode.
    assert torch.equal(even.actions, actions[even.codes[:, 0]])
    assert (even.codes[: even.lengths[0], 0] < 4).all()
    assert (even.codes[even.lengths[0] :, 0] >= 4).all()
