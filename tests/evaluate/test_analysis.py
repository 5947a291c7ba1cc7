"""`analyze` end to end at tiny size: its numbers, empty classes, one page without a network."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from collect.pairs import count_codes, read_pairs
from collect.policies import start_episode
from evaluate.analysis.analysis import AnalysisSettings, analyse, take_sample
from evaluate.analysis.page import before_after_difference, difference, write_report
from evaluate.analysis.plots import APPEARS, OTHER_COLOUR, VANISHES
from evaluate.analysis.statistics import Example, distances, jensen_shannon, representative, top_changes, top_codes
from evaluate.commands import app
from evaluate.heldout import SEED_OFFSET
from evaluate.summaries import plain
from model.breakout import CELLS, CODES, PALETTE
from tests.evaluate.conftest import Perfect

pytestmark = pytest.mark.slow

SETTINGS = AnalysisSettings(0, "people", 2, 40, 2, 2, 0.5, 3)


@pytest.fixture(scope="module")
def twin() -> Perfect:
    """Right for ten seconds, and then everything stands still."""
    twin = Perfect(breaks_after=300)
    twin.learn_games("people", 0, 2)
    start_episode(twin.emulator, "people", np.random.default_rng([SEED_OFFSET, 1 << 20]))
    twin.learn()
    return twin


@pytest.fixture(scope="module")
def found(twin):
    return analyse(twin, SETTINGS)


def test_the_numbers_follow_from_the_sample(twin, found) -> None:
    report, pictures = found
    sample = take_sample(twin, SETTINGS)  # an analysis depends on nothing but the weights and its settings
    truth, context = sample.found.truth, sample.found.predicted["context"]
    hits, even = context.codes == truth.codes, sample.even
    accuracy = report["accuracy"]["controllers"]["context"]
    assert accuracy["code_accuracy"]["all"].value == pytest.approx(hits[even].mean())
    cell = int(truth.dynamic[even].sum(0).argmax())
    changed = truth.dynamic[even][:, cell]
    assert accuracy["by_position"]["changed"][cell].value == pytest.approx(hits[even][changed, cell].mean())
    bins = report["calibration"]["context"]["all_cells"]["bins"]
    assert sum(part["right"].of for part in bins) == even.sum() * CELLS
    assert bins[-1]["right"].value == pytest.approx(hits[even].mean())
    rows = report["temperature"]["context"]
    assert rows[0]["codes"].value == pytest.approx(hits[even].mean())
    assert rows[0]["grid"].value == pytest.approx(hits[even].all(1).mean())
    groups = report["events"]["groups"]
    assert sum(of["steps"] for of in groups.values()) == report["sample"]["steps_predicted"] >= 40
    for name, of in groups.items():
        assert of["steps"] >= min(SETTINGS.per_event, report["events"]["frequency"][name]["steps"])
    mistakes = report["mistakes"]["action"]
    kinds = mistakes["codes"]
    assert kinds["missed"] + kinds["invented"] + kinds["wrong_change"] == kinds["wrong"] > 0
    assert sum(mistakes["failures_by_event"].values()) == mistakes["failures"]
    worst = report["worst"]["of_all"]
    assert [step["wrong_pixels"] for step in worst] == sorted((step["wrong_pixels"] for step in worst), reverse=True)
    for step, (real, predicted) in zip(worst, pictures.worst["of_all"], strict=True):
        assert (predicted != real).sum() == step["wrong_pixels"]
        assert np.array_equal(real, sample.dataset.frame(step["frame"] + 1))


def test_four_futures_are_those_of_four_keys(found) -> None:
    report, pictures = found
    futures = pictures.futures
    assert set(futures.real) == set(report["futures"]["keys"]) == {"noop", "fire", "right", "left"}
    assert not np.array_equal(futures.real["left"], futures.real["right"])
    for key, of in report["futures"]["keys"].items():
        assert of["action"]["wrong_pixels"] == (futures.real[key] != futures.dreamt["action"][key]).sum()


def test_the_page_stands_alone_and_shows_empty_classes(twin, found, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.json"
    pairs.write_text(json.dumps([{"action": 3, "latent_code": [7] * CELLS}] * 4))
    report, pictures = analyse(
        twin, AnalysisSettings(0, "people", 1, 3, 0, 1, 80.0, 2), (count_codes(*read_pairs(pairs)), pairs.name)
    )
    assert 0 in report["accuracy"]["truth"]["steps"].values()
    assert report["distributions"]["action"]["source"] == "pairs.json"
    assert [of["steps"] for of in report["distributions"]["action"]["by_action"].values()] == [0, 0, 0, 4]
    page = write_report(report, pictures, tmp_path / "report")
    assert json.loads((page.parent / "report.json").read_text(), parse_constant=pytest.fail) == plain(report)
    text = page.read_text()
    assert "dreams are 0 runs" in text  # no game was so long
    assert "never occurs" in text
    assert not re.search(r"\b(nan|None|inf)\b", re.sub(r"<[^>]*>", " ", text[text.index("<body>") :]))
    assert "http" not in re.sub(r'src="data:[^"]*"', "", text)
    assert all(source.startswith("data:image/png") for source in re.findall(r'src="([^"]*)"', text))
    assert len(list((page.parent / "plots").glob("*.png"))) == text.count('class="plot"') == 13
    assert list((page.parent / "codes").glob("code-*.png"))


def test_the_command_writes_a_page_or_names_the_extra(shipped, monkeypatch, tmp_path: Path) -> None:
    tiny = ["--policy", "people", "--episodes", "1", "--transitions", "3", "--per-event", "0", "--runs", "1"]
    tiny += ["--dream-seconds", "0.2", "--top", "1"]
    shipped.controllers = ("action",)
    result = CliRunner().invoke(app, ["analyze", "--out", str(tmp_path / "a"), *tiny])
    assert result.exit_code == 0, result.output
    assert "report.html" in result.output
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in [name for name in sys.modules if name.startswith(("matplotlib.", "evaluate.analysis."))]:
        monkeypatch.delitem(sys.modules, name)
    result = CliRunner().invoke(app, ["analyze", "--out", str(tmp_path / "b"), *tiny])
    assert result.exit_code == 1
    assert "[report]" in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "b").exists()


def test_jensen_shannon_by_hand() -> None:
    one, other = np.eye(CODES)[3], np.eye(CODES)[4]
    assert jensen_shannon(one, one) == 0
    assert jensen_shannon(one, other) == 1
    assert jensen_shannon(one, 5.0 * (one + other)) == pytest.approx(0.311278, abs=1e-6)
    assert jensen_shannon(one, 0 * one) is None


def test_an_action_that_never_occurs_is_empty() -> None:
    counts = count_codes(np.array([0, 0, 2, 2, 3]), np.zeros((5, CELLS), np.int64))
    expected = counts.astype(float)
    found = distances(counts, expected, "hand")
    assert found["by_action"]["fire"]["pooled"] is None
    assert found["by_action"]["fire"]["actual_a_step"] is None
    assert found["by_action"]["noop"]["pooled"] == 0
    assert found["by_action"]["noop"]["pooled_changes"] is None  # there were none
    steps = counts[:, 0].sum(-1)
    assert top_codes({"context": expected}, counts, steps, 3)["fire"] == [[]] * CELLS
    assert (
        top_codes({"context": expected}, counts, steps, 3)["left"] == [[{"code": 0, "actual": 1, "context": 1}]] * CELLS
    )
    assert set(map(len, top_changes({"context": expected}, counts, steps, 2).values())) == {0}
    expected[3, :2, 9], expected[3, 0, 8] = 0.5, 0.25
    changes = top_changes({"context": expected}, counts, steps, 2)
    assert changes["fire"] == []
    assert changes["left"] == [{"code": 9, "actual": 0, "context": 1}, {"code": 8, "actual": 0, "context": 0.25}]


def test_a_code_is_shown_by_an_example_with_neither_least_nor_most_to_see() -> None:
    blank = np.zeros((30, 32), np.uint8)
    after = [blank.copy() for _ in range(3)]
    after[0][:9], after[2][:3] = 5, 5
    assert representative([Example(3, blank, each) for each in after]).after is after[2]


def test_codes_are_named_by_what_they_say(found) -> None:
    codes = found[0]["codes"]
    assert len(codes) == CODES
    assert codes["0"]["seen"] > 1000
    assert all(of["name"] == (f"code {code}" if of["seen"] else None) for code, of in codes.items())
    assert 5 < sum(of["name"] is not None for of in codes.values()) < CODES


def test_a_difference_tells_what_appears_vanishes_and_changes_colour() -> None:
    before, after = np.array([[0, 5, 5, 1]], np.uint8), np.array([[5, 0, 2, 1]], np.uint8)
    shown = difference(before, after)[0]
    assert [tuple(pixel) for pixel in shown[:3].tolist()] == [
        (*bytes.fromhex(colour[1:]),) for colour in (APPEARS, VANISHES, OTHER_COLOUR)
    ]
    assert shown[3].tolist() != PALETTE[1].tolist()
    assert before_after_difference(before, after).startswith(b"\x89PNG")
