"""The real window: pygame's events in, commands out; views drawn. `NoWindow` is the same without a screen."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

# Before pygame is imported: no greeting on stdout, which belongs to the program's own output.
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
if sys.platform.startswith("linux"):
    # Without a GPU, SDL's "accelerated" way to the screen draws by software: 6 ms a picture, and 0.5 ms without it.
    os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")

import pygame

from app import overlay, style
from app.gamepad import Gamepads
from app.keys import SHIFT, Held, KeyMap
from app.view import View
from model.files import write_atomic

TITLE = "Breakout, beside its neural twin"
SMALLEST = 240, 160
_LOST_SECONDS = 2.0
NO_SCREEN = "no display: play opens a window; without a screen use: python main.py play --headless --frames 300"


class Screen(Protocol):
    """What the loop needs of a window."""

    held: Held

    def poll(self, seconds: float) -> list[str]:
        """Wait up to `seconds` for events; the commands they give, "" for one that only asks for a new picture."""
        ...

    def show(self, make: Callable[[], View]) -> None:
        """Draw the view that `make` gives."""
        ...

    def is_held(self, command: str) -> bool:
        """Whether the key of a command is down."""
        ...


class NoWindow:
    """Headless: no events, nothing drawn."""

    def __init__(self, keys: KeyMap) -> None:
        self.held = Held(keys)

    def poll(self, seconds: float) -> list[str]:
        """See `Screen.poll`; returns at once."""
        return []

    def show(self, make: Callable[[], View]) -> None:
        """Nothing to show; the view is not even made."""

    def is_held(self, command: str) -> bool:
        """No key ever is."""
        return False


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


class Window:
    """A resizable window in front, with the focus. Raises ValueError where there is no display."""

    def __init__(self, keys: KeyMap, fullscreen: bool = False) -> None:
        if not _has_display():
            raise ValueError(NO_SCREEN)
        try:
            pygame.display.init()
            pygame.font.init()
            pygame.joystick.init()
            bounds = pygame.display.get_desktop_sizes()[0]
            size = min(overlay.USUAL[0], bounds[0]), min(overlay.USUAL[1], bounds[1] - 60)
            self._window = pygame.Window(TITLE, size, resizable=True)
            self._window.minimum_size = SMALLEST
            self._window.set_icon(_icon())
            self._window.get_surface()
        except pygame.error:
            pygame.quit()
            raise ValueError(NO_SCREEN) from None
        self._window.focus()
        pygame.event.set_blocked([pygame.MOUSEMOTION, pygame.TEXTINPUT, pygame.FINGERMOTION])
        self.held = Held(keys)
        self._pads = Gamepads(self.held)
        self._commands_down: dict[str, str] = {}
        self._painter = overlay.Painter()
        self._last_key = time.monotonic()
        self._fullscreen = False
        if fullscreen:
            self.toggle_fullscreen()

    def poll(self, seconds: float) -> list[str]:
        """See `Screen.poll`. Sleeps in between, so a pause costs nothing."""
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
            self._last_key = time.monotonic()
            key = _key_name(event.key)
            command = self.held.press(key, bool(event.mod & pygame.KMOD_SHIFT))
            if command is not None:
                self._commands_down[key] = command
            return command or ""
        if event.type == pygame.KEYUP:
            key = _key_name(event.key)
            self.held.release(key)
            return "" if self._commands_down.pop(key, None) else None
        if event.type == pygame.WINDOWFOCUSLOST:
            self.held.release_all()
            self._commands_down.clear()
            return ""
        if event.type in (pygame.WINDOWEXPOSED, pygame.WINDOWSIZECHANGED, pygame.WINDOWFOCUSGAINED):
            return ""
        return self._pads.handle(event)

    def is_held(self, command: str) -> bool:
        """See `Screen.is_held`."""
        return command in self._commands_down.values()

    @property
    def lost(self) -> bool:
        """Whether keys seem to go elsewhere: no focus, and none has come for two seconds."""
        return not self._window.focused and time.monotonic() - self._last_key > _LOST_SECONDS

    def show(self, make: Callable[[], View]) -> None:
        """See `Screen.show`."""
        self._painter.paint(self._window.get_surface(), make())
        self._window.flip()

    def toggle_fullscreen(self) -> None:
        """Full screen at the desktop's own resolution, and back."""
        self._fullscreen = not self._fullscreen
        if self._fullscreen:
            self._window.set_fullscreen(desktop=True)
        else:
            self._window.set_windowed()

    def screenshot(self, path: Path) -> None:
        """Write what the window shows as PNG. Raises OSError if it cannot be written."""
        data = io.BytesIO()
        pygame.image.save(self._window.get_surface(), data, "shot.png")
        write_atomic(path, lambda file: file.write(data.getvalue()))

    def close(self) -> None:
        """Close the window; pygame is done."""
        self._window.destroy()
        style.forget_fonts()
        pygame.quit()


def check_keys(keys: KeyMap) -> None:
    """ValueError if the key map names a key that pygame does not know."""
    pygame.display.init()  # key names depend on the keyboard's layout
    for key in [*keys.play, *keys.commands]:
        try:
            pygame.key.key_code(key.removeprefix(SHIFT))
        except ValueError:
            raise ValueError(f"the key map names a key {key!r} that does not exist") from None


def _key_name(key: int) -> str:
    return pygame.key.name(key).lower()


def _icon() -> pygame.Surface:
    """A paddle, a ball and three bricks."""
    icon = pygame.Surface((32, 32))
    icon.fill(style.GROUND)
    for row, colour in enumerate((style.REAL, style.TWIN, style.REAL)):
        pygame.draw.rect(icon, colour, (3, 4 + row * 4, 26, 3))
    pygame.draw.rect(icon, style.TEXT, (18, 19, 3, 3))
    pygame.draw.rect(icon, style.TEXT, (9, 27, 13, 2))
    return icon
