"""The real window: events of pygame's in, commands out; views drawn; and sound. `NoWindow` is one without a screen."""

import io
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pygame
from pygame.event import Event

from app import style
from app.draw import Painter
from app.keys import Held, KeyMap
from app.session import Session
from app.view import View
from collect import ram
from model.breakout import COLUMNS, Action
from model.files import write_atomic

TITLE = "Breakout, beside its neural twin"
SMALLEST = 240, 160
BUTTONS = {0: "fire", 1: "rewind", 2: "dream", 3: "resync", 6: "help", 7: "restart"}  # A, B, X, Y, Back, Start
_LOST_SECONDS, _TILT = 2.0, 0.5
_RATE, _TONE_SECONDS, _LOUDNESS = 22050, 0.07, 5000
PITCHES: dict[str | int, int] = {"wall": 165, "paddle": 247, 1: 330, 4: 440, 7: 587}  # hertz; bricks by points


class NoWindow:
    """Headless: no events, nothing drawn. What the loop needs of a window."""

    lost = False  # whether keys seem to go elsewhere
    pressed = 0  # keys and buttons that have gone down so far

    def __init__(self, keys: KeyMap) -> None:
        self.held = Held(keys)

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

    def close(self) -> None:
        """It is not used any more."""


def has_display() -> bool:
    """Asked before SDL is, which would try every driver it knows and let each of them complain."""
    known = ("SDL_VIDEODRIVER", "SDL_VIDEO_DRIVER", "DISPLAY", "WAYLAND_DISPLAY")
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in known)


class Window(NoWindow):
    """A resizable window in front, with the focus. Raises ValueError where there is no display."""

    def __init__(self, keys: KeyMap, fullscreen: bool = False) -> None:
        super().__init__(keys)
        try:
            if not has_display():
                raise pygame.error
            pygame.display.init()
            pygame.font.init()
            icon = pygame.Surface((32, 32))  # three bricks, a ball and a paddle
            icon.fill(style.GROUND)
            for colour, row in ((style.REAL, 4), (style.TWIN, 8), (style.REAL, 12)):
                icon.fill(colour, (3, row, 26, 3))
            icon.fill(style.TEXT, (18, 19, 3, 3))
            icon.fill(style.TEXT, (9, 27, 13, 2))
            bounds = pygame.display.get_desktop_sizes()[0]
            size = min(style.USUAL[0], bounds[0]), min(style.USUAL[1], bounds[1] - 60)
            self._window = pygame.Window(TITLE, size, resizable=True)
            self._window.minimum_size = SMALLEST
            self._window.set_icon(icon)
            self._window.get_surface()
        except pygame.error:
            pygame.quit()
            do = "play opens a window; without a screen use: python main.py play --headless --frames 300"
            raise ValueError(f"no display: {do}") from None
        self._window.focus()
        pygame.key.stop_text_input()  # an input method would swallow letters
        pygame.event.set_blocked([pygame.TEXTINPUT, pygame.FINGERMOTION])
        self._keys, self._painter = keys, Painter()
        self._pads: dict[int, pygame.joystick.JoystickType] = {}  # one that is not open sends no events
        self._commands_down: dict[str, str] = {}
        self._last_key = time.monotonic()
        self._fullscreen = False
        if fullscreen:
            self.toggle_fullscreen()
        self.say("loading")

    def say(self, words: str) -> None:
        """A line in the middle of an empty window, before there is a game to show."""
        surface = self._window.get_surface()
        surface.fill(style.GROUND)
        self._painter.shown.clear()
        x, y = surface.get_width() // 2, surface.get_height() // 2
        for picture, at in ((style.text(TITLE, 24, style.TWIN), -20), (style.text(words, 16, style.QUIET), 20)):
            surface.blit(picture, picture.get_rect(center=(x, y + at)))
        self._window.flip()

    def open_pads(self) -> None:
        """Look for gamepads; that may take a moment, so it is not done while the window opens."""
        pygame.joystick.init()

    def poll(self, seconds: float) -> list[str]:
        """Sleeps in between, so a pause costs nothing."""
        first = pygame.event.wait(round(seconds * 1000)) if seconds >= 0.001 else pygame.event.poll()
        return [given for event in [first, *pygame.event.get()] if (given := self.take(event)) is not None]

    def take(self, event: Event) -> str | None:
        """Take in an event; the command that it gives, "" for a new picture, None for nothing."""
        if event.type in (pygame.QUIT, pygame.WINDOWCLOSE):
            return "quit"
        if event.type in (pygame.KEYDOWN, pygame.KEYUP):
            return self._key(event, self._keys.meant(pygame.key.name(event.key).lower(), event.scancode))
        if event.type == pygame.WINDOWFOCUSLOST:
            self.held.release_all()
            self._commands_down.clear()
            return ""
        if event.type in (pygame.WINDOWEXPOSED, pygame.WINDOWSIZECHANGED, pygame.WINDOWFOCUSGAINED):
            self._painter.shown.clear()  # the window may have lost its picture
            return ""
        self._mouse(event)
        return self._pad(event)

    def _key(self, event: Event, key: str) -> str | None:
        if event.type == pygame.KEYUP:
            return self._release(key)
        self._last_key = time.monotonic()
        self.pressed += 1
        if event.mod & (pygame.KMOD_CTRL | pygame.KMOD_LALT | pygame.KMOD_META):
            return None  # Alt+Tab is the window manager's
        command = self.held.press(key, bool(event.mod & pygame.KMOD_SHIFT))
        if command is not None:
            self._commands_down[key] = command
        return command or ""

    def _mouse(self, event: Event) -> None:
        """The left button serves, and from then on the pointer steers until a key does."""
        pressed = event.type == pygame.MOUSEBUTTONDOWN and event.button == pygame.BUTTON_LEFT
        if pressed:
            self.pressed += 1
            self.held.hold("mouse", Action.FIRE)
        if pressed or (event.type == pygame.MOUSEMOTION and self.held.aim is not None):
            self.held.aim = self._column(event.pos[0])
        elif event.type == pygame.MOUSEBUTTONUP and event.button == pygame.BUTTON_LEFT:
            self.held.release("mouse")

    def _column(self, x: int) -> float:
        """The column of the game, 0..160, under the pointer: in the panel that it is over or nearest to."""
        if (places := self._painter.places) is None:
            return COLUMNS / 2
        panels = filter(None, (places.real, places.twin))
        panel = min(panels, key=lambda rect: max(rect.left - x, x - rect.right, 0))
        return min(1.0, max(0.0, (x - panel.left) / panel.width)) * COLUMNS

    def _pad(self, event: Event) -> str | None:
        """Gamepads, plugged in before or during play, pulled out at any time: they hold keys like a keyboard does."""
        pad, command = f"pad {getattr(event, 'instance_id', '')}", BUTTONS.get(getattr(event, "button", -1))
        if event.type == pygame.JOYDEVICEADDED:
            with suppress(pygame.error):  # pulled out again before it could be opened
                opened = pygame.joystick.Joystick(event.device_index)
                self._pads[opened.get_instance_id()] = opened
        elif event.type == pygame.JOYDEVICEREMOVED:
            self._pads.pop(event.instance_id, None)
            for part in ("stick", "hat", *BUTTONS.values()):
                self._release(f"{pad} {part}")
        elif event.type == pygame.JOYAXISMOTION and event.axis == 0:
            self._lean(f"{pad} stick", event.value)
        elif event.type == pygame.JOYHATMOTION:
            self._lean(f"{pad} hat", event.value[0])
        elif event.type == pygame.JOYBUTTONUP:
            return self._release(f"{pad} {command}")
        elif event.type == pygame.JOYBUTTONDOWN:
            self.pressed += 1
            if command == "fire":
                self.held.hold(f"{pad} fire", Action.FIRE)
            elif command is not None:
                self._commands_down[f"{pad} {command}"] = command
                return command
        return None

    def _release(self, key: str) -> str | None:
        self.held.release(key)
        return "" if self._commands_down.pop(key, None) else None

    def _lean(self, key: str, value: float) -> None:
        wanted = Action.RIGHT if value > _TILT else Action.LEFT if value < -_TILT else None
        if wanted is None:
            self.held.release(key)
        elif self.held.down.get(key) != wanted:
            self.held.hold(key, wanted)

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
        self._window.destroy()
        style.forget_fonts()
        pygame.quit()


