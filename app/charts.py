"""What is drawn beside the panels: the table, the timeline, the futures, the memory."""

import math
from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np
import pygame
from pygame import Rect

from app import PART, style
from app.session import Ahead
from app.style import DREAM, GROUND, LINE, MARKS, QUIET, RAISED, REAL, TELEVISION, TEXT, TWIN, WARN, Colour
from app.view import Timeline, View
from model.breakout import ACTIONS, CELLS, COLUMNS, PALETTE, ROWS, Action
from model.state import VARIABLES

Words = str | Iterable[str]
Sizes = int | Iterable[int]
_ROW, _NOT_KNOWN = 22, VARIABLES[0].classes[0]


def _below(box: Rect, top: int) -> Rect:
    """What is left of a box below a row."""
    return Rect(box.left, top, box.width, max(0, box.bottom - top))


class Charts:
    """Writes and draws onto `surface`. Lengths and sizes of words are those of the usual window, times `unit`.

    A surface keeps what is drawn on it: a part of the window is drawn anew only when it is to show something else.
    Each chart is drawn at the top of the box that it is given, and gives the row below it."""

    surface: pygame.Surface
    unit: float
    shown: dict[str, tuple[object, ...]]  # what each part of the window shows, by the part's name
    _made: tuple[Ahead, tuple[int, int], list[pygame.Surface]] | None = None

    def changes(self, part: str, *content: object) -> bool:
        """Whether a part of the window shows something else so far; from now on it shows this."""
        before, self.shown[part] = self.shown.get(part), content
        return before != content

    def clears(self, part: str, box: Rect, *content: object) -> bool:
        """As `changes`, for a part that lies in a box, which is then empty."""
        changed = self.changes(part, box.copy(), *content)
        if changed:
            self.surface.fill(GROUND, box)
        return changed

    def u(self, length: float) -> int:
        """A length in the usual window, in this one."""
        return round(length * self.unit)

    def picture(self, words: str, size: int, colour: Colour) -> pygame.Surface:
        """Words as a picture."""
        return style.text(words, self.u(size), colour)

    def fitting(self, words: Words, sizes: Sizes, colour: Colour, room: float = math.inf) -> pygame.Surface | None:
        """The first of several wordings, at the first of the sizes, that is no wider than `room`; None if none is."""
        wordings = [words] if isinstance(words, str) else words
        tries = product(filter(None, wordings), [sizes] if isinstance(sizes, int) else sizes)
        pictures = (self.picture(wording, size, colour) for wording, size in tries)
        return next((picture for picture in pictures if picture.get_width() <= room), None)

    def put(self, words: Words, sizes: Sizes, colour: Colour, room: float = math.inf, **at: Any) -> Rect | None:
        """Write what `fitting` gives, with a corner (`topleft=`, `midbottom=` ...) at a point; None if nothing fits."""
        picture = self.fitting(words, sizes, colour, room)
        return None if picture is None else self.surface.blit(picture, picture.get_rect(**at))

    def charts(self, boxes: tuple[Rect, ...], view: View) -> None:
        """Fill the boxes from the top: the table and its facts, then what was switched on, then the timeline."""
        if not boxes:
            return
        first, u = boxes[0], self.u
        if view.table:
            first = _below(first, self._table(first, view.table))
            for number, fact in enumerate(view.facts):
                if first.height >= u(20):
                    if self.clears(f"fact {number}", Rect(first.topleft, (first.width, u(20))), fact):
                        self.put((fact, fact.split(PART)[0]), (13, 11, 9), QUIET, first.width, topleft=first.topleft)
                    first = _below(first, first.top + u(20))
        rest = boxes[1] if len(boxes) > 1 else _below(first, first.top + u(8))
        if view.futures is not None and rest.height >= u(90):
            rest = _below(rest, self._futures(rest, view.futures, view.action))
        if view.memory is not None and rest.height >= u(17):
            rest = _below(rest, self._memory(rest, view))
        if view.timeline is not None and rest.height >= u(60):
            self._timeline(rest, view.timeline, view.tick)

    def _table(self, area: Rect, rows: list[tuple[str, str, str, str, str]]) -> int:
        u = self.u
        size = next((s for s in (14, 12, 11, 10, 9, 8) if u(s) * 26 < area.width), 7)
        longest = max(self.picture(row[4], size - 1, QUIET).get_width() for row in rows)
        spell = area.width * (1 - 0.70) >= longest  # else the longest baseline's words go, and its number stays
        shares = (0.375, 0.515, 0.655, 0.70) if spell else (0.46, 0.62, 0.78, 0.82)
        stops = [area.left, *(area.left + int(area.width * share) for share in shares)]
        y = area.top
        for number, row in enumerate(rows):
            if y + u(_ROW) > area.bottom:
                return y
            high = u(_ROW + (number == 0))
            if self.clears(f"row {number}", Rect(area.left, y, area.width, high), spell, row):
                name, now, recent, total, free = row
                if not spell:
                    recent, free = recent.removeprefix("last "), free.split(" ")[0] if number else "free"
                self.put(name, size, QUIET, topleft=(stops[0], y))
                for stop, words in zip(stops[1:], (now, recent, total), strict=False):
                    self.put(words, size, TEXT if number else QUIET, topright=(stop, y))
                self.put(free, size - 1 if number else size, QUIET, topleft=(stops[4], y))
                if not number:
                    self.surface.fill(LINE, (area.left, y + u(20), area.width + 1, 1))
            y += high
        return y + u(4)

    def _futures(self, area: Rect, ahead: Ahead, action: int) -> int:
        """Four small televisions, with the ball's way as a line and a dot where it is then."""
        u = self.u
        room = (area.width - 3 * u(10) - 4) / ACTIONS  # the frames stand out by two pixels on either side
        top = area.top + u(18)
        height = min(int(room / TELEVISION), u(170), max(u(60), area.bottom - top - u(18 + 60)))
        size = min(int(room), round(height * TELEVISION)), height
        if self._made is None or self._made[0] is not ahead or self._made[1] != size:  # once for as long as it is shown
            screens = [pygame.surfarray.make_surface(PALETTE[frame].swapaxes(0, 1)) for frame in ahead.frames]
            self._made = ahead, size, [pygame.transform.smoothscale(screen, size) for screen in screens]
        end = top + u(18) + height + u(10)
        above = Rect(area.topleft, (area.width, end - area.top)).clip(area)
        if not self.clears("futures", above, self._made[2], action):
            return end
        self.put("half a second from now, if you hold", (13, 11, 9), QUIET, area.width, topleft=area.topleft)
        for number, name in enumerate(("no key", *list(Action.__members__)[1:])):
            box = Rect((area.left + 2 + number * (size[0] + u(10)), top + u(18)), size)
            words, colour, width = (TWIN, TWIN, 2) if number == action else (QUIET, LINE, 1)
            self.put(name.lower(), (13, 11, 9), words, size[0] + u(8), bottomleft=box.move(0, -2).topleft)
            self.surface.blit(self._made[2][number], box)
            across, down, way = box.width / COLUMNS, box.height / ROWS, ahead.balls[:, number].tolist()
            points = [(box.left + (c + 1) * across, box.top + (r + 2) * down) for r, c in way if r]
            if len(points) > 1:
                self.surface.set_clip(box)  # a twin may think its ball anywhere
                pygame.draw.lines(self.surface, WARN, False, points, 2)
                pygame.draw.circle(self.surface, TEXT, points[-1], max(2, u(3)))
                self.surface.set_clip(None)
            pygame.draw.rect(self.surface, colour, box.inflate(4, 4), width)
        return end

    def _memory(self, area: Rect, view: View) -> int:
        """What the twin remembers and how sure it is; in colour, with what RAM says, where that is something else."""
        u, wide = self.u, area.width // 3
        high = math.ceil(len(VARIABLES) / 3) * u(17) + u(4)
        box = Rect(area.topleft, (area.width, high)).clip(area)
        if view.memory is None or not self.clears("memory", box, view.tick):
            return area.top + high
        for number, (name, value, certainty, real, right) in enumerate(view.memory()):
            row, column = divmod(number, 3)
            at = area.left + column * wide, area.top + row * u(17)
            says, end = f"{name} {'?' if value == _NOT_KNOWN else value}", "" if right else f", is {real}"
            if at[1] + u(16) <= area.bottom:
                words = f"{says} {certainty:.0%}{end}", f"{says}{end}"
                self.put(words, (12, 11, 10, 9, 8, 7), QUIET if right else WARN, wide - 4, topleft=at)
        return area.top + high

    def _timeline(self, area: Rect, timeline: Timeline, tick: tuple[int, int]) -> None:
        u, (span, taken, tally, marked) = self.u, timeline
        plot = Rect(area.left, area.top + u(18), area.width, min(area.height, u(260)) - u(18))
        y = area.top - u(1)
        if not self.clears("timeline", Rect(area.left, y, area.width, plot.bottom - y), tick, tuple(marked)):
            return
        head = self.put("codes right", 13, REAL, topleft=(area.left, y))
        head = self.put("wrong pixels", 13, TWIN, topleft=((head or area).right + u(16), y))
        self.put("last 30 s", 13, QUIET, area.right - (head or area).right - u(8), topright=(area.right, y))
        surface = self.surface.subsurface(plot)
        surface.fill(RAISED)
        plot, low = surface.get_rect(), plot.height - 1
        every, step = tally.series(span), plot.width / span
        # Where several steps share a column of pixels, the worst of them shows.
        xs, first = np.unique(plot.right - np.arange(len(every[0]), 0, -1) * step // 1, return_index=True)
        if len(xs) > 1:
            codes, wrong = np.minimum.reduceat(every[0], first), np.maximum.reduceat(every[1], first)
            # Wrong pixels by their logarithm: one stray pixel shows, and a lost ball does not hide everything else.
            heights = np.log2(1 + wrong) / math.log2(1 + ROWS * COLUMNS) * (plot.height - 2)
            outline = [(xs[0], low), *zip(xs, low - heights, strict=True), (xs[-1], low)]
            pygame.draw.polygon(surface, (112, 76, 36), outline)
            pygame.draw.aalines(surface, TWIN, False, outline[1:-1])
            ys = np.minimum(3 + (1 - codes / CELLS) * plot.height, low)
            pygame.draw.aalines(surface, REAL, False, [*zip(xs, ys, strict=True)])
        marks = [(plot.right - round((taken - at) * step), what) for at, what in reversed(marked)]
        for at, what in marks:
            pygame.draw.line(surface, MARKS.get(what, DREAM), (at, 0), (at, low))
        free = plot.right + 1
        for at, what in marks:  # the newest has its name, and of the others those with room
            label = self.picture(what, 11, MARKS.get(what, DREAM))
            box = label.get_rect(bottomright=(at - 3, low - 1))
            if box.left > 0 and at <= free:
                surface.fill(RAISED, box)
                surface.blit(label, box)
                free = box.left - 3
