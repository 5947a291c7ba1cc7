"""Draws a `View` onto a pygame surface of any size: two televisions, the table, the timeline. Decides nothing."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import pygame

from app.view import PART, Timeline, View
from model.breakout import ACTIONS, CELLS, COLUMNS, GRID_COLUMNS, GRID_ROWS, PALETTE, ROWS, Action, Frame

FONT = Path(__file__).resolve().parent.parent / "assets" / "font" / "JetBrainsMono-Medium.ttf"
GROUND, RAISED, LINE = (15, 16, 20), (24, 26, 32), (52, 56, 66)
TEXT, QUIET = (222, 225, 232), (132, 138, 152)
# Blue and orange, which people with any of the common colour blindnesses tell apart.
REAL, TWIN, WARN = (106, 176, 255), (255, 166, 64), (255, 214, 102)
MISSING, EXTRA, RECOLOURED = (72, 150, 255), (255, 150, 30), (240, 240, 240)
TONES = {"step": TWIN, "dream": (198, 146, 255), "parted": (255, 112, 112)}
MARKS = {"life": (255, 112, 112), "parted": (255, 112, 112), "restart": QUIET, "controller": WARN}

MARGIN, HEADER, FOOTER = 14, 38, 30
TELEVISION = 4 / 3
_STRETCH = 0.16
_DIM = len(PALETTE)
_MARK = 2 * _DIM
_COLOURS = [tuple(map(int, c)) for c in PALETTE] + [tuple(int(v) * 2 // 7 + 6 for v in c) for c in PALETTE]
_COLOURS += [MISSING, EXTRA, RECOLOURED]
_COLOURS += [(0, 0, 0)] * (256 - len(_COLOURS))


def panel_size(width: int, height: int) -> tuple[int, int]:
    """The size of a panel inside a box: whole multiples of 160 x 210 as near to 4:3 as they come, or what fits.

    A box too small for every whole multiple gets a scaled-down 4:3 picture, at least 1 x 1.
    """
    best, size = 0.0, (0, 0)
    for across in range(1, width // COLUMNS + 1):
        for down in range(1, height // ROWS + 1):
            stretch = abs(math.log(across * COLUMNS / (down * ROWS) / TELEVISION))
            worth = across * down * math.exp(-stretch)
            if stretch <= _STRETCH and worth > best:
                best, size = worth, (across * COLUMNS, down * ROWS)
    if best:
        return size
    fitted = min(width, height * TELEVISION)
    return max(1, int(fitted)), max(1, int(fitted / TELEVISION))


@lru_cache(maxsize=16)
def _font(size: int) -> pygame.font.Font:
    return pygame.font.Font(str(FONT), size)


@lru_cache(maxsize=1024)
def _text(text: str, size: int, colour: tuple[int, int, int]) -> pygame.Surface:
    return _font(size).render(text, True, colour)


def forget_fonts() -> None:
    """Drop what was rendered: pygame's fonts do not survive `pygame.quit`."""
    _font.cache_clear()
    _text.cache_clear()


def screen_of(classes: Frame) -> pygame.Surface:
    """An 8-bit surface (160 wide, 210 high) of indices into the overlay's colours; classes are the first nine."""
    surface = pygame.image.frombuffer(classes.tobytes(), (COLUMNS, ROWS), "P")
    surface.set_palette(_COLOURS)
    return surface


def difference(real: Frame, twin: Frame) -> Frame:
    """Indices into the overlay's colours (210, 160) uint8: the twin dimmed, its wrong pixels marked by their kind."""
    wrong = real != twin
    shown = twin + np.uint8(_DIM)
    shown[wrong] = _MARK + 2
    shown[wrong & (twin == 0)] = _MARK
    shown[wrong & (real == 0)] = _MARK + 1
    return shown


