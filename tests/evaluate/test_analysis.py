"""`analyze` end to end at tiny size: its numbers from raw predictions, empty classes, one page without a network."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import main
from evaluate.analysis.analysis import ActionPairs, analyse, compare_distributions
from evaluate.analysis.futures import four_futures
from evaluate.analysis.sample import AnalysisSettings, Sample, take_sample
from evaluate.analysis.statistics import count_codes, distances, jensen_shannon, top_changes, top_codes
from evaluate.heldout import memory_of
from evaluate.predictors import action_to_code, action_to_shares, probabilities
from model import WorldModel
from model.breakout import ACTIONS, CELLS, CODES
from model.files import FileError

SETTINGS = AnalysisSettings(0, "mixed", 2, 40, 60, 2, 2, 0.2, 3)


def calm_twin() -> WorldModel:
    """Random weights, but most cells stay as they are, as in a trained twin. That also makes it quick."""
    wm = WorldModel.untrained()
    with torch.no_grad():
        head = wm.controllers["context"].head
        head.weight *= 3
        head.bias[0] += 9
        wm.controllers["action"].layers[-1].bias.view(CELLS, CODES)[:, 0] += 6.0
    return wm


@pytest.fixture(scope="module")
def wm() -> WorldModel:
    return calm_twin()


@pytest.fixture(scope="module")
def report(wm) -> dict:
    return json.loads(json.dumps(analyse(wm, SETTINGS)[0], allow_nan=False))


@pytest.fixture(scope="module")
def sample(wm) -> Sample:
    """The same steps again: an analysis depends on nothing but the weights and its settings."""
    return take_sample(wm, SETTINGS)


@pytest.fixture(scope="module")
def raw(wm, sample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Actions (N,), real codes (N, 35) and the context controller's logits (N, 35, 256), one step at a time."""
    dataset = sample.dataset
    actions, codes, logits = [], [], []
    for t in sample.truth.t[sample.even]:
        numbers = dataset.history(np.array([t]), wm.context)
        actions.append(int(dataset.actions[t]))
        asked = dataset.frame(numbers), [actions[-1]], "context", *memory_of(dataset, np.array([t]), wm.context)
        logits.append(wm.predict_batch(*asked)[0])
        codes.append(wm.encode_classes(dataset.frame(t), dataset.frame(t + 1)))
    return np.array(actions), np.array(codes), np.array(logits)


def test_accuracy_from_raw_predictions(report, raw) -> None:
    actions, codes, logits = raw
    hits = logits.argmax(-1) == codes
    found = report["accuracy"]["controllers"]["context"]
    assert found["code_accuracy"]["left"]["value"] == pytest.approx(hits[actions == 3].mean(), abs=1e-6)
    cell = int(np.argmax((codes != 0).sum(0)))
    changed = codes[:, cell] != 0
    at_cell = found["by_position"]["changed"][cell]
    assert at_cell["of"] == changed.sum() > 0
    assert at_cell["value"] == pytest.approx(hits[changed, cell].mean(), abs=1e-6)


def test_distance_from_raw_predictions(report, raw) -> None:
    actions, codes, logits = raw
    of_action, cell = actions == 2, 34

    def entropy(p):
        return -(p[p > 0] * np.log2(p[p > 0])).sum()

    real = np.bincount(codes[of_action, cell], minlength=CODES) / of_action.sum()
    said = probabilities(logits[of_action, cell]).astype(float).mean(0)
    wanted = entropy((real + said) / 2) - (entropy(real) + entropy(said)) / 2
    found = report["distributions"]["context"]["by_action"]["right"]
    assert found["steps"] == of_action.sum()
    assert found["by_position"][cell] == pytest.approx(wanted, abs=1e-5)


def test_calibration_and_temperature_from_raw_predictions(report, raw) -> None:
    _, codes, logits = raw
    shares = probabilities(logits)
    sure, hits = shares.max(-1), logits.argmax(-1) == codes
    for part in report["calibration"]["context"]["all_cells"]["bins"]:
        inside = (sure >= part["from"]) & (sure < part["to"])
        assert part["right"]["of"] == inside.sum()
        if inside.any():
            assert part["confidence"] == pytest.approx(sure[inside].mean(), abs=1e-5)
            assert part["right"]["value"] == pytest.approx(hits[inside].mean(), abs=1e-6)
    warm = np.take_along_axis(probabilities(logits, 2.0), codes[..., None], -1)[..., 0].astype(float)
    row = report["temperature"]["context"][-1]
    assert row["temperature"] == 2
    assert row["codes"]["value"] == pytest.approx(warm.mean(), abs=1e-5)
    assert row["grid"]["value"] == pytest.approx(warm.prod(1).mean(), abs=1e-6)


def test_groups_cover_all_steps_and_rare_ones_are_drawn_more_often(report, sample) -> None:
    groups, played = report["events"]["groups"], report["events"]["frequency"]
    assert sum(of["steps"] for of in groups.values()) == report["sample"]["steps_predicted"] >= 40
    assert sum(of["steps"] for of in played.values()) == report["sample"]["steps_played"]
    for name, of in groups.items():
        assert of["steps"] >= min(SETTINGS.per_event, played[name]["steps"])
    found = report["mistakes"]["context"]
    assert sum(found["failures_by_event"].values()) == found["failures"]
    kinds = found["codes"]
    assert kinds["missed"] + kinds["invented"] + kinds["wrong_change"] == kinds["wrong"]
    assert report["sample"]["steps_drawn_evenly"] == sample.even.sum() == 40


