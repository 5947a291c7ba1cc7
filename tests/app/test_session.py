"""The lock-step: what is compared, what a dream is, and that the same commands give the same pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.players import Autopilot, Replay
from app.session import Session
from app.session_file import load_session, save_session
from app.start_frames import load_start_frames
from collect.emulator import Emulator
from model.breakout import CELLS, KNOB_CENTRE, KNOB_END
from model.files import FileError
from model.world_model import WorldModel


def session_of(make_twin: Any, **options: Any) -> Session:
    return Session(make_twin(**options), Emulator(2))


def test_scores_equal_a_recount_from_the_frames(make_twin: Any) -> None:
    session = session_of(make_twin)
    before = session.emulator.frame
    rng = np.random.default_rng(1)
    wrong = changed = exact = still = codes = 0
    for _ in range(80):
        moment = session.step(int(rng.integers(4)))
        wrong += int((moment.twin != moment.real).sum())
        changed += int((before != moment.real).sum())
        exact += bool((moment.twin == moment.real).all())
        still += bool((before == moment.real).all())
        codes += int((moment.predicted == moment.actual).sum())
        before = moment.real
    rates = session.tally.rates()
    assert rates["code_accuracy"] == codes / (80 * CELLS)
    assert rates["wrong_pixels"] == wrong / 80
    assert rates["copy_last_wrong_pixels"] == changed / 80
    assert rates["exact_frames"] == exact / 80
    assert rates["copy_last_exact_frames"] == still / 80
    # A twin that says "nothing changes" is the copy-last-frame baseline and the majority code at once.
    assert rates["exact_frames"] == rates["copy_last_exact_frames"]
    assert rates["code_accuracy"] == rates["majority_code_accuracy"]
    assert rates["changed_pixels_right"] == 0


def test_recent_rates_forget_and_an_empty_tally_has_no_rates(make_twin: Any) -> None:
    session = session_of(make_twin)
    assert set(session.tally.rates().values()) == {None}
    for _ in range(session.steps(30) + 50):  # longer than the ring
        session.step(0)
    session.twin.mistakes = True
    for _ in range(5):
        session.step(0)
    assert session.tally.rates(5)["exact_frames"] == 0
    assert session.tally.rates()["exact_frames"] > 0.5


def test_put_back_on_reality_the_twin_is_told_what_no_frame_of_it_shows(make_twin: Any) -> None:
    session = session_of(make_twin)
    player = Autopilot("follow", 0)
    session.do("dream")
    told = set()
    for step in range(700):
        session.step(player.act(session) or 0)
        if step % 20 == 19 and session.objects.ball is not None:
            session.do("resync")
            told.add((session.twin.unseen.hits, int(session.emulator.ram()[107]) & 15))
            assert session.twin.unseen.knob == session.emulator.knob
    assert max(told)[0] >= 2
    assert sum(said == counted for said, counted in told) >= len(told) - 1


def test_the_twin_knows_the_knob_whatever_is_done() -> None:
    session = Session(WorldModel.untrained(2), Emulator(2))
    rng = np.random.default_rng(4)
    assert session.twin.unseen == (0, KNOB_CENTRE, 0)
    key, knobs = 0, set()
    for step in range(240):
        if step % 10 == 9:
            session.do(
                str(rng.choice(["dream", "resync", "fork", "rewind", "rewind", "restart"], p=[0.19] * 5 + [0.05]))
            )
        if rng.random() < 0.08:
            key = int(rng.choice([0, 2, 3]))
        session.step(key)
        knobs.add(session.emulator.knob)
        assert session.twin.unseen.knob == session._real_unseen().knob == session.emulator.knob
    assert {0, KNOB_END} <= knobs


def test_a_dream_without_an_emulator_begins_with_a_serve_and_a_resting_paddle() -> None:
    for frameskip in (1, 2, 4):
        twin = WorldModel.untrained(frameskip)
        Session(twin, None, start=load_start_frames(frameskip))
        assert twin.unseen == (0, KNOB_CENTRE, 1)


def test_one_step_history_is_real_and_a_dream_lives_on_itself(make_twin: Any) -> None:
    session = session_of(make_twin, mistakes=True)
    for _ in range(6):
        session.step(3)
    assert np.array_equal(session.twin.history[-1], session.emulator.frame)
    session.do("dream")
    moment = session.step(3)
    assert np.array_equal(session.twin.history[-1], moment.twin)
    for _ in range(5):
        session.step(3)
    assert session.drift.parted_at == 0, "a dream with 200 wrong pixels is not true to reality"
    assert [mark.what for mark in session.marks] == ["dream", "parted"]
    session.do("resync")
    assert session.dreaming
    assert session.since_real == 0
    assert np.array_equal(session.twin.history[-1], session.emulator.frame)


def test_tying_back_keeps_the_imagined_history_and_switching_does_not(make_twin: Any) -> None:
    for command, kept in (("fork", True), ("dream", False)):
        session = session_of(make_twin, mistakes=True)
        session.do(command)
        imagined = session.step(0).twin
        session.do(command)
        assert not session.dreaming
        assert np.array_equal(session.twin.history[-1], imagined) == kept


@pytest.mark.parametrize("dream", [False, True])
def test_rewinding_goes_two_seconds_back_on_both_sides(make_twin: Any, dream: bool) -> None:
    session = session_of(make_twin, mistakes=True)
    if dream:
        session.do("dream")
    rng = np.random.default_rng(0)
    frames, histories = [session.emulator.frame], [session.twin.history]
    actions = [int(a) for a in rng.integers(4, size=100)]
    for action in actions:
        session.step(action)
        frames.append(session.emulator.frame)
        histories.append(session.twin.history)
    session.do("rewind")
    assert np.array_equal(session.emulator.frame, frames[40])
    assert np.array_equal(session.twin.history, histories[40])
    assert np.array_equal(session.moment.real, frames[40])
    assert np.array_equal(session.moment.twin, histories[40][-1])
    for at in range(40, 100):  # the same keys again: the same game again
        assert np.array_equal(session.step(actions[at]).real, frames[at + 1])
    for _ in range(5):
        session.do("rewind")
    assert np.array_equal(session.emulator.frame, frames[0]), "further back than the beginning there is nothing"
    session.do("rewind")
    session.step(0)


def test_rewinding_into_a_dream_while_fed_reality_leaves_no_imagined_frame(make_twin: Any) -> None:
    session = session_of(make_twin, mistakes=True)
    session.do("dream")
    for _ in range(40):
        session.step(2)
    session.do("dream")
    for _ in range(30):
        session.step(2)
    session.do("rewind")
    assert np.array_equal(session.twin.history[-1], session.emulator.frame)


def test_a_saved_session_replays_to_the_same_pixels(make_twin: Any, tmp_path: Path) -> None:
    session = session_of(make_twin, mistakes=True)
    player = Autopilot("random", 3)
    rng = np.random.default_rng(5)
    for _ in range(400):
        if rng.random() < 0.1:
            session.do(str(rng.choice(["dream", "resync", "controller", "restart", "fork", "rewind"])))
        session.step(player.act(session))
    path = tmp_path / "s.json"
    save_session(path, session, 0, "context", False)
    assert path.stat().st_size < 10_000
    saved = load_session(path)
    again = session_of(make_twin, mistakes=True)
    replay = Replay(saved.actions, saved.commands)
    while (action := replay.act(again)) is not None:
        again.step(action)
    assert again.digests() == session.digests() == saved.digests
    assert again.actions == session.actions


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"schema": 1', '"schema": 2', "newer"),
        ("neural-breakout session", "a letter", "not a session"),
        ('"actions": "', '"actions": "7', "digits 0..3"),
        ('"seed": 0', '"seed": -1', "out of range"),
        ('"commands": []', '"commands": [[99, "dream"]]', "order of the steps"),
        ('"commands": []', '"commands": [[0, "rm"]]', "not a command"),
        ('"dream": false', '"dream": 1', "dream is missing"),
        ("{", "", "cannot be read"),
    ],
)
def test_foreign_session_files_are_refused(make_twin: Any, tmp_path: Path, old: str, new: str, says: str) -> None:
    session = session_of(make_twin)
    session.step(1)
    path = tmp_path / "s.json"
    save_session(path, session, 0, "context", False)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(FileError, match=says):
        load_session(path)


def test_without_an_emulator_the_twin_dreams_alone(make_twin: Any) -> None:
    start = np.stack([Emulator(2).frame] * 4)
    session = Session(make_twin(mistakes=True), None, start=start)
    moment = session.step(2)
    assert moment.real is None
    assert session.dreaming
    for command in ("dream", "fork", "resync", "rewind", "restart"):
        session.do(command)
        assert session.dreaming
        session.step(1)
    assert session.report()["code_accuracy"] is None


def test_wrong_input_is_named(make_twin: Any) -> None:
    session = session_of(make_twin)
    with pytest.raises(ValueError, match=r"action must be 0\.\.3, got 4"):
        session.step(4)
    with pytest.raises(ValueError, match="command must be one of"):
        session.do("jump")
    with pytest.raises(ValueError, match="frame skip is 3"):
        Session(make_twin(), Emulator(3))


def test_memory_does_not_grow_with_the_steps(make_twin: Any) -> None:
    import tracemalloc

    session = session_of(make_twin)
    for _ in range(session.steps(35)):
        session.step(1)
    tracemalloc.start()
    for _ in range(2 * session.steps(12)):  # the rewind ring turns over, twice
        session.step(1)
    first = tracemalloc.get_traced_memory()[0]
    for _ in range(session.steps(20)):
        session.step(1)
    grown = tracemalloc.get_traced_memory()[0] - first
    tracemalloc.stop()
    assert grown < 200_000


def test_what_rewinding_needs_is_kept_small(make_twin: Any) -> None:
    import tracemalloc

    session = session_of(make_twin, mistakes=True)
    session.do("dream")
    tracemalloc.start()
    first = tracemalloc.get_traced_memory()[0]
    for number in range(session.steps(13)):
        session.step(number % 4)
    grown = tracemalloc.get_traced_memory()[0] - first
    tracemalloc.stop()
    assert grown < 3_000_000, "frames and screens as they are would be 36 MB"


def test_a_serve_is_drawn_in_a_dream_and_nothing_else_is(make_twin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = make_twin()
    session = Session(twin, Emulator(2))
    asked: list[tuple[int, float]] = []
    plain = twin.step_classes

    def step_classes(action: int, temperature: float = 0.0) -> Any:
        asked.append((action, temperature))
        return plain(action, temperature)

    monkeypatch.setattr(twin, "step_classes", step_classes)
    session.step(1)
    assert asked == []  # shown every real frame, there is nothing to draw
    session.do("dream")
    for action in (0, 1, 2, 3):
        session.step(action)
    assert [action for action, temperature in asked if temperature > 0] == [1]
