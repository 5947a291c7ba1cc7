"""`evaluate` end to end at tiny size: the same bytes twice, a table without NaN, clean errors."""

import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

import main
from evaluate.evaluation import EvaluationSettings, evaluate
from evaluate.report import print_evaluation
from model import WorldModel

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
