"""What is drawn beside the panels: the table, the timeline, the futures, the memory. And how words are put anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pygame
from pygame import Rect

from app import style
from app.futures import Ahead
from app.style import LINE, MARKS, QUIET, RAISED, REAL, TELEVISION, TEXT, TONES, TWIN, WARN
from app.view import PART, Remembered, Timeline, View
from model.breakout import ACTIONS, CELLS, COLUMNS, PALETTE, ROWS, Action, Frame
from model.state import VARIABLES

_ROW, NOT_KNOWN = 22, VARIABLES[0].classes[0]


class Charts:
    """Draws onto the surface that `begin` was given; lengths in the usual window grow with the unit."""

    surface: pygame.Surface
    _made: tuple[Ahead, tuple[int, int], list[pygame.Surface]] | None = None

    def begin(self, surface: pygame.Surface, unit: float) -> None:
        """Draw onto `surface` from now on, words and margins `unit` times as large as in the usual window."""
        self.surface, self._unit = surface, unit

    def u(self, length: float) -> int:
        """A length in the usual window, in this one."""
        return round(length * self._unit)

    def picture(self, words: str, size: int, colour: style.Colour) -> pygame.Surface:
        """Words as a picture, of a size in the usual window."""
        return style.text(words, self.u(size), colour)

    def fitting(
        self, words: Iterable[str], sizes: Iterable[int], room: int, colour: style.Colour
    ) -> pygame.Surface | None:
        """The first of several wordings, at the first of the sizes, that is no wider than `room`; None if none is."""
        sizes = tuple(sizes)
        tried = (self.picture(wording, size, colour) for wording in words if wording for size in sizes)
        return next((picture for picture in tried if picture.get_width() <= room), None)

    def put(
        self, words: Iterable[str], sizes: Iterable[int], room: int, colour: style.Colour, **at: tuple[int, int]
    ) -> Rect | None:
        """Write what `fitting` gives, with a corner (`topleft=`, `midbottom=` ...) at a point; None if nothing fits."""
        picture = self.fitting(words, sizes, room, colour)
        return None if picture is None else self.surface.blit(picture, picture.get_rect(**at))

    def write(
        self, words: str, x: int, y: int, size: int = 15, colour: style.Colour = TEXT, right: bool = False
    ) -> int:
        """Write at the left (or, `right`, the right) end x; returns the width taken."""
        picture = self.picture(words, size, colour)
        self.surface.blit(picture, (x - picture.get_width() if right else x, y))
        return picture.get_width()

    def charts(self, boxes: list[Rect], view: View) -> None:
        """Fill the boxes from the top: the table and its facts, then what was switched on, then the timeline."""
        u = self.u
        if not boxes:
            return
        first = boxes[0].copy()
        if view.table:
            first = self._cut(first, self._table(first, view.table))
            for fact in view.facts:
                if first.height >= u(20):
                    shorter = fact, fact.split(PART)[0]
                    self.put(shorter, (13, 11, 9), first.width, QUIET, topleft=first.topleft)
                    first = self._cut(first, first.top + u(20))
        rest = boxes[1].copy() if len(boxes) > 1 else self._cut(first, first.top + u(8))
        if view.futures is not None and rest.height >= u(90):
            rest = self._futures(rest, view.futures, view.action)
        if view.memory is not None and rest.height >= u(17):
            rest = self._cut(rest, self._memory(rest, view.memory))
        if view.timeline is not None and rest.height >= u(60):
            rest.height = min(rest.height, u(260))
            self._timeline(rest, view.timeline)

    @staticmethod
    def _cut(box: Rect, top: int) -> Rect:
        """What is left of a box below a row."""
        return Rect(box.left, top, box.width, max(0, box.bottom - top))

    def _table(self, area: Rect, rows: list[tuple[str, str, str, str, str]]) -> int:
        """The table at the top of `area`; returns the row below it."""
        u = self.u
        size = next((s for s in (14, 12, 11) if u(s) * 26 < area.width), 10)
        # Where the longest baseline has no room, its words go and its number stays.
        shares = (0.375, 0.515, 0.655, 0.70)
        longest = max(self.picture(row[4], size - 1, QUIET).get_width() for row in rows)
        spell = area.width * (1 - shares[3]) >= longest
        if not spell:
            shares = (0.46, 0.62, 0.78, 0.82)
        stops = [area.left, *(area.left + int(area.width * share) for share in shares)]
        y = area.top
        for number, (name, now, recent, total, free) in enumerate(rows):
            if y + u(_ROW) > area.bottom:
                return y
            head = number == 0
            self.write(name, stops[0], y, size, QUIET)
            recent = recent.removeprefix("last ") if not spell else recent
            for stop, words in zip(stops[1:4], (now, recent, total), strict=True):
                self.write(words, stop, y, size, QUIET if head else TEXT, True)
            words = free if spell else "free" if head else free.split(" ")[0]
            self.write(words, stops[4], y, size if head else size - 1, QUIET)
            y += u(_ROW + head)
        rule = area.top + u(20)
        pygame.draw.line(self.surface, LINE, (area.left, rule), (area.right, rule))
        return y + u(4)

    def _futures(self, area: Rect, ahead: Ahead, action: int) -> Rect:
        """Four small televisions, with the ball's way; what is left of the area below them."""
        u = self.u
        room = (area.width - 3 * u(10) - 4) / ACTIONS  # the frames stand out by two pixels on either side
        self.put(["half a second from now, if you hold"], (13, 11, 9), area.width, QUIET, topleft=area.topleft)
        area = self._cut(area, area.top + u(18))
        height = min(int(room / TELEVISION), u(170), max(u(60), area.height - u(18 + 60)))
        width = min(int(room), round(height * TELEVISION))
        for number, name in enumerate(("no key", *list(Action.__members__)[1:])):
            box = Rect(area.left + 2 + number * (width + u(10)), area.top + u(18), width, height)
            chosen = number == action
            self.put(
                [name.lower()], (13, 11, 9), width + u(8), TWIN if chosen else QUIET, bottomleft=box.move(0, -2).topleft
            )
            self.surface.blit(self._small(ahead, box.size)[number], box)
            self._way(box, ahead.balls[:, number])
            pygame.draw.rect(self.surface, TWIN if chosen else LINE, box.inflate(4, 4), 2 if chosen else 1)
        return self._cut(area, area.top + u(18) + height + u(10))

    def _small(self, ahead: Ahead, size: tuple[int, int]) -> list[pygame.Surface]:
        """The four frames made small, once for as long as they are shown."""
        if self._made is None or self._made[0] is not ahead or self._made[1] != size:
            self._made = ahead, size, [small_screen(frame, size) for frame in ahead.frames]
        return self._made[2]

    def _way(self, box: Rect, balls: np.ndarray) -> None:
        """The ball's way through half a second as a line, and a dot where it is then."""
        across, down = box.width / COLUMNS, box.height / ROWS
        points = [(box.left + (c + 1) * across, box.top + (r + 2) * down) for r, c in balls.tolist() if r]
        if len(points) > 1:
            self.surface.set_clip(box)  # a twin may think its ball anywhere
            pygame.draw.lines(self.surface, WARN, False, points, 2)
            pygame.draw.circle(self.surface, TEXT, points[-1], max(2, self.u(3)))
            self.surface.set_clip(None)

    def _memory(self, area: Rect, lines: list[Remembered]) -> int:
        """What the twin remembers and how sure it is, three in a row; in colour, with what RAM says, where that is
        something else. Returns the row below."""
        u = self.u
        for number, (name, value, certainty, real, right) in enumerate(lines):
            row, column = divmod(number, 3)
            y = area.top + row * u(17)
            value = "?" if value == NOT_KNOWN else value
            words = [f"{name} {value} {certainty:.0%}", f"{name} {value}"]
            if not right:
                words = [f"{name} {value} {certainty:.0%}, is {real}", f"{name} {value}, is {real}"]
            if y + u(16) <= area.bottom:
                left, colour = area.left + column * (area.width // 3), QUIET if right else WARN
                self.put(words, (12, 11, 10, 9, 8, 7), area.width // 3 - 4, colour, topleft=(left, y))
        return area.top + math.ceil(len(lines) / 3) * u(17) + u(4)

    def _timeline(self, area: Rect, timeline: Timeline) -> None:
        u = self.u
        plot = Rect(area.left, area.top + u(18), area.width, area.height - u(18))
        pygame.draw.rect(self.surface, RAISED, plot)
        x = area.left + self.write("codes right", area.left, area.top - u(1), 13, REAL) + u(16)
        self.write("wrong pixels", x, area.top - u(1), 13, TWIN)
        self.write("last 30 s", area.right, area.top - u(1), 13, QUIET, True)
        # Where several steps share a column of pixels, the worst of them shows.
        step = plot.width / timeline.span
        xs, first = np.unique(plot.right - np.arange(len(timeline.codes), 0, -1) * step // 1, return_index=True)
        if len(xs) > 1:
            codes, wrong = np.minimum.reduceat(timeline.codes, first), np.maximum.reduceat(timeline.wrong, first)
            # Wrong pixels by their logarithm: one stray pixel shows, and a lost ball does not hide everything else.
            heights = np.log2(1 + wrong) / math.log2(1 + ROWS * COLUMNS) * (plot.height - 2)
            low = plot.bottom - 1
            outline = [(xs[0], low), *zip(xs, low - heights, strict=True), (xs[-1], low)]
            pygame.draw.polygon(self.surface, (112, 76, 36), outline)
            pygame.draw.aalines(self.surface, TWIN, False, outline[1:-1])
            ys = plot.top + 3 + (1 - codes / CELLS) * plot.height
            points = np.stack((xs, np.minimum(ys, low)), 1)
            pygame.draw.aalines(self.surface, REAL, False, points.tolist())
        self._marks(plot, [(plot.right - round(ago * step), what) for ago, what in reversed(timeline.marks)])

    def _marks(self, plot: Rect, marks: list[tuple[int, str]]) -> None:
        """Lines at marks (x, what), newest first; the newest has its name, and of the others those with room."""
        for at, what in marks:
            pygame.draw.line(self.surface, MARKS.get(what, TONES["dream"]), (at, plot.top), (at, plot.bottom - 1))
        free = plot.right + 1
        for at, what in marks:
            label = self.picture(what, 11, MARKS.get(what, TONES["dream"]))
            box = label.get_rect(bottomright=(at - 3, plot.bottom - 2))
            if plot.left < box.left and at <= free:
                self.surface.fill(RAISED, box)
                self.surface.blit(label, box)
                free = box.left - 3


def small_screen(classes: Frame, size: tuple[int, int]) -> pygame.Surface:
    """A screen of classes (210, 160), made smaller smoothly."""
    big = pygame.surfarray.make_surface(PALETTE[classes].swapaxes(0, 1))
    return pygame.transform.smoothscale(big, size)
