"""Sound, as the emulator's RAM tells when there is one: a short tone for bricks, the paddle and the walls.

Off until it is asked for, and off where there is no device. ALE itself gives sound only together with every
observation, which would slow each step down; RAM 95, which counts a tone down, costs nothing.
"""

from __future__ import annotations

import os
from contextlib import suppress

import numpy as np
import pygame

from app.session import Session

_RATE, _SECONDS, _LOUDNESS = 22050, 0.07, 5000
_TIMER, _KIND = 95, 64
"""RAM 95: the upper two bits say what the ball has met (brick, wall, paddle), the lower three count the tone down."""
PITCHES: dict[str | int, int] = {"wall": 165, "paddle": 247, 1: 330, 4: 440, 7: 587}
"""Hertz of what the ball meets; a brick by its points."""


class Sound:
    """Plays a tone for every new sound of the real game while it is on. `tones` is empty while it is off."""

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
            self.tones = {what: pygame.mixer.Sound(buffer=_tone(pitch)) for what, pitch in PITCHES.items()}
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
        kind, left = divmod(int(session.emulator.ram()[_TIMER]), _KIND)
        points, self._score = session.objects.score - self._score, session.objects.score
        began, self._left = (left & 7) > self._left, left & 7
        if began:
            self.tones[(points if points in self.tones else 1, "wall", "paddle", "wall")[kind]].play()

    def close(self) -> None:
        """Silence, and the device given back."""
        self.tones = {}
        with suppress(pygame.error, NotImplementedError):
            pygame.mixer.quit()


def _tone(pitch: int) -> bytes:
    """A square wave that fades, 16 bits with a sign."""
    time = np.arange(round(_RATE * _SECONDS)) / _RATE
    wave = np.sign(np.sin(2 * np.pi * pitch * time)) * np.linspace(1, 0, len(time)) * _LOUDNESS
    return wave.astype(np.int16).tobytes()
