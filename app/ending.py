"""When a dream without an emulator is over: read from its frames, as a spectator would."""

from __future__ import annotations

from app.scoring import ball_in_field
from model.breakout import Frame
from model.scoreboard import read_scoreboard

LOW = 160
"""A ball last seen at this row or below, and then no more, went past the paddle."""
GONE_SECONDS = 0.6
"""A slow ball takes 0.5 s from there to where the real game counts it as lost; one beside the paddle hides for 0.15."""
_SURE = 3


class Ending:
    """Watches the frames of one game, `steps_per_second` of them in a second of game time.

    The emulator stops before it would draw 0 lives, so a twin that learned from it hardly ever draws that. The game is
    over when 0 lives can be read for three steps, or when 1 can, the ball was in play under it, went low and is gone.
    """

    def __init__(self, steps_per_second: float) -> None:
        self._patience = max(_SURE, round(GONE_SECONDS * steps_per_second))
        self.restart()

    def restart(self) -> None:
        """Another game, or an earlier moment of this one."""
        self.over = False
        self._none_left, self._in_play, self._gone, self._row = 0, 0, 0, 0

    def add(self, frame: Frame) -> None:
        """Take in the next frame, classes (210, 160) uint8; `over` tells."""
        lives = read_scoreboard(frame).lives
        self._none_left = self._none_left + 1 if lives == 0 else 0
        ball = ball_in_field(frame)
        if lives not in (None, 1):  # an unreadable digit is still the one it was
            self._in_play = 0
        elif ball is not None:
            self._in_play, self._gone, self._row = self._in_play + 1, 0, ball[0]
        else:
            self._gone += 1
        lost = self._in_play >= _SURE and self._row >= LOW and self._gone >= self._patience
        self.over = self.over or lost or self._none_left >= _SURE
