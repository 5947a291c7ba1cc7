"""The real game: Gymnasium's `ALE/Breakout-v5`, one step at a time, with its RAM, palette screen and snapshots.

No sticky actions: with `repeat_action_probability` 0 a seed and the actions give the same game again. The environment
observes RAM, and the screen is read as palette indices: RGB of every step would halve the speed of collecting."""

from typing import Any, NamedTuple

import ale_py
import gymnasium
import numpy as np

from collect import ram as addresses
from model.breakout import ACTIONS, EMULATOR_HZ, Frame, classes_from_ale, rgb_from_classes


class Objects(NamedTuple):
    """What RAM says of the moving things, in pixels of the screen (top left corner, 0-based). `ball` is (row, column)
    or None when no ball is in play; `paddle` is the column of its left end."""

    ball: tuple[int, int] | None
    paddle: int
    lives: int
    score: int


class Step(NamedTuple):
    """What one step gave: `frame` (210, 160) uint8 classes, reward in points, lives left, game over."""

    frame: Frame
    reward: int
    lives: int
    over: bool


class Snapshot(NamedTuple):
    """The emulator's whole state, with the screen it shows: a restored ALE keeps stale pixels until its next frame."""

    state: Any
    screen: Frame
    over: bool


class Emulator:
    """Breakout with the four minimal actions. `frameskip` is how many emulator frames a step lasts, the action held for
    all of them; >= 1. Breakout draws nothing from the emulator's chance, which has the seed: every game starts the
    same, and its actions decide the rest. Raises ValueError for a frame skip below 1 and for an action outside 0..3."""

    def __init__(self, frameskip: int, seed: int = 0) -> None:
        if frameskip < 1:
            raise ValueError(f"frame skip must be at least 1, got {frameskip}")
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # else the first one prints a banner
        never: Any = {"repeat_action_probability": 0.0, "max_num_frames_per_episode": 0}  # play is cut by whoever plays
        env: Any = gymnasium.make("ALE/Breakout-v5", obs_type="ram", frameskip=frameskip, **never)
        self.frameskip, self.steps_per_second = frameskip, EMULATOR_HZ / frameskip
        self._env, self._ale = env.unwrapped, env.unwrapped.ale
        self._ram, _ = self._env.reset(seed=seed % 2**31)
        self.over = False
        self._read_screen()
        self._fresh = self.snapshot()

    def reset(self) -> Frame:
        """Start a new game. Returns the first frame (classes)."""
        self.restore(self._fresh)  # a hundredth of the time of another reset of the environment
        return self.frame

    def step(self, action: int) -> Step:
        """Hold `action` for `frameskip` emulator frames. After the game's end the screen stands still."""
        reward = self.advance(action)
        return Step(self.frame, reward, self._ale.lives(), self.over)

    def advance(self, action: int) -> int:
        """`step` without turning the screen into classes, which costs a tenth of it. Returns the reward in points."""
        if not 0 <= action < ACTIONS:
            raise ValueError(f"action must be 0..{ACTIONS - 1}, got {action}")
        self._ram, reward, self.over, _, _ = self._env.step(action)
        self._read_screen()
        return int(reward)

    def _read_screen(self) -> None:
        # The screen shown now, as the emulator has it: (210, 160) uint8 palette indices; never changed in place.
        self.screen: Frame = self._ale.getScreen()
        self._frame: Frame | None = None

    @property
    def frame(self) -> Frame:
        """The frame shown now: (210, 160) uint8 classes."""
        if self._frame is None:
            self._frame = classes_from_ale(self.screen)
        return self._frame

    @property
    def rgb(self) -> Frame:
        """The frame shown now: (210, 160, 3) uint8 RGB."""
        return rgb_from_classes(self.frame)

    def objects(self) -> Objects:
        """Ball, paddle, lives and score, read from RAM; `collect.ram.read` says more, and takes longer."""
        ram = self._ram.tobytes()
        place = ram[addresses.BALL_Y] - addresses.BALL_Y_OFFSET, ram[addresses.BALL_X] - addresses.BALL_X_OFFSET
        score = int(f"{ram[addresses.SCORE_HIGH] * 256 + ram[addresses.SCORE_LOW]:x}")  # binary-coded decimal
        ball = place if ram[addresses.BALL_Y] else None
        return Objects(ball, ram[addresses.PADDLE_X] - addresses.PADDLE_X_OFFSET, ram[addresses.LIVES], score)

    def ram(self) -> Frame:
        """All of RAM: (128,) uint8, a copy."""
        return np.array(self._ram, np.uint8)

    def poke(self, values: dict[int, int]) -> None:
        """Put bytes, by address, into RAM; seen from the next frame on. For making rare states. A pair of frames that
        spans an edit must never be learned from."""
        for address, value in values.items():
            self._ale.setRAM(address, value)
        self._ram = self._ale.getRAM()

    def snapshot(self) -> Snapshot:
        """The whole state, for `restore`."""
        return Snapshot(self._ale.cloneSystemState(), self.screen, self.over)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of this emulator; the game goes on from it exactly as it did then."""
        self._ale.restoreSystemState(snapshot.state)
        self._ram = self._ale.getRAM()
        self.screen, self._frame, self.over = snapshot.screen, None, snapshot.over
