"""What everything but the panels looks like: colours, words, places, and the charts beside the panels."""

import math
from collections.abc import Iterable
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pygame
from pygame import Rect

from app import FONT
from app.session import Ahead
from app.view import PART, Timeline, View
from model.breakout import ACTIONS, CELLS, COLUMNS, PALETTE, ROWS, Action
from model.state import VARIABLES

Colour = tuple[int, int, int]
Words = str | Iterable[str]
Sizes = int | Iterable[int]
GROUND, RAISED, LINE = (15, 16, 20), (24, 26, 32), (52, 56, 66)
TEXT, QUIET = (222, 225, 232), (132, 138, 152)
# Blue and orange, which people with any of the common colour blindnesses tell apart.
REAL, TWIN, WARN = (106, 176, 255), (255, 166, 64), (205, 180, 120)
EXTRA, DARK = (255, 150, 30), (10, 11, 14)
LEGEND = (("missing", (72, 150, 255)), ("not in the real game", EXTRA), ("other colour", (240, 240, 240)))
DREAM, PARTED = (198, 146, 255), (255, 112, 112)
TONES = {"step": TWIN, "dream": DREAM, "parted": PARTED}
MARKS = {"life": PARTED, "parted": PARTED, "new game": QUIET, "controller": WARN, "back": REAL}

USUAL = 1344, 772  # the window's size at which lengths are pixels; in a larger one words and margins grow with it
TELEVISION = 4 / 3
MARGIN, TITLE, FOOTER, LOWER, COLUMN, HEADER = 14, 30, 30, 196, 440, 24
ROOMY = 640, 400  # a smaller window has no margins, no footer and no titles beside mode and accuracy
_STRETCH, _WHOLE_WORTH = 0.16, 0.84  # a whole multiple of the pixels is sharper: taken where it fills so much
_LEAST_INFO, _INFO_WORTH = 60, 1.25
_ROW, _NOT_KNOWN = 22, VARIABLES[0].classes[0]


@lru_cache(maxsize=16)
def _font(size: int) -> pygame.font.Font:
    return pygame.font.Font(str(FONT), size)


@lru_cache(maxsize=256)  # two pictures' worth: most words stay, and numbers seldom come again
def text(words: str, size: int, colour: Colour) -> pygame.Surface:
    """Words as a picture, `size` pixels high."""
    return _font(max(6, size)).render(words, True, colour)


def forget_fonts() -> None:
    """Drop what was rendered: pygame's fonts do not survive `pygame.quit`."""
    _font.cache_clear()
    text.cache_clear()


def panel_size(width: int, height: int) -> tuple[int, int]:
    """The size of a panel inside a box: a whole multiple of 160 x 210 near 4:3, or, where that would leave much of the
    box empty, the largest 4:3 picture. At least 1 x 1."""
    wide = max(1.0, min(width, height * TELEVISION))
    fitted = int(wide), max(1, int(wide / TELEVISION))
    across, down = fitted[0] // COLUMNS, fitted[1] // ROWS
    choices = [(a * COLUMNS, d * ROWS) for a in (across, across + 1) for d in (down, down + 1) if a and d]
    fit = [(w, h) for w, h in choices if w <= width and h <= height and abs(math.log(w / h / TELEVISION)) <= _STRETCH]
    best = max(fit, key=math.prod, default=(0, 0))
    return best if math.prod(best) >= _WHOLE_WORTH * math.prod(fitted) else fitted


class Places(NamedTuple):
    """Where things go: the panels, the boxes for table and timeline (none where there is no room), and the unit."""

    twin: Rect
    real: Rect | None
    info: tuple[Rect, ...]
    unit: float
    roomy: bool


@lru_cache(maxsize=4)
def arrange(width: int, height: int, panels: int, large: bool = False, info: bool = True) -> Places:
    """Places for one or two panels in a window: beside each other or stacked, with table and timeline below or at the
    right, whichever shows the panels largest. `large`: the twin takes all it can, the real game is small beside it."""
    unit = max(1.0, min(width / USUAL[0], height / USUAL[1]))
    roomy = width >= ROOMY[0] and height >= ROOMY[1]
    margin, title, foot, side, lower = (round(part * unit) for part in (MARGIN, TITLE, FOOTER, COLUMN, LOWER))
    margin, title, foot, top = (margin, title, foot, 0) if roomy else (1, 0, 0, HEADER)
    area, info = Rect(margin, top, width - 2 * margin, height - top - foot), info and roomy
    if large and panels == 2 and roomy:
        side = min(side, area.width // 3)
        twin = Rect(area.left, area.top + title, *panel_size(area.width - side - margin, area.height - title - margin))
        left, room = twin.right + margin, area.right - twin.right - margin
        real = Rect(left, twin.top, *panel_size(room, min(area.height // 2, round(room / TELEVISION)) - title))
        rest = Rect(left, real.bottom + margin, room, area.bottom - real.bottom - margin)
        return Places(twin, real, (rest,) if info and rest.height >= _LEAST_INFO else (), unit, True)
    wishes = ["below", "right"] if info else []
    if not wishes or width < 2 * side or height < round(520 * unit):
        wishes.append("")
    found: list[tuple[float, Places]] = []
    for wish, (across, down) in product(wishes, dict.fromkeys(((panels, 1), (1, panels)))):
        wide = area.width - (side + margin) * (wish == "right")
        high = area.height - lower * (wish == "below")
        cell = (wide - (across - 1) * margin) // across, high // down - title - margin
        size = panel_size(*cell) if min(cell) > 0 else (1, 1)
        x, y = area.left + (cell[0] - size[0]) // 2, area.top + title + min(margin, (cell[1] - size[1]) // 2)
        steps = cell[0] + margin, cell[1] + title + margin
        rects = [Rect(x + a * steps[0], y + d * steps[1], *size) for d in range(down) for a in range(across)]
        left, bottom = rects[-1].right + margin, rects[-1].bottom + margin
        boxes: tuple[Rect, ...] = ()
        if wish == "right":
            boxes = (Rect(left, y, area.right - left, area.bottom - y),)
        elif info and area.bottom - bottom >= _LEAST_INFO:
            half, deep = (area.width - margin) // 2, area.bottom - bottom
            boxes = tuple(Rect(area.left + i * (half + margin), bottom, half, deep) for i in (0, 1))
            if across == 2 and size[0] >= half * 0.85:  # in line with the panels
                boxes = tuple(Rect(rect.left, bottom, size[0], deep) for rect in rects)
        worth = (1.02 if across >= down else 1) * (_INFO_WORTH if boxes else 1)
        places = Places(rects[-1], rects[0] if panels == 2 else None, boxes, unit, roomy)
        found.append((math.prod(size) * worth, places))
    return max(found, key=lambda pair: pair[0])[1]


def _below(box: Rect, top: int) -> Rect:
    """What is left of a box below a row."""
    return Rect(box.left, top, box.width, max(0, box.bottom - top))


class Charts:
    """Writes and draws onto `surface`. Lengths and sizes of words are those of the usual window, times `unit`.

    A surface keeps what is drawn on it: a part of the window is drawn anew only when it is to show something else.
    Each chart is drawn at the top of the box that it is given, and gives the row below it.
    """

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
        return text(words, self.u(size), colour)

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
        size = next((s for s in (14, 12, 11) if u(s) * 26 < area.width), 10)
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
        self.put("wrong pixels", 13, TWIN, topleft=((head or area).right + u(16), y))
        self.put("last 30 s", 13, QUIET, topright=(area.right, y))
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
