"""Sound, as the emulator's RAM tells when there is one: a short tone for bricks, the paddle and the walls.

Off until it is asked for, and off where there is no device. ALE itself gives sound only together with every
observation, which would slow each step down; RAM 95, which counts a tone down, costs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pygame

    from app.session import Session

_RATE, _SECONDS, _LOUDNESS = 22050, 0.07, 5000
_TIMER, _KIND = 95, 64
"""RAM 95: the upper two bits say what the ball has met (brick, wall, paddle), the lower three count the tone down."""
_PITCHES: dict[str | int, int] = {"wall": 165, "paddle": 247, 1: 330, 4: 440, 7: 587}
"""Hertz of what the ball meets; a brick by its points."""


class Sound:
    """Plays a tone for every new sound of the real game while it is on."""

    def __init__(self) -> None:
        self._tones: dict[str | int, pygame.mixer.Sound] = {}
        self._left = self._score = 0

    @property
    def on(self) -> bool:
        """Whether tones are played."""
        return bool(self._tones)

    def toggle(self) -> str:
        """On or off; returns what to say. A machine without a device stays silent."""
        import pygame

        if self.on:
            self.close()
            return "sound off"
        try:
            with _without_complaints():
                pygame.mixer.init(_RATE, -16, 1, 256)
            self._tones = {what: pygame.mixer.Sound(buffer=_tone(pitch)) for what, pitch in _PITCHES.items()}
        except (pygame.error, NotImplementedError) as error:
            self.close()
            return f"no sound: {error}"
        return "sound on"

    def hear(self, session: Session) -> None:
        """The step just taken: play what it sounds like."""
        if not self._tones or session.emulator is None or session.objects is None:
            return
        kind, left = divmod(int(session.emulator.ram()[_TIMER]), _KIND)
        points, self._score = session.objects.score - self._score, session.objects.score
        began, self._left = (left & 7) > self._left, left & 7
        if began:
            self._tones[(points if points in self._tones else 1, "wall", "paddle", "wall")[kind]].play()

    def close(self) -> None:
        """Silence, and the device given back."""
        import pygame

        self._tones = {}
        with suppress(pygame.error, NotImplementedError):
            pygame.mixer.quit()


@contextmanager
def _without_complaints() -> Iterator[None]:
    """Where there is no device, ALSA says so on standard error, in many lines, whoever asks."""
    with open(os.devnull, "w") as nothing:
        kept = os.dup(2)
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _tone(pitch: int) -> bytes:
    """A square wave that fades, 16 bits with a sign."""
    time = np.arange(round(_RATE * _SECONDS)) / _RATE
    wave = np.sign(np.sin(2 * np.pi * pitch * time)) * np.linspace(1, 0, len(time)) * _LOUDNESS
    return wave.astype(np.int16).tobytes()