def test_jensen_shannon_by_hand() -> None:
    one, other = np.eye(CODES)[3], np.eye(CODES)[4]
    assert jensen_shannon(one, one) == 0
    assert jensen_shannon(one, other) == 1
    assert jensen_shannon(one, 5.0 * (one + other)) == pytest.approx(0.311278, abs=1e-6)
    assert jensen_shannon(one, 0 * one) is None


def test_an_action_that_never_occurs_is_empty() -> None:
    codes = np.zeros((5, CELLS), np.int64)
    counts = count_codes(np.array([0, 0, 2, 2, 3]), codes)
    said = counts.astype(float)
    found = distances(counts, said, "hand")
    assert found["by_action"]["fire"]["pooled"] is None
    assert found["by_action"]["fire"]["actual_a_step"] is None
    assert found["by_action"]["noop"]["pooled"] == 0
    assert found["by_action"]["noop"]["pooled_changes"] is None  # there were none
    assert top_codes({"context": said}, counts, 3)["fire"] == [[]] * CELLS
    changes = top_changes({"context": found}, ["context"], 2)
    assert changes["fire"] == []
    assert len(changes["left"]) == 2


def test_the_pairs_replace_the_held_out_steps_for_the_action_alone(wm, sample, raw) -> None:
    actions, codes, _ = raw
    pairs = ActionPairs(actions[actions != 1], codes[actions != 1], "pairs.json")
    counts = count_codes(actions, codes)
    found = compare_distributions(wm, sample, counts, pairs)
    assert found["context"]["source"] == "held-out steps"
    assert found["action"]["source"] == "pairs.json"
    assert found["action"]["by_action"]["fire"]["steps"] == 0
    wanted = jensen_shannon(counts[3, 30].astype(float), action_to_shares(wm, 3)[30].astype(float))
    assert found["action"]["by_action"]["left"]["by_position"][30] == pytest.approx(wanted)
    assert (action_to_shares(wm, 3).argmax(-1) == action_to_code(wm, 3)).all()
    with pytest.raises(FileError, match="another VQ-VAE"):
        analyse(wm, SETTINGS, ActionPairs(actions, codes, "pairs.json", "0" * 64))


def test_the_page_stands_alone_and_shows_empty_classes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wm = calm_twin()
    wm.controller = "action"
    del wm.controllers["context"]
    monkeypatch.setattr(WorldModel, "load", lambda path, device: wm)
    pairs = tmp_path / "pairs.json"
    pairs.write_text(json.dumps([{"action": 3, "latent_code": [7] * CELLS}] * 4))
    options = (
        "--policy people --episodes 1 --transitions 2 --encoded 3 --per-event 0 --runs 1 --dream-seconds 0.1 --top 2"
    )
    out = tmp_path / "report"
    result = CliRunner().invoke(
        main.app, ["analyze", "--out", str(out), "--pairs", str(pairs), "--seed", "1", *options.split()]
    )
    assert result.exit_code == 0, result.output
    assert "report.html" in result.output
    report = json.loads((out / "report.json").read_text(), parse_constant=pytest.fail)
    assert 0 in report["accuracy"]["truth"]["steps"].values()
    found = report["distributions"]["action"]
    assert found["source"] == "pairs.json"
    assert [of["steps"] for of in found["by_action"].values()] == [0, 0, 0, 4]

    text = (out / "report.html").read_text()
    assert "never occurs" in text
    assert not re.search(r"\b(nan|None|inf)\b", re.sub(r"<[^>]*>", " ", text[text.index("<body>") :]))
    assert "http" not in re.sub(r'src="data:[^"]*"', "", text)
    assert all(source.startswith("data:image/png") for source in re.findall(r'src="([^"]*)"', text))
    assert len(list((out / "plots").glob("*.png"))) == text.count('class="plot"') == 13
    assert list((out / "codes").glob("code-*.png"))


def test_four_futures_are_those_of_four_keys(wm) -> None:
    futures, numbers = four_futures(wm, "mixed", 0, 0.3)
    assert set(futures.real) == set(numbers["keys"]) == {"noop", "fire", "right", "left"}
    assert not np.array_equal(futures.real["left"], futures.real["right"])
    assert len(futures.dreamt["context"]) == ACTIONS
    for key, of in numbers["keys"].items():
        assert of["context"]["wrong_pixels"] == (futures.real[key] != futures.dreamt["context"][key]).sum()
    assert wm.controller == "context"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--weights", "missing"], 1),
        (["--pairs", "missing.json"], 1),
        (["--dream-seconds", "0"], 1),
        (["--top", "0"], 2),
    ],
)
def test_bad_input_ends_in_one_line(monkeypatch, arguments: list[str], status: int) -> None:
    if "--weights" not in arguments:
        monkeypatch.setattr(WorldModel, "load", lambda path, device: WorldModel.untrained())
    result = CliRunner().invoke(main.app, ["analyze", *arguments])
    assert result.exit_code == status
    assert "Traceback" not in result.output
    if status == 1:
        assert len(result.output.strip().splitlines()) == 1
