"""The real game: Breakout in the Arcade Learning Environment, one step at a time.

No sticky actions: with `repeat_action_probability` 0 a seed and the actions give the same game again.
RAM addresses were checked against the pixels (see `tests/collect/test_emulator.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ale_py
import ale_py.roms
import numpy as np

from model.breakout import (
    ACTIONS,
    COLUMNS,
    EMULATOR_HZ,
    KNOB_CENTRE,
    ROWS,
    Frame,
    classes_from_ale,
    rgb_from_classes,
    turned,
)

# RAM addresses and what turns them into pixels of the screen.
BALL_X, BALL_Y, PADDLE_X, SCORE_HIGH, SCORE_LOW, LIVES = 99, 101, 72, 76, 77, 57
BALL_X_OFFSET, BALL_Y_OFFSET, PADDLE_X_OFFSET = 49, -9, 47
WALL_BYTES = 36
"""RAM bytes 0..35 hold the wall, one bit a brick: a cleared bit is a missing brick from the next frame on."""


@dataclass(frozen=True)
class Objects:
    """What RAM says of the moving things, in pixels of the screen (top left corner, 0-based).

    `ball` is (row, column) or None when no ball is in play; `paddle` is the column of its left end.
    """

    ball: tuple[int, int] | None
    paddle: int
    lives: int
    score: int


@dataclass(frozen=True)
class Step:
    """What one step gave: `frame` (210, 160) uint8 classes, reward in points, lives left, game over."""

    frame: Frame
    reward: int
    lives: int
    over: bool


@dataclass(frozen=True)
class Snapshot:
    """The emulator's whole state, with the screen it shows (a restored ALE keeps stale pixels), and the knob."""

    state: Any
    screen: Frame
    over: bool
    knob: int


class Emulator:
    """Breakout with the four minimal actions.

    `frameskip` is how many emulator frames a step lasts, the action held for all of them; >= 1.
    Raises ValueError for a frame skip below 1 and for an action outside 0..3.
    """

    def __init__(self, frameskip: int, seed: int = 0) -> None:
        if frameskip < 1:
            raise ValueError(f"frame skip must be at least 1, got {frameskip}")
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self.frameskip = frameskip
        self._ale = ale_py.ALEInterface()
        self._screen = np.empty((ROWS, COLUMNS), np.uint8)
        self._frame: Frame | None = None
        self._load(seed)

    knob: int
    """How far the keys have turned the paddle controller's knob, 0..232; see `model.breakout.turned`."""

    @property
    def steps_per_second(self) -> float:
        """Steps in a second of true-pace play."""
        return EMULATOR_HZ / self.frameskip

    def _load(self, seed: int) -> None:
        self._ale.setInt("random_seed", seed % 2**31)
        self._ale.setFloat("repeat_action_probability", 0.0)
        self._ale.setInt("frame_skip", 1)
        rom = ale_py.roms.get_rom_path("breakout")
        if rom is None:
            raise ValueError("this ale-py comes without the Breakout ROM; install ale-py 0.11 or later from PyPI")
        self._ale.loadROM(rom)
        self._actions = self._ale.getMinimalActionSet()
        self._ale.reset_game()
        self._over, self.knob = False, KNOB_CENTRE
        self._look()
        self._fresh = self.snapshot()

    def reset(self, seed: int | None = None) -> Frame:
        """Start a new game; with a seed the emulator itself starts anew. Returns the first frame (classes).

        Breakout draws nothing from the emulator's chance: every game starts the same, and its actions decide the rest.
        A seed costs the loading of the ROM, 0.1 s.
        """
        if seed is not None:
            self._load(seed)
        self.restore(self._fresh)  # a hundredth of the time of another `reset_game`
        return self.frame

    def step(self, action: int) -> Step:
        """Hold `action` for `frameskip` emulator frames. After the game's end the screen stands still."""
        reward = self.advance(action)
        return Step(self.frame, reward, self._ale.lives(), self._over)

    def advance(self, action: int) -> int:
        """`step` without a look at the screen's colours, which costs a tenth of it. Returns the reward in points."""
        if not 0 <= action < ACTIONS:
            raise ValueError(f"action must be 0..{ACTIONS - 1}, got {action}")
        held, reward = self._actions[action], 0
        for _ in range(self.frameskip):
            reward += self._ale.act(held)
        self.knob = turned(self.knob, action, self.frameskip)
        self._over = self._ale.game_over()
        self._look()
        return int(reward)

    def _look(self) -> None:
        self._ale.getScreen(self._screen)
        self._frame = None

    @property
    def screen(self) -> Frame:
        """The screen shown now, as the emulator has it: (210, 160) uint8 palette indices, a copy."""
        return self._screen.copy()

    @property
    def frame(self) -> Frame:
        """The frame shown now: (210, 160) uint8 classes."""
        if self._frame is None:
            self._frame = classes_from_ale(self._screen)
        return self._frame

    @property
    def rgb(self) -> Frame:
        """The frame shown now: (210, 160, 3) uint8 RGB."""
        return rgb_from_classes(self.frame)

    @property
    def over(self) -> bool:
        """Whether the game is over."""
        return self._over

    def objects(self) -> Objects:
        """Ball, paddle, lives and score, read from RAM."""
        ram = self._ale.getRAM()
        ball = None
        if ram[BALL_Y]:
            ball = (int(ram[BALL_Y]) - BALL_Y_OFFSET, int(ram[BALL_X]) - BALL_X_OFFSET)
        bcd = int(ram[SCORE_HIGH]) * 256 + int(ram[SCORE_LOW])
        return Objects(ball, int(ram[PADDLE_X]) - PADDLE_X_OFFSET, int(ram[LIVES]), int(f"{bcd:x}"))

    def ram(self) -> Frame:
        """All 128 bytes of RAM, uint8, a copy."""
        return np.array(self._ale.getRAM(), np.uint8)

    def edit(self, wall: bytes | None = None, score: int | None = None) -> None:
        """Put another wall (36 bytes of RAM) or score (0..999) into the running game; seen from the next frame on.

        For making rare states. A pair of frames that spans an edit must never be learned from.
        """
        if wall is not None:
            if len(wall) != WALL_BYTES:
                raise ValueError(f"a wall is {WALL_BYTES} bytes, got {len(wall)}")
            for address, value in enumerate(wall):
                self._ale.setRAM(address, value)
        if score is not None:
            if not 0 <= score <= 999:
                raise ValueError(f"score must be 0..999, got {score}")
            bcd = int(str(score), 16)
            self._ale.setRAM(SCORE_HIGH, bcd >> 8)
            self._ale.setRAM(SCORE_LOW, bcd & 255)

    def snapshot(self) -> Snapshot:
        """The whole state, for `restore`."""
        return Snapshot(self._ale.cloneSystemState(), self.screen, self._over, self.knob)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of this emulator; the game goes on from it exactly as it did then."""
        self._ale.restoreSystemState(snapshot.state)
        self._screen[:], self._frame, self._over, self.knob = snapshot.screen, None, snapshot.over, snapshot.knob
