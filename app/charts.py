"""What is drawn beside the panels: the table, the timeline, the futures, the memory."""

from __future__ import annotations

import math

import numpy as np
import pygame
from pygame import Rect

from app.session import Ahead
from app.style import LINE, MARKS, QUIET, RAISED, REAL, TELEVISION, TEXT, TONES, TWIN, WARN, Brush
from app.view import PART, Timeline, View
from model.breakout import ACTIONS, CELLS, COLUMNS, PALETTE, ROWS, Action, Frame
from model.state import VARIABLES

_ROW, NOT_KNOWN = 22, VARIABLES[0].classes[0]


def _cut(box: Rect, top: int) -> Rect:
    """What is left of a box below a row."""
    return Rect(box.left, top, box.width, max(0, box.bottom - top))


def _upper(box: Rect, bottom: int) -> Rect:
    """What of a box lies above a row."""
    return Rect(box.left, box.top, box.width, min(box.height, bottom - box.top))


class Charts(Brush):
    """Each chart is drawn at the top of the box that it is given, and gives the row below it."""

    _made: tuple[Ahead, tuple[int, int], list[pygame.Surface]] | None = None

    def charts(self, boxes: tuple[Rect, ...], view: View) -> None:
        """Fill the boxes from the top: the table and its facts, then what was switched on, then the timeline."""
        if not boxes:
            return
        first, u = boxes[0], self.u
        if view.table:
            first = _cut(first, self._table(first, view.table))
            for number, fact in enumerate(view.facts):
                if first.height >= u(20):
                    if self.clears(f"fact {number}", Rect(first.topleft, (first.width, u(20))), fact):
                        self.put((fact, fact.split(PART)[0]), (13, 11, 9), QUIET, first.width, topleft=first.topleft)
                    first = _cut(first, first.top + u(20))
        rest = boxes[1] if len(boxes) > 1 else _cut(first, first.top + u(8))
        if view.futures is not None and rest.height >= u(90):
            rest = _cut(rest, self._futures(rest, view.futures, view.action))
        if view.memory is not None and rest.height >= u(17):
            rest = _cut(rest, self._memory(rest, view))
        if view.timeline is not None and rest.height >= u(60):
            self._timeline(rest, view.timeline, view.tick)

    def _table(self, area: Rect, rows: list[tuple[str, str, str, str, str]]) -> int:
        u = self.u
        size = next((s for s in (14, 12, 11) if u(s) * 26 < area.width), 10)
        shares = (0.375, 0.515, 0.655, 0.70)
        longest = max(self.picture(row[4], size - 1, QUIET).get_width() for row in rows)
        spell = area.width * (1 - shares[3]) >= longest
        if not spell:  # the longest baseline has no room: its words go and its number stays
            shares = (0.46, 0.62, 0.78, 0.82)
        stops = [area.left, *(area.left + int(area.width * share) for share in shares)]
        y = area.top
        for number, row in enumerate(rows):
            high = u(_ROW + (number == 0))
            if y + u(_ROW) > area.bottom:
                return y
            box = Rect(area.left, y, area.width, high)
            if self.clears(f"row {number}", box, spell, row):
                self._row(row, box, number == 0, stops, size, spell)
            y += high
        return y + u(4)

    def _row(self, row: tuple[str, ...], box: Rect, head: bool, stops: list[int], size: int, spell: bool) -> None:
        (name, now, recent, total, free), y = row, box.top
        if not spell:
            recent, free = recent.removeprefix("last "), "free" if head else free.split(" ")[0]
        self.put(name, size, QUIET, topleft=(stops[0], y))
        for stop, words in zip(stops[1:], (now, recent, total), strict=False):
            self.put(words, size, QUIET if head else TEXT, topright=(stop, y))
        self.put(free, size if head else size - 1, QUIET, topleft=(stops[4], y))
        if head:
            rule = y + self.u(20)
            pygame.draw.line(self.surface, LINE, (box.left, rule), (box.right, rule))

    def _futures(self, area: Rect, ahead: Ahead, action: int) -> int:
        """Four small televisions, with the ball's way."""
        u = self.u
        room = (area.width - 3 * u(10) - 4) / ACTIONS  # the frames stand out by two pixels on either side
        top = area.top + u(18)
        height = min(int(room / TELEVISION), u(170), max(u(60), area.bottom - top - u(18 + 60)))
        size = min(int(room), round(height * TELEVISION)), height
        if self._made is None or self._made[0] is not ahead or self._made[1] != size:  # once for as long as it is shown
            self._made = ahead, size, [small_screen(frame, size) for frame in ahead.frames]
        end = top + u(18) + height + u(10)
        if not self.clears("futures", _upper(area, end), self._made[2], action):
            return end
        self.put("half a second from now, if you hold", (13, 11, 9), QUIET, area.width, topleft=area.topleft)
        for number, name in enumerate(("no key", *list(Action.__members__)[1:])):
            box = Rect((area.left + 2 + number * (size[0] + u(10)), top + u(18)), size)
            colour, width = (TWIN, 2) if number == action else (LINE, 1)
            words = TWIN if number == action else QUIET
            self.put(name.lower(), (13, 11, 9), words, size[0] + u(8), bottomleft=box.move(0, -2).topleft)
            self.surface.blit(self._made[2][number], box)
            self._way(box, ahead.balls[:, number])
            pygame.draw.rect(self.surface, colour, box.inflate(4, 4), width)
        return end

    def _way(self, box: Rect, balls: np.ndarray) -> None:
        """The ball's way through half a second as a line, and a dot where it is then."""
        across, down = box.width / COLUMNS, box.height / ROWS
        points = [(box.left + (c + 1) * across, box.top + (r + 2) * down) for r, c in balls.tolist() if r]
        if len(points) > 1:
            self.surface.set_clip(box)  # a twin may think its ball anywhere
            pygame.draw.lines(self.surface, WARN, False, points, 2)
            pygame.draw.circle(self.surface, TEXT, points[-1], max(2, self.u(3)))
            self.surface.set_clip(None)

    def _memory(self, area: Rect, view: View) -> int:
        """What the twin remembers and how sure it is, three in a row; in colour, with what RAM says, where that is
        something else."""
        u, wide = self.u, area.width // 3
        below = area.top + math.ceil(len(VARIABLES) / 3) * u(17) + u(4)
        if view.memory is None or not self.clears("memory", _upper(area, below), view.tick):
            return below
        for number, (name, value, certainty, real, right) in enumerate(view.memory()):
            row, column = divmod(number, 3)
            at = area.left + column * wide, area.top + row * u(17)
            says, end = f"{name} {'?' if value == NOT_KNOWN else value}", "" if right else f", is {real}"
            if at[1] + u(16) <= area.bottom:
                words = f"{says} {certainty:.0%}{end}", f"{says}{end}"
                self.put(words, (12, 11, 10, 9, 8, 7), QUIET if right else WARN, wide - 4, topleft=at)
        return below

    def _timeline(self, area: Rect, timeline: Timeline, tick: tuple[int, int]) -> None:
        u = self.u
        plot = Rect(area.left, area.top + u(18), area.width, min(area.height, u(260)) - u(18))
        y = area.top - u(1)
        box = Rect(area.left, y, area.width, plot.bottom - y)
        if not self.clears("timeline", box, tick, tuple(timeline.marks)):
            return
        head = self.put("codes right", 13, REAL, topleft=(area.left, y))
        self.put("wrong pixels", 13, TWIN, topleft=((head or area).right + u(16), y))
        self.put("last 30 s", 13, QUIET, topright=(area.right, y))
        self._curves(self.surface.subsurface(plot), timeline)

    def _curves(self, surface: pygame.Surface, timeline: Timeline) -> None:
        """Draw codes, wrong pixels and marks over all of a surface."""
        plot = surface.get_rect()
        surface.fill(RAISED)
        every = timeline.tally.series(timeline.span)
        # Where several steps share a column of pixels, the worst of them shows.
        step = plot.width / timeline.span
        xs, first = np.unique(plot.right - np.arange(len(every[0]), 0, -1) * step // 1, return_index=True)
        if len(xs) > 1:
            codes, wrong = np.minimum.reduceat(every[0], first), np.maximum.reduceat(every[1], first)
            # Wrong pixels by their logarithm: one stray pixel shows, and a lost ball does not hide everything else.
            heights = np.log2(1 + wrong) / math.log2(1 + ROWS * COLUMNS) * (plot.height - 2)
            low = plot.bottom - 1
            outline = [(xs[0], low), *zip(xs, low - heights, strict=True), (xs[-1], low)]
            pygame.draw.polygon(surface, (112, 76, 36), outline)
            pygame.draw.aalines(surface, TWIN, False, outline[1:-1])
            ys = plot.top + 3 + (1 - codes / CELLS) * plot.height
            pygame.draw.aalines(surface, REAL, False, np.stack((xs, np.minimum(ys, low)), 1).tolist())
        ago = [(round((timeline.taken - at) * step), what) for at, what in reversed(timeline.marks)]
        self._marks(surface, [(plot.right - back, what) for back, what in ago])

    def _marks(self, surface: pygame.Surface, marks: list[tuple[int, str]]) -> None:
        """Lines at marks (x, what), newest first; the newest has its name, and of the others those with room."""
        plot = surface.get_rect()
        for at, what in marks:
            pygame.draw.line(surface, MARKS.get(what, TONES["dream"]), (at, plot.top), (at, plot.bottom - 1))
        free = plot.right + 1
        for at, what in marks:
            label = self.picture(what, 11, MARKS.get(what, TONES["dream"]))
            box = label.get_rect(bottomright=(at - 3, plot.bottom - 2))
            if plot.left < box.left and at <= free:
                surface.fill(RAISED, box)
                surface.blit(label, box)
                free = box.left - 3


def small_screen(classes: Frame, size: tuple[int, int]) -> pygame.Surface:
    """A screen of classes (210, 160), made smaller smoothly."""
    big = pygame.surfarray.make_surface(PALETTE[classes].swapaxes(0, 1))
    return pygame.transform.smoothscale(big, size)
