"""The real window: pygame's events in, commands out; views drawn. `NoWindow` is the same without a screen."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

# Before pygame is imported: no greeting on stdout, which belongs to the program's own output.
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
if sys.platform.startswith("linux"):
    # Without a GPU, SDL's "accelerated" way to the screen draws by software: 6 ms a picture, and 0.5 ms without it.
    os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")

import pygame

from app import style
from app.draw import Painter
from app.gamepad import Gamepads
from app.keys import Held, KeyMap
from app.view import View
from model.breakout import COLUMNS, Action
from model.files import write_atomic

TITLE = "Breakout, beside its neural twin"
SMALLEST = 240, 160
_LOST_SECONDS = 2.0
_MOUSE = "mouse"
NO_SCREEN = "no display: play opens a window; without a screen use: python main.py play --headless --frames 300"


class NoWindow:
    """Headless: no events, nothing drawn. What the loop needs of a window."""

    lost = False
    """Whether keys seem to go elsewhere."""

    def __init__(self, keys: KeyMap) -> None:
        self.held = Held(keys)
        self.pressed = 0
        """Keys and buttons that have gone down so far."""

    def poll(self, seconds: float) -> list[str]:
        """Wait up to `seconds` for events; the commands they give, "" for one that only asks for a new picture."""
        return []

    def show(self, make: Callable[[], View]) -> None:
        """Draw the view that `make` gives."""

    def is_held(self, command: str) -> bool:
        """Whether the key of a command is down."""
        return False

    def toggle_fullscreen(self) -> None:
        """Full screen at the desktop's own resolution, and back."""

    def screenshot(self, path: Path) -> None:
        """Write what is shown as PNG; OSError if it cannot be written."""
        raise OSError("there is no window")


def _has_display() -> bool:
    """Asked before SDL is, which would try every driver it knows and let each of them complain."""
    known = ("SDL_VIDEODRIVER", "SDL_VIDEO_DRIVER", "DISPLAY", "WAYLAND_DISPLAY")
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in known)


def display_driver() -> str | None:
    """SDL's video driver and the size of the desktop, for people to read; None where no display is set up.

    Raises ValueError if one is set up and does not open.
    """
    if not _has_display():
        return None
    try:
        pygame.display.init()
        width, height = pygame.display.get_desktop_sizes()[0]
        return f"{pygame.display.get_driver()}, {width} x {height}"
    except pygame.error as error:
        raise ValueError(f"a display is set up and does not open: {error}") from None
    finally:
        pygame.display.quit()


