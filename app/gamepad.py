"""Gamepads: plugged in before or during play, pulled out at any time. They hold keys like a keyboard does."""

from __future__ import annotations

from contextlib import suppress

import pygame

from app.keys import Held
from model.breakout import Action

_TILT = 0.5
BUTTONS = {0: "fire", 1: "rewind", 2: "dream", 3: "resync", 6: "help", 7: "restart"}
"""Button number (of the common layout: A, B, X, Y, Back, Start) -> fire, or a command."""


class Gamepads:
    """Feeds `Held` from every gamepad there is."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._open: dict[int, pygame.joystick.JoystickType] = {}

    def handle(self, event: pygame.event.Event) -> str | None:
        """Take in an event of pygame's; returns a command if a button gives one."""
        if event.type == pygame.JOYDEVICEADDED:
            with suppress(pygame.error):  # pulled out again before it could be opened
                pad = pygame.joystick.Joystick(event.device_index)
                self._open[pad.get_instance_id()] = pad
        elif event.type == pygame.JOYDEVICEREMOVED:
            self._open.pop(event.instance_id, None)
            for part in ("stick", "hat", "fire"):
                self._held.release(f"pad {event.instance_id} {part}")
        elif event.type == pygame.JOYAXISMOTION and event.axis == 0:
            self._lean(event.instance_id, "stick", event.value)
        elif event.type == pygame.JOYHATMOTION:
            self._lean(event.instance_id, "hat", event.value[0])
        elif event.type in (pygame.JOYBUTTONDOWN, pygame.JOYBUTTONUP):
            name = BUTTONS.get(event.button)
            if name == "fire":
                key = f"pad {event.instance_id} fire"
                if event.type == pygame.JOYBUTTONDOWN:
                    self._held.hold(key, Action.FIRE)
                else:
                    self._held.release(key)
            elif name is not None and event.type == pygame.JOYBUTTONDOWN:
                return name
        return None

    def _lean(self, pad: int, part: str, value: float) -> None:
        key = f"pad {pad} {part}"
        wanted = Action.RIGHT if value > _TILT else Action.LEFT if value < -_TILT else None
        if wanted is None:
            self._held.release(key)
        elif self._held.holds(key) != wanted:
            self._held.hold(key, wanted)