class Painter:
    """Draws views. `paint` may be given another surface, of another size, at every call."""

    def paint(self, surface: pygame.Surface, view: View) -> None:
        """Draw all of `view`."""
        self._surface = surface
        surface.fill(GROUND)
        width, height = surface.get_size()
        roomy = width >= 640 and height >= 400
        margin, header = (MARGIN, HEADER) if roomy else (2, 0)
        below = 196 if roomy and height >= 560 else FOOTER if roomy else 0
        count = 1 if view.real is None else 2
        box = ((width - (count + 1) * margin) // count, height - header - below - margin)
        size = panel_size(*box)
        top = header + max(0, min((box[1] - size[1]) // 2, 16 if below > FOOTER else height))
        rects = [
            pygame.Rect(margin + (box[0] + margin) * i + (box[0] - size[0]) // 2, top, *size) for i in range(count)
        ]
        self._panel(rects[-1], self._twin_screen(view))
        if view.difference and view.real is not None and roomy:
            self._legend(rects[-1])
        if view.real is not None:
            self._panel(rects[0], view.real)
        if view.grid and view.codes is not None:
            self._grid(rects[-1], view)
        if roomy:
            self._titles(rects, view)
            if below > FOOTER:
                self._lower(rects, view)
            self._footer(view)
        if view.message is not None:
            for rect in rects:
                self._message(rect, *view.message)
        if view.help is not None:
            self._help(view.help)
        if view.toast:
            self._toast(view.toast)

    def _write(
        self, text: str, x: int, y: int, size: int = 15, colour: tuple[int, int, int] = TEXT, right: bool = False
    ) -> int:
        """Write at the left (or, `right`, the right) end x; returns the width taken."""
        picture = _text(text, size, colour)
        self._surface.blit(picture, (x - picture.get_width() if right else x, y))
        return picture.get_width()

    # --- panels ---

    @staticmethod
    def _twin_screen(view: View) -> Frame:
        if view.difference and view.real is not None:
            return difference(view.real, view.twin)
        return view.twin

    def _panel(self, rect: pygame.Rect, screen: Frame) -> None:
        self._surface.blit(pygame.transform.scale(screen_of(screen), rect.size), rect)

    def _legend(self, rect: pygame.Rect) -> None:
        """What the colours of the difference say, in the black strip below the playing field."""
        x = rect.left + 8
        for words, colour in (
            ("missing", MISSING),
            ("not there in the real game", EXTRA),
            ("other colour", RECOLOURED),
        ):
            x += self._write(words, x, rect.bottom - 19, 12, colour) + 16

    def _titles(self, rects: list[pygame.Rect], view: View) -> None:
        y = rects[0].top - 28
        names = [("REAL GAME", view.real_note, REAL), ("NEURAL TWIN", view.twin_note, TONES[view.twin_tone])]
        for rect, (name, note, colour) in zip(rects, names[-len(rects) :], strict=True):
            room = rect.width - self._write(name, rect.left, y, 18, colour) - 16
            tone = QUIET if name == "REAL GAME" else colour
            parts = note.split(PART)
            # What does not fit at either size is left off from the end.
            fits = (
                (PART.join(parts[:count]), size)
                for count in range(len(parts), 0, -1)
                for size in (15, 12)
                if _text(PART.join(parts[:count]), size, tone).get_width() <= room
            )
            words, size = next(fits, ("", 12))
            self._write(words, rect.right, y + (3 if size == 15 else 6), size, tone, True)

    def _grid(self, rect: pygame.Rect, view: View) -> None:
        assert view.codes is not None
        predicted, actual = view.codes
        lines = pygame.Surface(rect.size, pygame.SRCALPHA)
        across, down = rect.width / GRID_COLUMNS, rect.height / GRID_ROWS
        for column in range(1, GRID_COLUMNS):
            pygame.draw.line(lines, (255, 255, 255, 46), (column * across, 0), (column * across, rect.height))
        for row in range(1, GRID_ROWS):
            pygame.draw.line(lines, (255, 255, 255, 46), (0, row * down), (rect.width, row * down))
        size = 13 if across >= 90 else 10
        for cell in range(CELLS):
            column, row = divmod(cell, GRID_ROWS)
            box = pygame.Rect(round(column * across), round(row * down), round(across), round(down))
            right = predicted[cell] == actual[cell]
            if not right:
                pygame.draw.rect(lines, (*EXTRA, 60), box)
                pygame.draw.rect(lines, (*EXTRA, 255), box, 2)
            if view.grid > 1 and not (right and actual[cell] == 0):
                words = str(actual[cell]) if right else f"{predicted[cell]}\N{RIGHTWARDS ARROW}{actual[cell]}"
                picture = _text(words, size, TEXT if right else WARN)
                back = pygame.Rect(box.left + 3, box.top + 3, picture.get_width() + 4, picture.get_height())
                pygame.draw.rect(lines, (0, 0, 0, 190), back)
                lines.blit(picture, (back.left + 2, back.top))
        self._surface.blit(lines, rect)

    # --- below the panels ---

    def _lower(self, rects: list[pygame.Rect], view: View) -> None:
        top, bottom = rects[0].bottom + 12, self._surface.get_height() - FOOTER - 4
        width = (self._surface.get_width() - 3 * MARGIN) // 2
        left = pygame.Rect(MARGIN, top, width, bottom - top)
        right = pygame.Rect(2 * MARGIN + width, top, width, bottom - top)
        if len(rects) == 2 and rects[0].width >= 560:  # in line with the panels above
            left.left, left.width = rects[0].left, rects[0].width
            right.left, right.width = rects[1].left, rects[1].width
        y = self._table(left, view.table) if view.table else left.top
        for fact in view.facts:
            if y + 20 <= left.bottom:
                self._write(fact, left.left, y, 13, QUIET)
                y += 20
        if view.futures is not None:
            right = self._futures(right, view.futures, view.action)
        if view.timeline is not None and right.height >= 60:
            self._timeline(right, view.timeline)

    def _table(self, area: pygame.Rect, rows: list[tuple[str, str, str, str, str]]) -> int:
        stops = [area.left, *(area.left + int(area.width * share) for share in (0.375, 0.515, 0.655, 0.70))]
        y = area.top
        for number, (name, now, recent, total, free) in enumerate(rows):
            head = number == 0
            self._write(name, stops[0], y, 14, QUIET)
            for stop, text in zip(stops[1:4], (now, recent, total), strict=True):
                self._write(text, stop, y, 14, QUIET if head else TEXT, True)
            self._write(free, stops[4], y, 14 if head else 13, QUIET)
            y += 24 if head else 23
        pygame.draw.line(self._surface, LINE, (area.left, area.top + 21), (area.right, area.top + 21))
        return y + 4

    def _futures(self, area: pygame.Rect, futures: Frame, action: int) -> pygame.Rect:
        """Four small televisions; what is left of the area below them."""
        height = min(round((area.width - 3 * 10) / ACTIONS / TELEVISION), 150, max(60, area.height - 18 - 100))
        width = round(height * TELEVISION)
        for number, name in enumerate(Action.__members__):
            box = pygame.Rect(area.left + number * (width + 10), area.top + 18, width, height)
            chosen = number == action
            self._write(name.lower(), box.left, area.top - 1, 13, TWIN if chosen else QUIET)
            big = pygame.Surface((COLUMNS, ROWS), 0, 24)
            big.blit(screen_of(futures[number]), (0, 0))
            self._surface.blit(pygame.transform.smoothscale(big, box.size), box)
            pygame.draw.rect(self._surface, TWIN if chosen else LINE, box.inflate(4, 4), 2 if chosen else 1)
        taken = 18 + height + 10
        return pygame.Rect(area.left, area.top + taken, area.width, area.height - taken)

    def _timeline(self, area: pygame.Rect, timeline: Timeline) -> None:
        plot = pygame.Rect(area.left, area.top + 18, area.width, area.height - 18)
        pygame.draw.rect(self._surface, RAISED, plot)
        x = area.left + self._write("codes right", area.left, area.top - 1, 13, REAL) + 16
        self._write("wrong pixels", x, area.top - 1, 13, TWIN)
        seconds = "last 30 s"
        self._write(seconds, area.right, area.top - 1, 13, QUIET, True)
        count = len(timeline.codes)
        step = plot.width / timeline.span
        xs = plot.right - (count - np.arange(count)) * step
        half = plot.height / 2
        # Wrong pixels by their logarithm: one stray pixel shows, and a lost ball does not hide everything else.
        heights = np.log2(1 + timeline.wrong) / math.log2(1 + ROWS * COLUMNS) * (plot.height - 2)
        if count > 1:
            low = plot.bottom - 1
            outline = [(xs[0], low), *zip(xs, low - heights, strict=True), (xs[-1], low)]
            pygame.draw.polygon(self._surface, (112, 76, 36), outline)
            pygame.draw.aalines(self._surface, TWIN, False, outline[1:-1])
            ys = plot.top + 3 + (1 - timeline.codes / CELLS) * 2 * half
            points = np.stack((xs, np.minimum(ys, low)), 1)
            pygame.draw.aalines(self._surface, REAL, False, points.tolist())
        free = plot.right + 1
        for ago, what in reversed(timeline.marks):
            at = plot.right - round(ago * step)
            colour = MARKS.get(what, TONES["dream"])
            pygame.draw.line(self._surface, colour, (at, plot.top), (at, plot.bottom - 1))
            label = _text(what, 11, colour)
            if plot.left < at - label.get_width() - 3 and at <= free:
                self._surface.blit(label, (at - label.get_width() - 3, plot.bottom - 16))
                free = at - label.get_width() - 6

    def _footer(self, view: View) -> None:
        width, height = self._surface.get_size()
        y = height - FOOTER + 5
        end = self._write("H keys", width - MARGIN, y, 13, QUIET, True)
        taken = self._write(view.footer, MARGIN, y, 13, QUIET)
        if view.warning:
            room = width - 3 * MARGIN - taken - end
            size = 13 if _text(view.warning, 13, WARN).get_width() <= room else 10
            self._write(view.warning, MARGIN * 2 + taken, y + (13 - size) // 2, size, WARN)

    # --- on top of everything ---

    def _box(self, rect: pygame.Rect) -> None:
        shade = pygame.Surface(rect.size, pygame.SRCALPHA)
        pygame.draw.rect(shade, (10, 11, 14, 236), shade.get_rect(), border_radius=8)
        pygame.draw.rect(shade, LINE, shade.get_rect(), 1, border_radius=8)
        self._surface.blit(shade, rect)

    def _message(self, rect: pygame.Rect, head: str, line: str) -> None:
        pictures = [_text(head, 24, TEXT)] + ([_text(line, 14, QUIET)] if line else [])
        size = max(p.get_width() for p in pictures) + 36, sum(p.get_height() + 4 for p in pictures) + 16
        if size[0] > rect.width:
            return
        box = pygame.Rect((0, 0), size)
        box.center = (rect.centerx, rect.top + rect.height * 3 // 5)
        self._box(box)
        y = box.top + 9
        for picture in pictures:
            self._surface.blit(picture, (box.centerx - picture.get_width() // 2, y))
            y += picture.get_height() + 4

    def _help(self, lines: list[tuple[str, str]]) -> None:
        width, height = self._surface.get_size()
        size = next((s for s in (16, 14, 12, 10, 8) if (len(lines) + 4) * (s + 9) < height and s * 36 < width), 7)
        pitch = size + 9 if size > 8 else size + 3
        keys = max(_text(key, size, TEXT).get_width() for key, _ in lines)
        wide = keys + 28 + max(_text(what, size, TEXT).get_width() for _, what in lines) + 56
        box = pygame.Rect(0, 0, min(width, wide), min(height, pitch * len(lines) + 64))
        box.center = (width // 2, height // 2)
        self._box(box)
        y = box.top + 16
        self._write("Breakout, beside its neural twin", box.left + 28, y, size + 2, TWIN)
        y += 32
        for key, what in lines:
            self._write(key, box.left + 28 + keys, y, size, TEXT, True)
            self._write(what, box.left + 28 + keys + 24, y, size, QUIET)
            y += pitch

    def _toast(self, text: str) -> None:
        width, height = self._surface.get_size()
        picture = _text(text, 14, TEXT)
        box = pygame.Rect(0, 0, min(width, picture.get_width() + 28), 34)
        box.midbottom = (width // 2, height - FOOTER - 8)
        self._box(box)
        self._surface.blit(picture, (box.left + 14, box.top + 8))