class Sound:
    """Plays a tone for every brick, wall and paddle the real game's ball meets. `tones` is empty while it is off."""

    def __init__(self) -> None:
        self.tones: dict[str | int, pygame.mixer.Sound] = {}
        self._left = self._score = 0

    def toggle(self) -> str:
        """On or off; returns what to say. A machine without a device stays silent."""
        if self.tones:
            self.close()
            return "sound off"
        errors = os.dup(2)
        with open(os.devnull, "w") as nothing:  # where there is no device, ALSA says so there in many lines
            os.dup2(nothing.fileno(), 2)
        try:
            pygame.mixer.init(_RATE, -16, 1, 256)
            moments = np.arange(round(_RATE * _TONE_SECONDS)) / _RATE
            for what, pitch in PITCHES.items():  # a square wave that fades, 16 bits with a sign
                wave = np.sign(np.sin(2 * np.pi * pitch * moments)) * np.linspace(1, 0, len(moments)) * _LOUDNESS
                self.tones[what] = pygame.mixer.Sound(buffer=wave.astype(np.int16).tobytes())
        except (pygame.error, NotImplementedError) as error:
            self.close()
            return f"no sound: {error}"
        finally:
            os.dup2(errors, 2)
            os.close(errors)
        return "sound on"

    def hear(self, session: Session) -> None:
        """The step just taken: play what it sounds like."""
        if not self.tones or session.emulator is None or session.objects is None:
            return
        # ALE gives sound only together with every observation, which would slow each step down; RAM costs nothing.
        kind, left = divmod(int(session.emulator.ram()[ram.SOUND]), ram.MET)
        points, self._score = session.objects.score - self._score, session.objects.score
        began, self._left = (left & 7) > self._left, left & 7
        if began:
            self.tones[(points if points in self.tones else 1, "wall", "paddle", "wall")[kind]].play()

    def close(self) -> None:
        """Silence, and the device given back."""
        self.tones = {}
        with suppress(pygame.error, NotImplementedError):
            pygame.mixer.quit()