class Window(NoWindow):
    """A resizable window in front, with the focus. Raises ValueError where there is no display."""

    def __init__(self, keys: KeyMap, fullscreen: bool = False) -> None:
        super().__init__(keys)
        if not _has_display():
            raise ValueError(NO_SCREEN)
        try:
            pygame.display.init()
            pygame.font.init()
            bounds = pygame.display.get_desktop_sizes()[0]
            size = min(style.USUAL[0], bounds[0]), min(style.USUAL[1], bounds[1] - 60)
            self._window = pygame.Window(TITLE, size, resizable=True)
            self._window.minimum_size = SMALLEST
            self._window.set_icon(_icon())
            self._window.get_surface()
        except pygame.error:
            pygame.quit()
            raise ValueError(NO_SCREEN) from None
        self._window.focus()
        pygame.key.stop_text_input()  # an input method would swallow letters
        pygame.event.set_blocked([pygame.TEXTINPUT, pygame.FINGERMOTION])
        self._keys, self._pads = keys, Gamepads(self.held)
        self._commands_down: dict[str, str] = {}
        self._painter = Painter()
        self._last_key = time.monotonic()
        self._fullscreen = False
        if fullscreen:
            self.toggle_fullscreen()

    def say(self, words: str) -> None:
        """An empty window with a line in its middle, before there is a game to show."""
        surface = self._window.get_surface()
        surface.fill(style.GROUND)
        lines = [style.text(TITLE, 24, style.TWIN), style.text(words, 16, style.QUIET)]
        for number, picture in enumerate(lines):
            middle = surface.get_width() // 2, surface.get_height() // 2 + 40 * number - 20
            surface.blit(picture, picture.get_rect(center=middle))
        self._window.flip()

    def open_pads(self) -> None:
        """Look for gamepads; that may take a moment, so it is not done while the window opens."""
        pygame.joystick.init()

    def poll(self, seconds: float) -> list[str]:
        """Sleeps in between, so a pause costs nothing."""
        commands = []
        first = pygame.event.wait(round(seconds * 1000)) if seconds >= 0.001 else pygame.event.poll()
        for event in [first, *pygame.event.get()]:
            command = self._take(event)
            if command is not None:
                commands.append(command)
        return commands

    def _take(self, event: pygame.event.Event) -> str | None:
        if event.type in (pygame.QUIT, pygame.WINDOWCLOSE):
            return "quit"
        if event.type == pygame.KEYDOWN:
            return self._key_down(event)
        if event.type == pygame.KEYUP:
            key = self._name(event)
            self.held.release(key)
            return "" if self._commands_down.pop(key, None) else None
        if event.type == pygame.WINDOWFOCUSLOST:
            self.held.release_all()
            self._commands_down.clear()
            return ""
        if event.type in (pygame.WINDOWEXPOSED, pygame.WINDOWSIZECHANGED, pygame.WINDOWFOCUSGAINED):
            return ""
        if event.type in (pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP, pygame.MOUSEMOTION):
            return self._mouse(event)
        self.pressed += event.type == pygame.JOYBUTTONDOWN
        return self._pads.handle(event)

    def _key_down(self, event: pygame.event.Event) -> str | None:
        self._last_key = time.monotonic()
        self.pressed += 1
        if event.mod & (pygame.KMOD_CTRL | pygame.KMOD_LALT | pygame.KMOD_META):
            return None  # Alt+Tab is the window manager's
        key = self._name(event)
        command = self.held.press(key, bool(event.mod & pygame.KMOD_SHIFT))
        if command is not None:
            self._commands_down[key] = command
        return command or ""

    def _name(self, event: pygame.event.Event) -> str:
        return self._keys.meant(pygame.key.name(event.key).lower(), event.scancode)

    def _mouse(self, event: pygame.event.Event) -> str | None:
        """The left button serves, and from then on the pointer steers until a key does."""
        if event.type == pygame.MOUSEMOTION:
            if self.held.aim is not None:
                self.held.point(self._column(event.pos[0]))
        elif event.button == pygame.BUTTON_LEFT:
            if event.type == pygame.MOUSEBUTTONUP:
                self.held.release(_MOUSE)
                return None
            self.pressed += 1
            self.held.hold(_MOUSE, Action.FIRE)
            self.held.point(self._column(event.pos[0]))
            return ""
        return None

    def _column(self, x: int) -> float:
        """The column of the game, 0..160, under the pointer: in the panel that it is over or nearest to."""
        places = self._painter.places
        if places is None:
            return COLUMNS / 2
        panels = [panel for panel in (places.real, places.twin) if panel is not None]
        panel = min(panels, key=lambda rect: max(rect.left - x, x - rect.right, 0))
        return min(1.0, max(0.0, (x - panel.left) / panel.width)) * COLUMNS

    def is_held(self, command: str) -> bool:
        return command in self._commands_down.values()

    @property
    def lost(self) -> bool:  # type: ignore[override]
        """No focus, and no key has come for two seconds."""
        return not self._window.focused and time.monotonic() - self._last_key > _LOST_SECONDS

    def show(self, make: Callable[[], View]) -> None:
        self._painter.paint(self._window.get_surface(), make())
        self._window.flip()

    def toggle_fullscreen(self) -> None:
        self._fullscreen = not self._fullscreen
        if self._fullscreen:
            self._window.set_fullscreen(desktop=True)
        else:
            self._window.set_windowed()

    def screenshot(self, path: Path) -> None:
        data = io.BytesIO()
        pygame.image.save(self._window.get_surface(), data, "shot.png")
        write_atomic(path, lambda file: file.write(data.getvalue()))

    def close(self) -> None:
        """Close the window; pygame is done."""
        self._window.destroy()
        style.forget_fonts()
        pygame.quit()


def _icon() -> pygame.Surface:
    """A paddle, a ball and three bricks."""
    icon = pygame.Surface((32, 32))
    icon.fill(style.GROUND)
    for row, colour in enumerate((style.REAL, style.TWIN, style.REAL)):
        pygame.draw.rect(icon, colour, (3, 4 + row * 4, 26, 3))
    pygame.draw.rect(icon, style.TEXT, (18, 19, 3, 3))
    pygame.draw.rect(icon, style.TEXT, (9, 27, 13, 2))
    return icon
