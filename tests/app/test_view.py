"""What the window says, and where it puts it: sizes, hints, and what a small window leaves out last."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pygame
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import style
from app.clock import Clock
from app.draw import Painter, difference, scaled
from app.keys import load_keys
from app.players import Autopilot
from app.session import Futures, Session
from app.style import arrange, panel_size
from app.view import Choices, View, bottom_line, help_lines, make_view, ram_says, remembered
from collect.emulator import Emulator
from model.breakout import COLUMNS, PALETTE, ROWS
from model.state import VARIABLES
from tests.app.conftest import alone

KEYS = load_keys()


@pytest.fixture(scope="module", autouse=True)
def _fonts() -> Any:
    pygame.font.init()
    yield
    style.forget_fonts()
    pygame.font.quit()


def session_of(make_engine: Any, steps: int = 60, **options: Any) -> Session:
    session = Session(make_engine(**options), Emulator(2))
    player = Autopilot("follow", 0)
    for _ in range(steps):
        session.step(player.act(session) or 0)
    return session


def view_of(session: Session, **choices: Any) -> View:
    return make_view(session, Clock(session.steps_per_second), Choices(**choices), KEYS)


def painted(view: View, width: int, height: int) -> tuple[Painter, pygame.Surface]:
    painter, surface = Painter(), pygame.Surface((width, height), 0, 32)
    painter.paint(surface, view)
    return painter, surface


def words(view: View, width: int, height: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that was written and blitted whole into a window of that size."""
    written: dict[int, str] = {}
    seen: list[str] = []
    plain = style.text

    def text(what: str, size: int, colour: Any) -> pygame.Surface:
        picture = plain(what, size, colour)
        written[id(picture)] = what
        return picture

    class Surface(pygame.Surface):
        def blit(self, source: Any, dest: Any, *rest: Any) -> Any:
            left = dest[0]
            if id(source) in written and left >= 0 and left + source.get_width() <= width:
                seen.append(written[id(source)])
            return super().blit(source, dest, *rest)

    monkeypatch.setattr(style, "text", text)
    Painter().paint(Surface((width, height), 0, 32), view)
    return seen


@given(st.integers(1, 2600), st.integers(1, 1600))
def test_a_panel_fills_its_box_or_is_sharp(width: int, height: int) -> None:
    across, down = panel_size(width, height)
    assert 1 <= across <= max(1, width)
    assert 1 <= down <= max(1, height)
    largest = min(width, height * 4 / 3) * min(width * 3 / 4, height)
    if largest > 400:
        assert across * down >= 0.8 * largest
        assert 0.8 < across / down / (4 / 3) < 1.25


@given(st.integers(240, 2600), st.integers(160, 1600), st.integers(1, 2), st.booleans(), st.booleans())
def test_nothing_lies_over_another_or_outside(width: int, height: int, panels: int, large: bool, info: bool) -> None:
    places = arrange(width, height, panels, large, info)
    rects = [rect for rect in (places.twin, places.real, *places.info) if rect is not None]
    assert len(rects) == panels + len(places.info)
    for number, rect in enumerate(rects):
        assert pygame.Rect(0, 0, width, height).contains(rect)
        assert rect.collidelist(rects[number + 1 :]) == -1
    if large and panels == 2 and places.roomy:
        assert places.twin.width > places.real.width


def test_the_panels_grow_with_the_window() -> None:
    usual, full = arrange(1344, 772, 2), arrange(1600, 1000, 2)
    assert usual.twin.size == (640, 420)
    assert full.twin.width > 740
    assert arrange(1920, 1080, 2).twin.width > 900
    assert arrange(1800, 500, 2).info, "a wide window has the table beside the panels"
    assert arrange(600, 900, 2).twin.width > 550, "in a high one they are stacked"
    assert arrange(1344, 772, 2, large=True).twin.width > 740


def test_whole_multiples_are_exact_and_others_smooth(make_engine: Any) -> None:
    frame = session_of(make_engine).moment.twin
    exact = pygame.surfarray.array3d(scaled(frame, (480, 420)))
    assert np.array_equal(exact[1::3, 1::2], PALETTE[frame].swapaxes(0, 1))
    smooth = pygame.surfarray.array3d(scaled(frame, (500, 375)))
    assert smooth.shape == (500, 375, 3)
    assert abs(smooth.mean() - exact.mean()) < 2


