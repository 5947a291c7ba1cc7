"""The real game: Gymnasium's `ALE/Breakout-v5`, one step at a time, with its RAM, palette screen and snapshots.

No sticky actions: with `repeat_action_probability` 0 a seed and the actions give the same game again. The environment
observes RAM, and the screen is read as palette indices: RGB of every step would halve the speed of collecting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ale_py
import gymnasium
import numpy as np

from collect import ram as addresses
from model.breakout import ACTIONS, COLUMNS, EMULATOR_HZ, ROWS, Frame, classes_from_ale, rgb_from_classes

MOST_LIVES, MOST_SCORE = 5, 999


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
    """The emulator's whole state, with the screen it shows: a restored ALE keeps stale pixels until its next frame."""

    state: Any
    screen: Frame
    over: bool


class Emulator:
    """Breakout with the four minimal actions.

    `frameskip` is how many emulator frames a step lasts, the action held for all of them; >= 1.
    Raises ValueError for a frame skip below 1 and for an action outside 0..3.
    """

    def __init__(self, frameskip: int, seed: int = 0) -> None:
        if frameskip < 1:
            raise ValueError(f"frame skip must be at least 1, got {frameskip}")
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # else the first one prints a banner
        gymnasium.register_envs(ale_py)
        env: Any = gymnasium.make(
            "ALE/Breakout-v5",
            obs_type="ram",
            frameskip=frameskip,
            repeat_action_probability=0.0,
            full_action_space=False,
            max_num_frames_per_episode=0,  # play is cut by whoever plays
            disable_env_checker=True,
        )
        self.frameskip = frameskip
        self._env = env.unwrapped
        self._ale = self._env.ale
        self._screen = np.empty((ROWS, COLUMNS), np.uint8)
        self._frame: Frame | None = None
        self._load(seed)

    @property
    def steps_per_second(self) -> float:
        """Steps in a second of real-time play."""
        return EMULATOR_HZ / self.frameskip

    def _load(self, seed: int) -> None:
        self._ram, _ = self._env.reset(seed=seed % 2**31)
        self._over = False
        self._read_screen()
        self._fresh = self.snapshot()

    def reset(self, seed: int | None = None) -> Frame:
        """Start a new game; with a seed the emulator itself starts anew. Returns the first frame (classes).

        Breakout draws nothing from the emulator's chance: every game starts the same, and its actions decide the rest.
        A seed costs the loading of the ROM, 0.1 s.
        """
        if seed is not None:
            self._load(seed)
        self.restore(self._fresh)  # a hundredth of the time of another reset of the environment
        return self.frame

    def step(self, action: int) -> Step:
        """Hold `action` for `frameskip` emulator frames. After the game's end the screen stands still."""
        reward = self.advance(action)
        return Step(self.frame, reward, self._ale.lives(), self._over)

    def advance(self, action: int) -> int:
        """`step` without turning the screen into classes, which costs a tenth of it. Returns the reward in points."""
        if not 0 <= action < ACTIONS:
            raise ValueError(f"action must be 0..{ACTIONS - 1}, got {action}")
        self._ram, reward, self._over, _, _ = self._env.step(action)
        self._read_screen()
        return int(reward)

    def _read_screen(self) -> None:
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
        """Ball, paddle, lives and score, read from RAM; `collect.ram.read` says more, and takes longer."""
        ram = self._ram.tobytes()
        ball = None
        if ram[addresses.BALL_Y]:
            ball = (ram[addresses.BALL_Y] - addresses.BALL_Y_OFFSET, ram[addresses.BALL_X] - addresses.BALL_X_OFFSET)
        score = int(f"{ram[addresses.SCORE_HIGH] * 256 + ram[addresses.SCORE_LOW]:x}")  # binary-coded decimal
        return Objects(ball, ram[addresses.PADDLE_X] - addresses.PADDLE_X_OFFSET, ram[addresses.LIVES], score)

    def ram(self) -> Frame:
        """All of RAM: (128,) uint8, a copy."""
        return np.array(self._ram, np.uint8)

    def poke(self, address: int, value: int) -> None:
        """Put one byte into RAM; seen from the next frame on. ValueError unless 0 <= address < 128, 0 <= value < 256.

        For making rare states. A pair of frames that spans an edit must never be learned from.
        """
        if not (0 <= address < addresses.BYTES and 0 <= value < 256):
            raise ValueError(f"RAM has bytes 0..255 at 0..{addresses.BYTES - 1}, got {value} at {address}")
        self._ale.setRAM(address, value)
        self._ram = self._ale.getRAM()

    def edit(self, wall: bytes | None = None, score: int | None = None, lives: int | None = None) -> None:
        """Put another wall (36 bytes of RAM), score (0..999) or lives (1..5) into the running game; see `poke`."""
        if wall is not None and len(wall) != addresses.WALL_BYTES:
            raise ValueError(f"a wall is {addresses.WALL_BYTES} bytes, got {len(wall)}")
        if score is not None and not 0 <= score <= MOST_SCORE:
            raise ValueError(f"score must be 0..{MOST_SCORE}, got {score}")
        if lives is not None and not 1 <= lives <= MOST_LIVES:
            raise ValueError(f"lives must be 1..{MOST_LIVES}, got {lives}")
        for address, value in enumerate(wall or b""):
            self.poke(address, value)
        if score is not None:
            high, low = divmod(int(str(score), 16), 256)
            self.poke(addresses.SCORE_HIGH, high)
            self.poke(addresses.SCORE_LOW, low)
        if lives is not None:
            self.poke(addresses.LIVES, lives)

    def snapshot(self) -> Snapshot:
        """The whole state, for `restore`."""
        return Snapshot(self._ale.cloneSystemState(), self.screen, self._over)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of this emulator; the game goes on from it exactly as it did then."""
        self._ale.restoreSystemState(snapshot.state)
        self._ram = self._ale.getRAM()
        self._screen[:], self._frame, self._over = snapshot.screen, None, snapshot.over
