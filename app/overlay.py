"""Draws a `View` onto a pygame surface of any size: two televisions, the table, the timeline. Decides nothing."""

from __future__ import annotations

import math

import numpy as np
import pygame

from app import style
from app.panel import TELEVISION, difference, panel_size, screen_of
from app.style import EXTRA, GROUND, LINE, MARKS, MISSING, QUIET, RAISED, REAL, RECOLOURED, TEXT, TONES, TWIN, WARN
from app.view import PART, Timeline, View
from model.breakout import ACTIONS, CELLS, COLUMNS, GRID_COLUMNS, GRID_ROWS, ROWS, Action, Frame

USUAL = 1344, 772
"""The window's size at which lengths here are pixels; in a larger one words and margins grow with it."""
MARGIN, HEADER, FOOTER, LOWER = 14, 38, 30, 196
LEGEND = (("missing", MISSING), ("not there in the real game", EXTRA), ("other colour", RECOLOURED))
SHORT_LEGEND = (("missing", MISSING), ("extra", EXTRA), ("recoloured", RECOLOURED))


class Painter:
    """Draws views. `paint` may be given another surface, of another size, at every call."""

    def paint(self, surface: pygame.Surface, view: View) -> None:
        """Draw all of `view`."""
        self._surface = surface
        surface.fill(GROUND)
        width, height = surface.get_size()
        self._unit = max(1.0, min(width / USUAL[0], height / USUAL[1]))
        u = self._u
        roomy = width >= 640 and height >= 400
        margin, header = (u(MARGIN), u(HEADER)) if roomy else (2, 0)
        spare = u(FOOTER) if roomy else 0
        count = 1 if view.real is None else 2
        lower = roomy and height >= u(560) and (count == 2 or view.futures is not None)
        below = u(LOWER) if lower else spare
        box = ((width - (count + 1) * margin) // count, height - header - below - margin)
        size = panel_size(*box)
        top = header + max(0, min((box[1] - size[1]) // 2, u(16) if lower else height))
        rects = [
            pygame.Rect(margin + (box[0] + margin) * i + (box[0] - size[0]) // 2, top, *size) for i in range(count)
        ]
        self._panel(rects[-1], self._twin_screen(view))
        if view.real is not None:
            self._panel(rects[0], view.real)
        if view.grid and view.codes is not None:
            self._grid(rects[-1], view)
        if view.difference and view.real is not None and roomy:
            self._legend(rects[-1], view.grid > 1)
        if roomy:
            self._titles(rects, view)
            if lower:
                self._lower(rects, view)
            self._footer(view)
        if view.message is not None:
            for rect in rects:
                self._message(rect, *view.message)
        if view.help is not None:
            self._help(view.help)
        if view.toast:
            self._toast(view.toast)

    def _u(self, length: float) -> int:
        """A length in the usual window, in this one."""
        return round(length * self._unit)

    def _text(self, words: str, size: int, colour: style.Colour) -> pygame.Surface:
        return style.text(words, self._u(size), colour)

    def _write(
        self, words: str, x: int, y: int, size: int = 15, colour: style.Colour = TEXT, right: bool = False
    ) -> int:
        """Write at the left (or, `right`, the right) end x; returns the width taken."""
        picture = self._text(words, size, colour)
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

    def _legend(self, rect: pygame.Rect, numbers: bool) -> None:
        """What the colours of the difference say, in the black strip below the playing field, if it fits."""
        u = self._u
        for legend in (LEGEND, SHORT_LEGEND):
            pictures = [self._text(words, 12, colour) for words, colour in legend]
            taken = sum(picture.get_width() + u(16) for picture in pictures)
            if taken <= rect.width and rect.height >= u(400 if numbers else 190):
                self._surface.fill((6, 6, 8), (rect.left, rect.bottom - u(21), taken, u(21)))
                x = rect.left + u(8)
                for picture in pictures:
                    self._surface.blit(picture, (x, rect.bottom - u(19)))
                    x += picture.get_width() + u(16)
                return

    def _titles(self, rects: list[pygame.Rect], view: View) -> None:
        u = self._u
        y = rects[0].top - u(28)
        names = [("REAL GAME", view.real_note, REAL), ("NEURAL TWIN", view.twin_note, TONES[view.twin_tone])]
        for rect, (name, note, colour) in zip(rects, names[-len(rects) :], strict=True):
            room = rect.width - self._write(name, rect.left, y, 18, colour) - u(16)
            tone = QUIET if name == "REAL GAME" else colour
            parts = note.split(PART)
            # What does not fit at either size is left off from the end.
            fits = (
                (PART.join(parts[:count]), size)
                for count in range(len(parts), 0, -1)
                for size in (15, 12)
                if self._text(PART.join(parts[:count]), size, tone).get_width() <= room
            )
            words, size = next(fits, ("", 12))
            self._write(words, rect.right, y + u(3 if size == 15 else 6), size, tone, True)

    def _grid(self, rect: pygame.Rect, view: View) -> None:
        assert view.codes is not None
        predicted, actual = view.codes
        surface, brighten, darken = self._surface, pygame.BLEND_RGB_ADD, pygame.BLEND_RGB_MULT
        across, down = rect.width / GRID_COLUMNS, rect.height / GRID_ROWS
        for column in range(1, GRID_COLUMNS):
            surface.fill((46, 46, 46), (rect.left + int(column * across), rect.top, 1, rect.height), brighten)
        for row in range(1, GRID_ROWS):
            surface.fill((46, 46, 46), (rect.left, rect.top + int(row * down), rect.width, 1), brighten)
        u = self._u
        size = 13 if across >= u(90) else 10
        numbers = view.grid > 1 and across >= u(52) and down >= u(24)  # elsewhere they would hide the game
        for cell in range(CELLS):
            column, row = divmod(cell, GRID_ROWS)
            box = pygame.Rect(round(column * across), round(row * down), round(across), round(down)).move(rect.topleft)
            right = predicted[cell] == actual[cell]
            if not right:
                surface.fill([part // 4 for part in EXTRA], box, brighten)
                pygame.draw.rect(surface, EXTRA, box, 2)
            if numbers and not (right and actual[cell] == 0):
                words = str(actual[cell]) if right else f"{predicted[cell]}\N{RIGHTWARDS ARROW}{actual[cell]}"
                picture = self._text(words, size, TEXT if right else WARN)
                back = pygame.Rect(box.left + u(3), box.top + u(3), picture.get_width() + 4, picture.get_height())
                surface.fill((65, 65, 65), back, darken)
                surface.blit(picture, (back.left + 2, back.top))

    # --- below the panels ---

    def _lower(self, rects: list[pygame.Rect], view: View) -> None:
        """Table and timeline side by side under their panels, or below each other where the window is high."""
        u = self._u
        top, bottom = rects[0].bottom + u(12), self._surface.get_height() - u(FOOTER + 4)
        wide, high = self._surface.get_width() - 2 * u(MARGIN), bottom - top
        width = (wide - u(MARGIN)) // 2
        if len(rects) == 1:
            left = right = pygame.Rect(rects[0].left, top, rects[0].width, high)
        elif width < u(470) and high >= u(320):
            left = pygame.Rect(u(MARGIN), top, wide, u(170))
            right = pygame.Rect(u(MARGIN), top + u(170), wide, high - u(170))
        else:
            left = pygame.Rect(u(MARGIN), top, width, high)
            right = pygame.Rect(2 * u(MARGIN) + width, top, width, high)
            if rects[0].width >= u(560):  # in line with the panels above
                left.left, left.width = rects[0].left, rects[0].width
                right.left, right.width = rects[1].left, rects[1].width
        y = self._table(left, view.table) if view.table else left.top
        for fact in view.facts:
            if y + u(20) <= left.bottom:
                self._write(fact, left.left, y, 13, QUIET)
                y += u(20)
        if view.futures is not None:
            right = self._futures(right, view.futures, view.action)
        if view.timeline is not None and right.height >= u(60):
            right.height = min(right.height, u(260))
            self._timeline(right, view.timeline)

    def _table(self, area: pygame.Rect, rows: list[tuple[str, str, str, str, str]]) -> int:
        u = self._u
        size = next((s for s in (14, 12, 11) if u(s) * 26 < area.width), 10)
        # Where the longest baseline has no room, its words go and its number stays.
        shares = (0.375, 0.515, 0.655, 0.70)
        longest = max(self._text(row[4], size - 1, QUIET).get_width() for row in rows)
        spell = area.width * (1 - shares[3]) >= longest
        if not spell:
            shares = (0.46, 0.62, 0.78, 0.82)
        stops = [area.left, *(area.left + int(area.width * share) for share in shares)]
        y = area.top
        for number, (name, now, recent, total, free) in enumerate(rows):
            head = number == 0
            self._write(name, stops[0], y, size, QUIET)
            for stop, words in zip(stops[1:4], (now, recent, total), strict=True):
                self._write(words, stop, y, size, QUIET if head else TEXT, True)
            words = free if spell else "base" if head else free.split(" ")[0]
            self._write(words, stops[4], y, size if head else size - 1, QUIET)
            y += u(24 if head else 23)
        rule = area.top + u(21)
        pygame.draw.line(self._surface, LINE, (area.left, rule), (area.right, rule))
        return y + u(4)

    def _futures(self, area: pygame.Rect, futures: Frame, action: int) -> pygame.Rect:
        """Four small televisions; what is left of the area below them."""
        u = self._u
        room = (area.width - 3 * u(10) - 4) / ACTIONS  # the frames stand out by two pixels on either side
        height = min(int(room / TELEVISION), u(150), max(u(60), area.height - u(18 + 100)))
        width = min(int(room), round(height * TELEVISION))
        for number, name in enumerate(Action.__members__):
            box = pygame.Rect(area.left + 2 + number * (width + u(10)), area.top + u(18), width, height)
            chosen = number == action
            self._write(name.lower(), box.left, area.top - u(1), 13, TWIN if chosen else QUIET)
            big = pygame.Surface((COLUMNS, ROWS), 0, 24)
            big.blit(screen_of(futures[number]), (0, 0))
            self._surface.blit(pygame.transform.smoothscale(big, box.size), box)
            pygame.draw.rect(self._surface, TWIN if chosen else LINE, box.inflate(4, 4), 2 if chosen else 1)
        taken = u(18) + height + u(10)
        return pygame.Rect(area.left, area.top + taken, area.width, area.height - taken)

    def _timeline(self, area: pygame.Rect, timeline: Timeline) -> None:
        u = self._u
        plot = pygame.Rect(area.left, area.top + u(18), area.width, area.height - u(18))
        pygame.draw.rect(self._surface, RAISED, plot)
        x = area.left + self._write("codes right", area.left, area.top - u(1), 13, REAL) + u(16)
        self._write("wrong pixels", x, area.top - u(1), 13, TWIN)
        seconds = "last 30 s"
        self._write(seconds, area.right, area.top - u(1), 13, QUIET, True)
        # Where several steps share a column of pixels, the worst of them shows.
        step = plot.width / timeline.span
        xs, first = np.unique(plot.right - np.arange(len(timeline.codes), 0, -1) * step // 1, return_index=True)
        if len(xs) > 1:
            codes, wrong = np.minimum.reduceat(timeline.codes, first), np.maximum.reduceat(timeline.wrong, first)
            # Wrong pixels by their logarithm: one stray pixel shows, and a lost ball does not hide everything else.
            heights = np.log2(1 + wrong) / math.log2(1 + ROWS * COLUMNS) * (plot.height - 2)
            low = plot.bottom - 1
            outline = [(xs[0], low), *zip(xs, low - heights, strict=True), (xs[-1], low)]
            pygame.draw.polygon(self._surface, (112, 76, 36), outline)
            pygame.draw.aalines(self._surface, TWIN, False, outline[1:-1])
            ys = plot.top + 3 + (1 - codes / CELLS) * plot.height
            points = np.stack((xs, np.minimum(ys, low)), 1)
            pygame.draw.aalines(self._surface, REAL, False, points.tolist())
        marks = [(plot.right - round(ago * step), what) for ago, what in reversed(timeline.marks)]
        for at, what in marks:
            pygame.draw.line(self._surface, MARKS.get(what, TONES["dream"]), (at, plot.top), (at, plot.bottom - 1))
        free = plot.right + 1
        for at, what in marks:
            label = self._text(what, 11, MARKS.get(what, TONES["dream"]))
            box = label.get_rect(bottomright=(at - 3, plot.bottom - 2))
            if plot.left < box.left and at <= free:  # the newest has its name, and of the others those with room
                self._surface.fill(RAISED, box)
                self._surface.blit(label, box)
                free = box.left - 3

    def _footer(self, view: View) -> None:
        u = self._u
        width, height = self._surface.get_size()
        y = height - u(FOOTER - 5)
        end = self._write("H keys", width - u(MARGIN), y, 13, QUIET, True)
        footer = self._text(view.footer, 13, QUIET).get_width() + u(MARGIN)
        room = width - 3 * u(MARGIN) - end
        # Where both have no room the warning goes before the rest, and small where even alone it has none.
        places = ((13, footer), (10, footer), (13, 0), (10, 0))
        fits = (place for place in places if self._text(view.warning, place[0], WARN).get_width() <= room - place[1])
        size, left = next(fits, places[-1])
        if left or not view.warning:
            self._write(view.footer, u(MARGIN), y, 13, QUIET)
        if view.warning:
            self._write(view.warning, u(MARGIN) + left, y + u((13 - size) / 2), size, WARN)

    # --- on top of everything ---

    def _box(self, rect: pygame.Rect) -> None:
        shade = pygame.Surface(rect.size, pygame.SRCALPHA)
        pygame.draw.rect(shade, (10, 11, 14, 244), shade.get_rect(), border_radius=8)
        pygame.draw.rect(shade, LINE, shade.get_rect(), 1, border_radius=8)
        self._surface.blit(shade, rect)

    def _message(self, rect: pygame.Rect, head: str, line: str) -> None:
        u = self._u
        pictures = [self._text(head, 24, TEXT)] + ([self._text(line, 14, QUIET)] if line else [])
        size = max(p.get_width() for p in pictures) + u(36), sum(p.get_height() + 4 for p in pictures) + u(16)
        if size[0] > rect.width:  # a small panel: the head alone, in small
            pictures = [self._text(head, 12, TEXT)]
            size = pictures[0].get_width() + u(12), pictures[0].get_height() + u(8)
        if size[0] > rect.width:
            return
        box = pygame.Rect((0, 0), size)
        box.center = (rect.centerx, rect.top + rect.height * 3 // 5)
        self._box(box)
        y = box.centery - sum(p.get_height() + 4 for p in pictures) // 2 + 2
        for picture in pictures:
            self._surface.blit(picture, (box.centerx - picture.get_width() // 2, y))
            y += picture.get_height() + 4

    def _help(self, lines: list[tuple[str, str]]) -> None:
        """All keys in one column, or in two where the window is not high enough for one of a legible size."""
        width, height = self._surface.get_size()
        for size, columns in ((16, 1), (14, 1), (13, 2), (11, 2), (9, 2), (8, 2), (6, 2)):
            pitch, edge = self._u(size * 1.5 + 1), self._u(size * 1.7)
            keys = max(self._text(key, size, TEXT).get_width() for key, _ in lines)
            wide = keys + self._u(size * 1.5) + max(self._text(what, size, QUIET).get_width() for _, what in lines)
            rows = math.ceil(len(lines) / columns)
            box = pygame.Rect(0, 0, columns * (wide + edge) + edge, rows * pitch + 2 * edge + pitch)
            if box.width <= width and box.height <= height:
                break
        box.center = (width // 2, height // 2)
        box.left, box.top = max(0, box.left), max(0, box.top)
        self._box(box)
        self._write("Breakout, beside its neural twin", box.left + edge, box.top + edge // 2, size + 2, TWIN)
        for number, (key, what) in enumerate(lines):
            column, row = divmod(number, rows)
            x, y = box.left + edge + column * (wide + edge), box.top + edge + pitch * (row + 1)
            self._write(key, x + keys, y, size, TEXT, True)
            self._write(what, x + keys + self._u(size * 1.5), y, size, QUIET)

    def _toast(self, words: str) -> None:
        u = self._u
        width, height = self._surface.get_size()
        pictures = [self._text(words, size, TEXT) for size in (14, 12, 10, 8, 6)]
        picture = next((p for p in pictures if p.get_width() + u(28) <= width), pictures[-1])
        box = pygame.Rect(0, 0, picture.get_width() + u(28), u(34))
        box.midbottom = (width // 2, height - u(FOOTER + 8))
        self._box(box)
        self._surface.blit(picture, picture.get_rect(center=box.center))
