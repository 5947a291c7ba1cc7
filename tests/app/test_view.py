"""What the window says, and that it says it at every size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pygame
import pytest

from app import style
from app.clock import Clock
from app.keys import load_keys
from app.overlay import Painter
from app.pace import everything
from app.session import Session
from app.view import PART, Choices, Timeline, View, help_lines, make_view
from collect.emulator import Emulator


class Ticking:
    """A time source that a step makes `cost` seconds later."""

    def __init__(self, cost: float) -> None:
        self.now, self.cost = 0.0, cost

    def __call__(self) -> float:
        self.now += self.cost / 2
        return self.now


@pytest.fixture
def session(make_twin: Any) -> Session:
    session = Session(make_twin(mistakes=True), Emulator(2))
    for number in range(40):
        session.step(number % 4)
    return session


@pytest.fixture
def painter() -> Iterator[Painter]:
    pygame.font.init()
    yield Painter()
    style.forget_fonts()
    pygame.quit()


def test_score_and_lives_of_both_sides_are_said(session: Session) -> None:
    view = make_view(session, Clock(30), Choices())
    objects = session.objects
    assert objects is not None
    says = f"score {objects.score:03d}   lives {objects.lives}"
    assert view.real_note == says
    assert view.twin_note.startswith(says)
    session.moment = replace(session.moment, twin=np.zeros((210, 160), np.uint8))
    assert make_view(session, Clock(30), Choices()).twin_note.startswith(f"score ---   lives -{PART}")


def test_a_dream_says_when_it_parted_and_how_long_the_best_was(make_twin: Any) -> None:
    session = Session(make_twin(), Emulator(2))
    for _ in range(3):
        session.step(0)
    session.do("dream")
    for _ in range(6):
        session.step(0)  # nothing moves before the serve, and the twin says so
    session.twin.mistakes = True
    for _ in range(6):
        session.step(0)
    view = make_view(session, Clock(30), Choices())
    assert session.drift.parted_at is not None
    assert f"parted at {session.drift.parted_at / 30:.1f} s" in view.twin_note
    assert session.drift.longest >= 6
    assert f"longest true dream {session.drift.longest / 30:.1f} s" in view.facts[1]
    assert view.timeline is not None
    assert [what for _, what in view.timeline.marks][-2:] == ["dream", "parted"]


def test_a_machine_that_is_too_slow_is_told_what_to_switch_off(session: Session) -> None:
    slow, fast = Clock(30, now=Ticking(0.05)), Clock(30, now=Ticking(0.0001))
    for clock in (slow, fast):
        for _ in range(100):
            clock.begin()
            clock.end()
    assert "switch off F and X and G" in make_view(session, slow, everything()).warning
    assert "smaller" in make_view(session, slow, Choices()).warning
    assert make_view(session, fast, everything()).warning == ""


@pytest.mark.parametrize(
    "size", [(1, 1), (240, 160), (320, 900), (640, 400), (700, 1000), (1344, 772), (1920, 1080), (3840, 2160)]
)
def test_everything_is_drawn_at_every_size(session: Session, painter: Painter, size: tuple[int, int]) -> None:
    keys = load_keys()
    plain = make_view(session, Clock(30), Choices())
    full = make_view(session, Clock(30), everything(), toast="a line that says something")
    alone = replace(full, real=None, real_note="", table=[], facts=[], timeline=None)
    pictures = []
    views: list[View] = [plain, full, alone, replace(full, message=("game over", "Enter starts a new one"))]
    views += [replace(full, help=help_lines(keys), warning="this machine is too slow"), replace(plain, grid=1)]
    for view in views:
        surface = pygame.Surface(size)
        painter.paint(surface, view)
        pictures.append(pygame.surfarray.array3d(surface))
    if size != (1, 1):
        assert len({picture.tobytes() for picture in pictures}) == len(views)


def drawn(painter: Painter, view: View, size: tuple[int, int] = (1344, 772)) -> Any:
    """(width, height, 3) uint8: the view in a window of this size."""
    surface = pygame.Surface(size)
    painter.paint(surface, view)
    return pygame.surfarray.array3d(surface)


@pytest.mark.parametrize("width", [640, 900, 1344])
def test_a_warning_leaves_the_way_to_the_keys_readable(session: Session, painter: Painter, width: int) -> None:
    view = replace(make_view(session, Clock(30), Choices()), footer="key noop   17.0 of 30 steps/s   57.3 ms")
    warned = replace(view, warning="this machine is too slow for true pace: switch off F and X and G")
    differs = (drawn(painter, warned, (width, 480)) != drawn(painter, view, (width, 480))).any(-1).any(1)
    assert differs.any()
    assert np.flatnonzero(differs)[-1] < width - 14 - 6 * 7, "what H does stands there"


def test_a_long_toast_is_small_in_a_small_window(session: Session, painter: Painter) -> None:
    view = make_view(session, Clock(30), Choices())
    told = replace(view, toast="recording breakout-20260101-120000.gif; the key again ends it")
    differs = (drawn(painter, told, (480, 360)) != drawn(painter, view, (480, 360))).any(-1).any(1)
    assert not differs[:4].any()
    assert not differs[-4:].any()


def test_the_grid_marks_a_cell_that_is_wrong_and_no_other(session: Session, painter: Painter) -> None:
    right = np.ones(35, np.int64)
    view = replace(make_view(session, Clock(30), Choices(grid=1)), codes=(right, right))
    quiet, corners = drawn(painter, view), []
    for cell in (0, 17):
        wrong = right.copy()
        wrong[cell] = 2
        differs = (drawn(painter, replace(view, codes=(wrong, right))) != quiet).any(-1)
        xs, ys = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
        assert (np.ptp(xs) + 1, np.ptp(ys) + 1) == (128, 60)
        corners.append((xs[0], ys[0]))
    assert corners[1] == (corners[0][0] + 2 * 128, corners[0][1] + 3 * 60), "cell 17 is column 2, row 3"


def test_of_the_four_futures_the_held_one_is_framed(session: Session, painter: Painter) -> None:
    view, lefts = make_view(session, Clock(30), Choices(futures=True)), []
    for action in range(4):
        framed = (drawn(painter, replace(view, action=action)) == style.TWIN).all(-1).sum(1) >= 100
        lefts.append(np.flatnonzero(framed)[0])
        assert framed.sum() == 4, "two sides, two pixels each"
    assert np.unique(np.diff(lefts)).size == 1
    assert lefts[1] > lefts[0]


def test_the_timeline_marks_what_happened(make_twin: Any) -> None:
    session = Session(make_twin(), Emulator(2))
    while session.objects and session.objects.lives == 5:
        session.step(1)
    for command in ("resync", "controller", "fork", "fork", "rewind", "restart"):
        session.step(0)
        session.do(command)
    session.step(0)
    timeline = make_view(session, Clock(30), Choices()).timeline
    assert timeline is not None
    names = ["life", "resync", "controller", "cut", "tied", "rewind", "restart"]
    assert timeline.marks == [(7 - number, what) for number, what in enumerate(names)]


def test_a_single_bad_step_shows_on_the_timeline(session: Session, painter: Painter) -> None:
    """Three steps and more share a column of pixels."""
    view = make_view(session, Clock(60), Choices())
    good = Timeline(1800, np.full(1800, 35), np.zeros(1800, np.int64), [])
    before = drawn(painter, replace(view, timeline=good))
    for at in (0, 7, 100, 101, 102, 1799):
        codes, wrong = good.codes.copy(), good.wrong.copy()
        codes[at], wrong[at] = 30, 34
        differs = (drawn(painter, replace(view, timeline=Timeline(1800, codes, wrong, []))) != before).any(-1)
        assert 1 <= differs.any(1).sum() <= 3, "columns"
        assert differs.any(0).sum() > 20, "rows"


def test_words_grow_with_the_window(session: Session, painter: Painter) -> None:
    heights = []
    for size in ((1344, 772), (2688, 1544)):
        painter.paint(pygame.Surface(size), make_view(session, Clock(30), Choices()))
        heights.append(painter._text("words", 15, (255, 255, 255)).get_height())
    assert heights[1] == pytest.approx(2 * heights[0], abs=2)