@pytest.mark.parametrize("size", [(240, 160), (320, 240), (400, 300), (640, 400), (640, 480), (1344, 772), (1800, 500)])
@pytest.mark.parametrize("parted", [False, True])
def test_accuracy_and_mode_are_the_last_to_go(
    make_engine: Any, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], parted: bool
) -> None:
    session = session_of(make_engine)
    if parted:
        session.do("dream")
        session.engine.mistakes = True
        for _ in range(6):
            session.step(0)
    written = words(view_of(session), *size, monkeypatch)
    mode, figure = ("parted from reality after 0.0 s", "px wrong") if parted else ("follows reality", "exact")
    assert any(mode in line for line in written), written
    assert any(figure in line or "exact frames" in line for line in written), written


def test_a_side_without_a_ball_says_that_space_serves(make_engine: Any) -> None:
    session = session_of(make_engine, 0)
    for _ in range(20):
        session.step(0)
    view = view_of(session)
    assert view.strips == ("no ball: Space serves",)
    assert view.real_strip == "no ball: Space serves"
    session = session_of(make_engine)
    assert view_of(session).strips == ()
    assert view_of(session).real_strip == ""


def test_an_exact_frame_says_that_nothing_is_wrong(make_engine: Any) -> None:
    session = session_of(make_engine)
    assert any("nothing is wrong" in strip for strip in view_of(session, difference=True).strips)
    session.engine.mistakes = True
    session.step(0)
    assert view_of(session, difference=True).strips == ()


def test_the_bottom_line_and_the_help_follow_the_mode(make_engine: Any) -> None:
    assert bottom_line(KEYS, False) == "Space serves   Tab dreams   M machine plays   H keys"
    assert bottom_line(KEYS, True) == "Space serves   M machine plays   H keys"
    session = alone(make_engine())
    assert view_of(session).mode == "dreams alone, 0.0 s"
    assert view_of(session, difference=True).strips == ()


