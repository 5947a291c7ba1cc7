"""Draws a `View` onto a pygame surface of any size: the panels and what lies over them. Decides nothing."""

import math
import re
from typing import Any

import numpy as np
import pygame
from pygame import Rect

from app import PART, style
from app.charts import Charts
from app.style import DARK, EXTRA, LEGEND, LINE, QUIET, REAL, TEXT, TONES, TWIN, WARN, Colour, Places
from app.view import View
from model.breakout import CELLS, COLUMNS, GRID_COLUMNS, GRID_ROWS, PALETTE, ROWS, Frame

_DIM, _MARK = len(PALETTE), 2 * len(PALETTE)
_COLOURS = [*map(tuple, PALETTE.tolist()), *map(tuple, (PALETTE.astype(int) * 2 // 5 + 14).tolist())]
_COLOURS += [colour for _, colour in LEGEND]


def scaled(classes: Frame, size: tuple[int, int]) -> pygame.Surface:
    """Indices into the window's colours (rows, 160) uint8, of which classes are the first nine, as a picture of a size:
    whole multiples by copying pixels, any other smoothly."""
    rows = len(classes)
    surface = pygame.image.frombuffer(classes.tobytes(), (COLUMNS, rows), "P")
    surface.set_palette(_COLOURS)
    if size[0] % COLUMNS == 0 and size[1] % rows == 0:
        return pygame.transform.scale(surface, size)
    # Copied to the next whole multiple first, edges stay sharp to a pixel when it is made smaller smoothly.
    whole = COLUMNS * math.ceil(size[0] / COLUMNS), rows * math.ceil(size[1] / rows)
    return pygame.transform.smoothscale(pygame.transform.scale(surface.convert(32), whole), size)


class Panel:
    """A screen in a size. Little changes in a step, so of the next screen only the rows that differ are scaled."""

    def __init__(self) -> None:
        self._shown, self.picture = np.zeros((0, COLUMNS), np.uint8), pygame.Surface((0, 0), 0, 32)

    def take(self, classes: Frame, size: tuple[int, int], surface: pygame.Surface) -> list[Rect]:
        """Make `picture` what `scaled` gives, in the format of `surface`. Returns the boxes in it that are new."""
        before, self._shown = self._shown, classes
        high = size[1] // ROWS
        same = self.picture.get_size() == size
        rows = np.flatnonzero((before != classes).any(1)) if same else np.arange(ROWS)
        if not len(rows):
            return []
        if not same or size != (size[0] // COLUMNS * COLUMNS, high * ROWS):
            self.picture = scaled(classes, size).convert(surface)
            return [self.picture.get_rect()]
        runs = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
        boxes = [Rect(0, int(run[0]) * high, size[0], len(run) * high) for run in runs]
        for box, run in zip(boxes, runs, strict=True):
            self.picture.blit(scaled(classes[run[0] : run[-1] + 1], box.size), box)
        return boxes


def difference(real: Frame, twin: Frame) -> tuple[Frame, bool]:
    """Indices into the window's colours (210, 160) uint8: the twin dimmed, its wrong pixels marked by their kind; and
    whether there is one."""
    wrong = real != twin
    shown, any_wrong = twin + np.uint8(_DIM), bool(wrong.any())
    if any_wrong:
        shown[wrong] = _MARK + 2
        shown[wrong & (twin == 0)] = _MARK
        shown[wrong & (real == 0)] = _MARK + 1
    return shown, any_wrong


class Painter(Charts):
    """Draws views. `paint` may be given another surface, of another size, at every call."""

    places: Places | None = None  # where the panels were last drawn

    def __init__(self) -> None:
        self._panels = {"real": Panel(), "twin": Panel()}
        self.shown = {}

    def paint(self, surface: pygame.Surface, view: View) -> None:
        """Draw all of `view` that `surface` does not show already."""
        wanted = bool(view.table or view.futures or view.memory)
        places = style.arrange(*surface.get_size(), 1 if view.real is None else 2, view.large, wanted)
        self.surface, self.unit, self.places = surface, places.unit, places
        tone, above = TONES[view.tone], bool(view.message or view.caption or view.help or view.toast)
        parts = len(view.facts), *(part is None for part in (view.futures, view.memory, view.timeline))
        if self.changes("all", surface, surface.get_size(), places, above, parts) or above:
            self.shown = {"all": self.shown["all"]}
            surface.fill(style.GROUND)
        alone = view.real is None
        twin, wrong = view.twin, False
        if view.real is not None and places.real is not None:
            strips = (view.real_strip,) if view.real_strip else ()
            self._screen("real", view.real, places.real, strips, REAL, view.recording, False, ())
            if view.difference:
                twin, wrong = difference(view.real, twin)
        codes = (view.says, *(tuple(each.tolist()) for each in view.codes)) if view.grid and view.codes else ()
        self._screen("twin", twin, places.twin, view.strips, tone, alone and view.recording, wrong, codes)
        if places.roomy:
            self._titles(places, view, tone)
            self.charts(places.info, view)
            self._footer(view)
        else:
            self._small_header(view, tone)
        if above:
            self._above(places, view)

    def _screen(
        self, name: str, classes: Frame, rect: Rect, lines: tuple[str, ...], tone: Colour, recording: bool, wrong: bool,
        codes: tuple[Any, ...],
    ) -> None:  # fmt: skip
        """A panel, and over it strips in a tone, the mark of a recording, the legend of wrong pixels, and what `_grid`
        takes. Only where something has changed anything is drawn."""
        panel, surface = self._panels[name], self.surface
        boxes = panel.take(classes, rect.size, surface)
        if self.changes(name, rect, lines, tone, recording, wrong, codes) or (codes and boxes):
            boxes = [panel.picture.get_rect()]
        for box in boxes:
            surface.set_clip(box.move(rect.topleft))
            surface.blit(panel.picture, rect)
            if codes:
                self._grid(rect, *codes)
            self._strips(rect, lines, tone, self._legend(rect) if wrong else None)
            if recording:  # a mark that stays, beside the digits
                x, y, high = rect.left + self.u(12), rect.top + rect.height * 16 // ROWS // 2, rect.height * 16 // ROWS
                pygame.draw.circle(surface, style.PARTED, (x, y), max(2, min(self.u(6), high // 3)))
                self.put("REC", (13, 11, 9), TEXT, rect.width // 5 - self.u(20), midleft=(x + self.u(12), y))
        surface.set_clip(None)

    def _above(self, places: Places, view: View) -> None:
        """What lies over everything else."""
        (width, height), u = self.surface.get_size(), self.u
        for rect in (places.twin, places.real):
            if view.message is not None and rect is not None:
                head, line = view.message
                large = [self.picture(head, 24, TEXT), *([self.picture(line, 14, QUIET)] if line else [])]
                for pictures, edge in ((large, u(18)), ([self.picture(head, 12, TEXT)], u(6))):
                    if max(picture.get_width() for picture in pictures) + 2 * edge <= rect.width:
                        self._boxed(pictures, (rect.centerx, rect.top + rect.height * 3 // 5), edge)
                        break
        if view.caption is not None:  # words of the first run, large, over the middle of the window's lower half
            head, lines = view.caption
            fit = [self.fitting(head, (26, 18, 12, 9, 7), TWIN, width - 20)]
            fit += [self.fitting(line, (17, 13, 10, 8, 6), TEXT, width - 20) for line in lines.split("\n")]
            self._boxed([picture for picture in fit if picture], (width // 2, height * 8 // 10), u(22))
        if view.help is not None:
            self._help(view.help)
        toast = self.fitting(view.toast, (15, 13, 11, 9, 8, 7, 6), TEXT, width - u(28))
        if toast is not None:
            self._boxed([toast], (width // 2, height - u(style.FOOTER + 10) - toast.get_height()), u(12))

    def _legend(self, rect: Rect) -> int:
        """What the colours of the difference say, above the wall, if it fits. Returns the row below it."""
        x, top, below = rect.left + rect.width // 10, rect.top + rect.height * 34 // ROWS, 0
        for words, colour in LEGEND:
            drawn = self.put(words, (12, 10, 8), colour, rect.right - rect.width // 10 - x, topleft=(x, top))
            x, below = (drawn.right + self.u(14), drawn.height) if drawn else (rect.right, below)
        return top + below

    def _strips(self, rect: Rect, lines: tuple[str, ...], colour: Colour, top: int | None = None) -> None:
        """Lines on a panel: the first at its foot, the others from `top` on above the wall, where they hide neither
        paddle nor ball. What does not fit in small is cut short."""
        top = rect.top + rect.height * 34 // ROWS if top is None else top
        room = rect.height * 16 // ROWS
        sizes = [size for size in (14, 12, 10, 8) if self.picture("A", size, colour).get_height() <= room]
        for number, line in enumerate(lines):
            shorter = line, line.split(":")[0], line.split(" ")[0]
            picture = self.fitting(shorter, sizes, colour, rect.width * 17 // 20)
            if picture is None:
                return
            box = Rect(0, 0, picture.get_width() + self.u(16), picture.get_height())
            box.midtop = rect.centerx, top
            if number:
                top = box.bottom
            else:
                box.bottom = rect.bottom
            self.surface.fill(DARK, box.clip(rect))
            self.surface.blit(picture, picture.get_rect(center=box.center))

    def _titles(self, places: Places, view: View, tone: Colour) -> None:
        """Above each panel its name and what is known of it. The twin's mode and accuracy stay when all else goes."""
        if places.real is not None:
            self._title(places.real, "REAL GAME", REAL, [view.real_note], QUIET)
        whole = bool(places.info and view.table) and places.info[0].height >= self.u(115)
        parts = [*filter(None, (view.mode, "" if whole else view.accuracy, view.twin_note))]
        self._title(places.twin, "NEURAL TWIN", tone, parts, tone)

    def _title(self, rect: Rect, name: str, colour: Colour, parts: list[str], tone: Colour) -> None:
        high = self.u(style.TITLE)
        if not self.clears(name, Rect(rect.left, rect.top - high, rect.width, high), parts, tone):
            return
        head = self.picture(name, 18, colour)
        words = [PART.join(parts[:count]) for count in range(len(parts), 0, -1)]
        words[-1:-1] = [f"{words[-1]}{PART}{parts[1].split(PART)[0]}"] if len(parts) > 1 else []
        at = rect.right, rect.top - self.u(4)
        if self.put(words, (15, 12), tone, rect.width - head.get_width() - self.u(16), bottomright=at):
            self.surface.blit(head, (rect.left, rect.top - self.u(26)))
        else:  # the name goes, before mode and accuracy do
            self.put(words, (13, 11, 9, 8, 7), tone, rect.width, bottomright=at)

    def _small_header(self, view: View, tone: Colour) -> None:
        """Mode and accuracy over the whole width of a small window, in one line or in two."""
        width, high = self.surface.get_width(), style.HEADER
        if not self.clears("header", Rect(0, 0, width, high), view.mode, view.accuracy, tone):
            return
        room, whole = width - 8, PART.join(filter(None, (view.mode, view.accuracy)))
        if not self.put(whole, (12, 10), tone, room, topleft=(4, 6)):
            self.put((view.mode, view.mode.split(",")[0]), (10, 8, 7, 6), tone, room, topleft=(4, 0))
            self.put((view.accuracy, view.accuracy.split(PART)[0]), (10, 8, 7, 6), tone, room, topleft=(4, 10))

    def _grid(self, rect: Rect, says: list[str], predicted: tuple[int, ...], actual: tuple[int, ...]) -> None:
        """The cells, with those that are wrong, and what the codes of those that change say, if `says` tells."""
        surface, brighten = self.surface, pygame.BLEND_RGB_ADD
        across, down = rect.width / GRID_COLUMNS, rect.height / GRID_ROWS
        for column in range(1, GRID_COLUMNS):
            surface.fill((46, 46, 46), (rect.left + int(column * across), rect.top, 1, rect.height), brighten)
        for row in range(1, GRID_ROWS):
            surface.fill((46, 46, 46), (rect.left, rect.top + int(row * down), rect.width, 1), brighten)
        for cell in range(CELLS):
            column, row = divmod(cell, GRID_ROWS)
            box = Rect(round(column * across), round(row * down), round(across), round(down)).move(rect.topleft)
            code, truth = predicted[cell], actual[cell]
            if code != truth:
                surface.fill([part // 4 for part in EXTRA], box, brighten)
                pygame.draw.rect(surface, EXTRA, box, 2)
            if says and (code or truth):
                words, number = [says[code]], f"{code}"
                if code != truth:
                    words, number = [says[code], f"is: {says[truth]}"], f"{code}\N{RIGHTWARDS ARROW}{truth}"
                self._spell(box, words, number, code == truth)

    def _spell(self, box: Rect, words: list[str], number: str, right: bool) -> None:
        """Words in a cell, in few lines or in more, or where there is no room for them a code's number, or nothing: it
        is the game that must be seen."""
        wordings = [[line for each in words for line in re.split(at, each)] for at in ("; ", "; |, ")]
        for lines in (*wordings, [number]):
            for size in (12, 10, 8):
                pictures = [self.picture(line, size, TEXT if right else WARN) for line in lines]
                wide, high = max(p.get_width() for p in pictures), sum(p.get_height() for p in pictures)
                if wide <= box.width - self.u(8) and high <= box.height - self.u(4):
                    x, y = box.left + self.u(3), box.top + self.u(3)
                    self.surface.fill((110, 110, 110), (x, y, wide + 4, high), pygame.BLEND_RGB_MULT)
                    for picture in pictures:
                        self.surface.blit(picture, (x + 2, y))
                        y += picture.get_height()
                    return

    def _footer(self, view: View) -> None:
        """The keys that everybody needs at the right, pace at the left; a notice takes the place of the pace."""
        width, height = self.surface.get_size()
        edge, y, high = self.u(style.MARGIN), height - self.u(style.FOOTER - 6), self.u(style.FOOTER)
        if not self.clears("footer", Rect(0, height - high, width, high), view.tick, view.action, view.warning):
            return
        room, shorter = width - 2 * edge, (view.hints, view.hints.split("   ")[0])
        hints = self.put(shorter, (13, 11), QUIET, room, topright=(width - edge, y))
        room = hints.left - 2 * edge if hints else room
        words, colour = (view.footer, view.footer.split("   ")[0]), QUIET
        if view.warning:
            words, colour = (view.warning, view.warning.split(": ")[-1]), WARN
        self.put(words, (13, 11), colour, room, topleft=(edge, y))

    def _box(self, rect: Rect) -> None:
        shade = pygame.Surface(rect.size, pygame.SRCALPHA)
        pygame.draw.rect(shade, (*DARK, 244), shade.get_rect(), border_radius=8)
        pygame.draw.rect(shade, LINE, shade.get_rect(), 1, border_radius=8)
        self.surface.blit(shade, rect)

    def _boxed(self, pictures: list[pygame.Surface], centre: tuple[int, int], edge: int) -> None:
        """Pictures below each other in a box round a point, which is moved to lie inside the window."""
        high = sum(p.get_height() + 4 for p in pictures)
        box = Rect(0, 0, max((p.get_width() for p in pictures), default=0) + 2 * edge, high + edge)
        box.center = centre
        box.clamp_ip(self.surface.get_rect())
        self._box(box)
        y = box.centery - high // 2 + 2
        for picture in pictures:
            self.surface.blit(picture, (box.centerx - picture.get_width() // 2, y))
            y += picture.get_height() + 4

    def _help(self, lines: list[tuple[str, str]]) -> None:
        """All keys in one column, or in two where the window is not high enough for one of a legible size; a narrow
        window has one in small."""
        width, height = self.surface.get_size()
        sizes = (16, 1), (14, 1), (13, 2), (11, 2), (9, 2), (8, 2), (6, 2), (12, 1), (11, 1), (9, 1), (8, 1), (6, 1)
        for size, columns in sizes:
            pitch, edge, gap = self.u(size * 1.5 + 1), self.u(size * 1.7), self.u(size * 1.5)
            keys, words = (max(self.picture(line[i], size, TEXT).get_width() for line in lines) for i in (0, 1))
            wide, rows = keys + gap + words, math.ceil(len(lines) / columns)
            box = Rect(0, 0, columns * (wide + edge) + edge, rows * pitch + 2 * edge + pitch)
            if box.width <= width and box.height <= height:
                break
        box.center = (width // 2, height // 2)
        box.left, box.top = max(0, box.left), max(0, box.top)
        self._box(box)
        y = box.top + edge // 2
        self.put("any key goes on", size + 1, TWIN, topleft=(box.left + edge, y))
        self.put("a click serves; then the mouse steers", size, QUIET, topright=(box.right - edge, y))
        for number, (key, what) in enumerate(lines):
            column, row = divmod(number, rows)
            x, y = box.left + edge + column * (wide + edge) + keys, box.top + edge + pitch * (row + 1)
            self.put(key, size, TEXT, topright=(x, y))
            self.put(what, size, QUIET, topleft=(x + gap, y))
