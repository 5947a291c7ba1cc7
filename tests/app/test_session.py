"""The lock-step: what is compared, what a dream is, and that the same commands give the same pixels."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.players import Autopilot, Scripted, load_session, report, save_session
from app.session import COMMANDS, Session
from collect.emulator import Emulator
from model.breakout import CELLS
from model.engine import Engine
from model.env import reset_state
from model.files import FileError
from model.metrics import PARTED_STEPS
from tests.app.conftest import alone


@cache
def shared_emulator() -> Emulator:
    """Sessions follow one another in a test: each begins by resetting it."""
    return Emulator(2)


def session_of(make_engine: Any, dream: bool = False, **options: Any) -> Session:
    return Session(make_engine(**options), shared_emulator(), dream)


def play(session: Session, steps: int, seed: int = 0, name: str = "follow") -> None:
    player = Autopilot(name, seed)
    for _ in range(steps):
        session.step(player.act(session) or 0)


def test_scores_equal_a_recount_from_the_frames(make_engine: Any) -> None:
    session = session_of(make_engine, still=True)
    before, there = session.emulator.frame, session.objects
    rng = np.random.default_rng(1)
    wrong, changed, exact, still, codes, played = [], [], [], [], [], []
    for number in range(80):
        moment = session.step(int(rng.integers(4)) if number > 20 else 0)
        wrong.append((moment.twin != moment.real).sum())
        changed.append((before != moment.real).sum())
        exact.append((moment.twin == moment.real).all())
        still.append((before == moment.real).all())
        codes.append((moment.predicted == moment.actual).sum())
        played.append(there.ball is not None or session.objects.ball is not None)
        before, there = moment.real, session.objects
    rates, those = session.tally.rates(in_play=True), np.array(played)
    assert 0 < session.played == those.sum() < 80
    assert rates["code_accuracy"] == np.array(codes)[those].sum() / (those.sum() * CELLS)
    assert rates["wrong_pixels"] == np.array(wrong)[those].mean()
    assert rates["copy_last_wrong_pixels"] == np.array(changed)[those].mean()
    assert rates["exact_frames"] == np.array(exact)[those].mean()
    assert session.tally.rates()["exact_frames"] == np.mean(exact)
    # A twin that says "nothing changes" is the copy-last-frame baseline and the majority code at once.
    assert rates["exact_frames"] == rates["copy_last_exact_frames"]
    assert rates["code_accuracy"] == rates["majority_code_accuracy"]
    assert rates["changed_pixels_right"] == 0


def test_standing_still_scores_nothing(make_engine: Any) -> None:
    for dream in (False, True):
        session = session_of(make_engine, dream)
        for _ in range(200):
            session.step(0)
        assert (session.exact_now, session.exact_longest, session.longest_true, session.played) == (0, 0, 0, 0)
        assert set(session.tally.rates(in_play=True).values()) == {None}
        assert session.tally.steps == 200
        play(session, 100)
        assert session.exact_longest == session.played > 80
        assert (session.longest_true > 80) == dream


def test_a_step_enters_the_engine_three_times_dreaming_or_not(make_engine: Any) -> None:
    session = session_of(make_engine)
    calls = session.engine.calls
    for rows in (1, 2):
        calls.clear()
        session.step(1)
        assert sorted(calls) == [("advance", rows), ("encode", 1), ("predict", rows)]
        assert [call for call in calls if call[0] != "encode"] == [("predict", rows), ("advance", rows)]
        session.do("dream")


def test_following_sees_reality_and_a_dream_lives_on_itself(make_engine: Any) -> None:
    session = session_of(make_engine, mistakes=True)
    for _ in range(6):
        session.step(3)
    assert np.array_equal(session.twin.frame[0], session.emulator.frame)
    assert session.do("dream") == "dreaming from here"
    moment = session.step(3)
    assert np.array_equal(session.twin.frame[0], moment.twin)
    assert np.array_equal(session.reality.frame[0], moment.real), "it looks on, so that coming back is free"
    for _ in range(5):
        session.step(3)
    assert session.parted_at == 0.0, "a dream with 200 wrong pixels is not true to reality"
    assert [what for _, what in session.marks] == ["dream", "parted"]
    assert session.do("resync") == "back on reality after 0.2 s, parted after 0.0 s; dreaming on"
    assert session.dreaming
    assert session.since_real == 0
    assert np.array_equal(session.twin.frame[0], session.emulator.frame)
    assert session.do("dream").startswith("following reality again")
    assert not session.dreaming
    assert session.do("resync") == "the twin follows reality already"


def test_a_dream_says_when_it_parted(make_engine: Any) -> None:
    session = session_of(make_engine)
    play(session, 20)
    session.do("dream")
    play(session, 60)
    assert session.parted_at is None
    session.engine.mistakes = True
    play(session, PARTED_STEPS + 4)
    assert session.parted_at == pytest.approx(2.0)
    assert session.longest_true == 60
    assert session.do("dream") == "following reality again after 2.2 s, parted after 2.0 s"


@pytest.mark.parametrize("dream", [False, True])
def test_rewinding_goes_two_seconds_back_on_both_sides(make_engine: Any, dream: bool) -> None:
    session = session_of(make_engine, dream)
    rng = np.random.default_rng(0)
    frames, twins = [session.emulator.frame], [session.twin.frame[0]]
    actions = [int(a) for a in rng.integers(4, size=100)]
    for action in actions:
        session.step(action)
        frames.append(session.emulator.frame)
        twins.append(session.twin.frame[0])
    assert session.do("rewind").startswith("2.0 s back")
    assert np.array_equal(session.emulator.frame, frames[40])
    assert np.array_equal(session.twin.frame[0], twins[40])
    assert np.array_equal(session.moment.real, frames[40])
    assert np.array_equal(session.moment.twin, twins[40])
    for at in range(40, 100):  # the same keys again: the same game again
        assert np.array_equal(session.step(actions[at]).real, frames[at + 1])
    for _ in range(5):
        session.do("rewind")
    assert np.array_equal(session.emulator.frame, frames[0]), "further back than the beginning there is nothing"
    session.do("rewind")
    session.step(0)


def test_rewinding_brings_back_the_mode_and_the_figures_of_then(make_engine: Any) -> None:
    session = session_of(make_engine)
    play(session, 30)
    session.do("dream")
    session.engine.mistakes = True
    play(session, 60)
    session.engine.mistakes = False
    since, at = session.since_real, session.parted_at
    session.do("dream")
    play(session, 30)
    assert session.do("rewind") == "2.0 s back: in the dream"
    assert session.dreaming
    assert session.since_real == since - 30
    assert session.parted_at == at == 0.0
    session.do("rewind")
    assert not session.dreaming, "that far back it followed"
    assert session.parted_at is None


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.sampled_from(COMMANDS), st.integers(0, 3)), max_size=30))
def test_any_session_replays_to_the_same_pixels(make_engine: Any, tmp_path: Path, script: list[str | int]) -> None:
    session = session_of(make_engine)
    for entry in script:
        if isinstance(entry, str):
            assert session.do(entry)
        else:
            for _ in range(7):
                session.step(entry)
    path = tmp_path / "s.json"
    save_session(path, session, 0, "context", False)
    saved = load_session(path)
    again = session_of(make_engine)
    replay = Scripted(bytes(map(int, saved.actions)), saved.commands)
    while (action := replay.act(again)) is not None:
        again.step(action)
    assert list(again.digests()) == list(session.digests()) == saved.digests
    assert again.actions == session.actions
    assert again.dreaming == session.dreaming
    assert report(again) == report(session)


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
def test_foreign_session_files_are_refused(make_engine: Any, tmp_path: Path, old: str, new: str, says: str) -> None:
    session = session_of(make_engine)
    session.step(1)
    path = tmp_path / "s.json"
    save_session(path, session, 0, "context", False)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(FileError, match=says):
        load_session(path)


def test_without_an_emulator_the_twin_dreams_alone(make_engine: Any) -> None:
    session = alone(make_engine())
    moment = session.step(2)
    assert moment.real is None
    assert session.dreaming
    for command in COMMANDS:
        assert session.do(command)
        assert session.dreaming
        session.step(1)
    assert session.do("dream") == "there is no real game to go back to"
    assert report(session)["code_accuracy"] is None


def test_alone_a_game_ends_when_the_last_ball_is_lost(make_engine: Any) -> None:
    for least in (0, 1):  # a twin that draws no lives, and one that never does, as no real frame shows that
        session = alone(make_engine(least_lives=least))
        lives = set()
        for _ in range(4000):
            session.step(1 if session.twin_ball is None and session.waiting % 8 == 7 else 3)
            lives.add(session.twin_board[1])
            if session.over:
                break
        assert session.over
        assert lives == set(range(least, 6))
        session.do("restart")
        assert not session.over


def test_the_autopilot_looks_after_a_dream_without_a_real_game(make_engine: Any) -> None:
    session = alone(make_engine(frameskip=1))
    play(session, 1500, seed=1)
    assert session.twin_board[1] == 5
    assert session.twin_board[0] >= 5


def test_the_autopilot_serves_whichever_side_waits(make_engine: Any) -> None:
    session = session_of(make_engine)
    session.do("dream")
    player = Autopilot("follow", 0)
    served = [0, 0]
    for _ in range(600):
        waiting = session.twin_ball is None, session.objects.ball is None
        session.step(player.act(session) or 0)
        served[0] += waiting[0] and session.twin_ball is not None
        served[1] += waiting[1] and session.objects.ball is not None
    assert min(served) >= 1


@pytest.mark.slow
def test_what_rewinding_needs_is_kept_small(make_engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc

    engine = make_engine()
    session = Session(engine, Emulator(2), dream=True)
    for number in range(session.steps(15)):  # the rings have turned over
        session.step(number % 4)
    engine._kept.clear()
    tracemalloc.start()
    kept = session.steps(12)
    before = tracemalloc.get_traced_memory()[0]
    for number in range(kept):
        engine._kept.clear()
        session.reality = session.twin = engine.begin(session.emulator.frame[None, None])
        session.step(number % 4)
    engine._kept.clear()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 12_000_000, "every step of twelve seconds as it is would be 60 MB at this frame skip"


def test_a_new_game_begins_with_all_that_is_known_of_one(make_engine: Any) -> None:
    engine = make_engine()
    session = session_of(make_engine)
    opening = session.twin
    assert np.array_equal(opening.frame, reset_state(engine).frame)
    play(session, 50)
    session.do("restart")
    assert session.reality is session.twin is opening


@pytest.mark.slow
@pytest.mark.parametrize("dream", [False, True])
def test_from_the_key_alone_reality_is_remembered_as_ever(dream: bool) -> None:
    """What the key alone draws knows of no ball, and must not mislead the twin that sees the real game."""
    engine = Engine.load()
    sessions = [Session(engine, Emulator(1), dream, controller) for controller in ("context", "action")]
    player = Autopilot("random", 0)
    for _ in range(200):
        action = player.act(sessions[0])
        for session in sessions:
            session.step(action)
        known, alone_known = (session.reality for session in sessions)
        assert np.array_equal(known.objects, alone_known.objects)
        assert np.array_equal(known.memory, alone_known.memory)