@pytest.mark.parametrize("size", [(300, 320), (400, 600), (470, 772), (480, 360), (640, 480), (1344, 772)])
def test_the_help_names_every_key(make_engine: Any, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = help_lines(KEYS, False)
    seen = words(replace(view_of(session_of(make_engine)), help=lines), *size, monkeypatch)
    assert {word for line in lines for word in line} <= set(seen)


def test_the_controllers_name_stays_in_a_parted_dream(make_engine: Any) -> None:
    session = session_of(make_engine)
    session.do("dream")
    session.engine.mistakes = True
    for _ in range(6):
        session.step(0)
    assert session.do("controller") == "codes from the key alone"
    assert view_of(session).mode.endswith("from the key alone")
    assert "parted" in view_of(session).mode


def test_memory_stands_beside_what_the_real_game_holds(make_engine: Any) -> None:
    session = session_of(make_engine, 300)
    lines = {line.name: line for line in remembered(session)}
    assert len(lines) == len(VARIABLES)
    assert lines["knob"].certainty == 0.5
    assert lines["knob"].right, "RAM does not tell"
    assert not lines["hits"].right
    assert lines["hits"].value == "not known"
    assert 0 < int(lines["hits"].real) <= 12


def test_ram_is_told_in_the_words_of_the_memory() -> None:
    emulator, classes = Emulator(1), {variable.name: variable.classes for variable in VARIABLES}
    rng = np.random.default_rng(0)
    told: dict[str, set[str]] = {}
    for _ in range(1500):
        emulator.step(int(rng.integers(4)))
        for name, value in ram_says(emulator.ram()).items():
            told.setdefault(name, set()).add(value)
    for name, values in told.items():
        assert values <= {*classes[name], ""}, name
    assert len(told["speed"]) >= 3


def test_every_view_paints_at_every_size(make_engine: Any) -> None:
    from app.session import Futures

    session, futures = session_of(make_engine), Futures()
    futures.finish(session)
    session.do("dream")
    session.engine.mistakes = True
    for _ in range(5):
        session.step(0)
    choices = Choices(grid=2, difference=True, futures=True, memory=True)
    view = make_view(session, Clock(30), choices, KEYS, futures.ahead)
    more = {
        "toast": "something has happened",
        "caption": ("a dream", "one line\nanother"),
        "warning": "slow: switch off F",
        "message": ("paused", "P plays on"),
        "recording": True,
    }
    for size in ((240, 160), (333, 222), (640, 400), (700, 900), (1000, 700), (1800, 500), (1920, 1080)):
        for large in (False, True):
            for single in (False, True):
                shown = replace(view, large=large, **({"real": None, "difference": False} if single else {}))
                _, plain = painted(shown, *size)
                _, full = painted(replace(shown, **more, help=help_lines(KEYS, single)), *size)
                assert (pygame.surfarray.array3d(plain) != pygame.surfarray.array3d(full)).any()


@pytest.mark.parametrize("size", [(640, 480), (700, 700), (760, 640), (1000, 700), (1344, 772)])
def test_no_words_lie_over_others(make_engine: Any, size: tuple[int, int]) -> None:
    boxes: list[pygame.Rect] = []

    class Surface(pygame.Surface):
        def blit(self, source: Any, dest: Any, *rest: Any) -> Any:
            if isinstance(dest, pygame.Rect) and source.get_height() < 30:
                boxes.append(dest.inflate(-2, -4))
            return super().blit(source, dest, *rest)

    view = view_of(session_of(make_engine), large=True, memory=True)
    view.table[1:3] = [
        (name, "35/35", "100.0%", "100.0%", "94.4% majority code") for name in ("codes right", "changed cells")
    ]
    Painter().paint(Surface(size, 0, 32), view)
    assert len(boxes) > 30
    assert [box for number, box in enumerate(boxes) if box.collidelist(boxes[number + 1 :]) >= 0] == []


def test_the_difference_marks_each_wrong_pixel_by_its_kind() -> None:
    real, twin = np.zeros((ROWS, COLUMNS), np.uint8), np.zeros((ROWS, COLUMNS), np.uint8)
    real[0, 0], twin[0, 1], real[0, 2], twin[0, 2] = 5, 5, 5, 3
    shown, wrong = difference(real, twin)
    assert wrong
    assert not difference(real, real)[1]
    assert len({int(shown[0, column]) for column in range(4)}) == 4
    assert len(np.unique(shown[1:])) == 1


def test_the_mark_of_a_recording_stays(make_engine: Any) -> None:
    view = view_of(session_of(make_engine))
    for size in ((1344, 772), (640, 400)):
        painter, marked = painted(replace(view, recording=True), *size)
        _, plain = painted(view, *size)
        differs = (pygame.surfarray.array3d(marked) != pygame.surfarray.array3d(plain)).any(2)
        assert differs.any()
        xs, ys = np.nonzero(differs)
        assert painter.places.real.contains(pygame.Rect(xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1))


def test_codes_are_spelled_in_words_and_in_numbers_where_there_is_no_room(make_engine: Any) -> None:
    session = session_of(make_engine)
    while (session.moment.predicted > 0).sum() < 2:
        session.step(2)
    view = view_of(session, grid=2)
    assert view.says == session.engine.says

    def shown(says: Any, size: tuple[int, int]) -> np.ndarray:
        return pygame.surfarray.array3d(painted(replace(view, says=says), *size)[1])

    numbers, endless = tuple(map(str, range(256))), tuple("x" * 99 for _ in range(256))
    for size in ((1344, 772), (900, 640)):
        assert np.array_equal(shown(endless, size), shown(numbers, size))
        assert not np.array_equal(shown(view.says, size), shown(numbers, size))
        assert not np.array_equal(shown(numbers, size), shown((), size))
        assert np.array_equal(shown((), size), pygame.surfarray.array3d(painted(view_of(session, grid=1), *size)[1]))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1344, 772), (1000, 700), (640, 400), (300, 200), (1900, 1050), (700, 900)])
def test_a_window_that_keeps_its_picture_shows_what_a_new_one_does(make_engine: Any, size: tuple[int, int]) -> None:
    session, futures, painter = session_of(make_engine, 20), Futures(), Painter()
    kept, clock = pygame.Surface(size, 0, 32), Clock(session.steps_per_second)
    choices = Choices()
    changes: dict[int, Any] = {
        6: {"grid": 1}, 12: {"grid": 2, "difference": True}, 22: {"futures": True, "memory": True}, 40: {"grid": 0},
        50: {"large": True}, 60: {"difference": False, "futures": False}, 70: {"paused": True}, 73: {"paused": False},
        80: {"large": False, "memory": False},
    }  # fmt: skip
    for step in range(110):
        if step in (15, 45, 90):
            session.do("dream")
        choices = replace(choices, **changes.get(step, {}))
        clock.begin()
        session.step((1, 3, 3, 2, 2, 0)[step % 6])
        clock.end()
        futures.finish(session)
        view = make_view(session, clock, choices, KEYS, futures.ahead if step % 3 else None)
        view.recording, view.toast = step % 40 > 30, "saved" if step in (30, 31, 85) else ""
        view.tick = step, 0  # else memory and timeline are drawn ten times a second
        painter.paint(kept, view)
        afresh = painted(view, *size)[1]
        differ = (pygame.surfarray.pixels2d(kept) != pygame.surfarray.pixels2d(afresh)).nonzero()
        assert not len(differ[0]), (step, *(f"{part.min()}..{part.max()}" for part in differ))
