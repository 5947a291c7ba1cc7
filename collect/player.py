"""The player that learned in the dream, at play: a small network in numpy, what it looks at, and the games it plays.

It sees what `State.objects` holds, so it plays a dream and the real game alike. `docs/player.md` says how it was
trained and what it scores.
"""

from pathlib import Path

import numpy as np

from collect import ram
from collect.emulator import Emulator
from model.breakout import LONG_PADDLE, Action
from model.checkpoint import check_fit, load_tensors, save_tensors
from model.env import NeuralBreakoutVector
from model.files import FileError
from model.state import BALL_COLUMN, BALL_ROW, HISTORY, PADDLE, WIDTH, Array

SHIPPED = Path(__file__).resolve().parent.parent / "assets" / "player.safetensors"
KIND = "player"
MOVES = np.array([Action.NOOP, Action.RIGHT, Action.LEFT], np.int64)  # FIRE is given wherever there is no ball
HOLD = 3  # emulator frames for which a choice is held
HIDDEN, FEATURES = 64, 11
MOST_NOOPS, LONGEST = 30, 18_000
"""A game begins with 0..30 frames of NOOP, for otherwise all would be one; it is cut after 18,000 frames, 5 minutes, as
in Mnih et al. 2015 (https://doi.org/10.1038/nature14236)."""
SHAPES = {
    "0.weight": (HIDDEN, FEATURES), "0.bias": (HIDDEN,), "1.weight": (HIDDEN, HIDDEN), "1.bias": (HIDDEN,),
    "2.weight": (len(MOVES), HIDDEN), "2.bias": (len(MOVES),),
}  # fmt: skip
_SERVE_CHANCE, _NEW_AIM_CHANCE, _AIM, _SLACK = 0.2, 0.02, 6, 3
_SAFE_ROW = 120  # above this row there is time for a serve before the ball is at the paddle
Ball = tuple[int, int]


def features(objects: Array) -> Array:
    """What the network is given of `State.objects` (N, 4, 4): (N, 11) float32, each about -2..2. Whether there is a
    ball, its place and speed, the paddle's place, speed and width, how far the ball is from the paddle's middle, on a
    coarse and on a fine scale, and as far ahead as the paddle's row. Speeds are over 3 frames."""
    old, new = objects[:, 0].astype(np.float32), objects[:, -1].astype(np.float32)
    ball, moving = objects[:, -1, BALL_ROW] > 0, (objects[:, :, BALL_ROW] > 0).all(1)
    middle = new[:, PADDLE] + new[:, WIDTH] / 2
    speed = np.where(moving[:, None], new[:, :2] - old[:, :2], 0) / (HISTORY - 1)
    off = np.where(ball, new[:, BALL_COLUMN] + 1 - middle, 0)
    columns = (
        ball, ball * (new[:, BALL_ROW] - 120) / 60, ball * (new[:, BALL_COLUMN] - 80) / 40, speed[:, 0] / 2,
        speed[:, 1] / 2, (middle - 80) / 40, (new[:, PADDLE] - old[:, PADDLE]) / (HISTORY - 1) / 4,
        new[:, WIDTH] == LONG_PADDLE, off / 40, np.tanh(off / 6), np.tanh((off + 4 * speed[:, 1]) / 6),
    )  # fmt: skip
    return np.stack(columns, 1).astype(np.float32)


class Player:
    """Plays N games at once: `act` is asked for each emulator frame, and chooses anew every `HOLD` of them.

    `tensors` are those of `SHAPES`, float32; `about` says where they come from. Choices are drawn from the network's
    probabilities by `rng`: a player that never varies can send a ball round the same way for ever."""

    def __init__(self, tensors: dict[str, Array], about: dict[str, object], rng: np.random.Generator) -> None:
        self._tensors, self.about, self.rng = tensors, about, rng
        self._frames, self._held = 0, MOVES[:1]

    @classmethod
    def load(cls, path: Path | None = None, seed: int = 0) -> "Player":
        """The player of a file; None: the shipped one. FileError if it is missing, damaged or of another kind."""
        path = path or SHIPPED
        tensors, about = load_tensors(path)
        if about.get("kind") != KIND or about.get("hold") != HOLD:
            raise FileError(f"weights {path} are not those of a player of this program")
        check_fit(SHAPES, tensors, path)
        return cls(tensors, about, np.random.default_rng(seed))

    def save(self, path: Path) -> None:
        """Write what `load` reads."""
        save_tensors(path, self._tensors, {**self.about, "kind": KIND, "hold": HOLD})

    def logits(self, objects: Array) -> Array:
        """The network's logits (N, 3) float32 of `MOVES` for objects (N, 4, 4)."""
        hidden, tensors = features(objects), self._tensors
        for layer in "01":
            hidden = np.tanh(hidden @ tensors[f"{layer}.weight"].T + tensors[f"{layer}.bias"])
        return hidden @ tensors["2.weight"].T + tensors["2.bias"]

    def act(self, objects: Array) -> Array:
        """The keys (N,) int64 for the next frame of the games that show objects (N, 4, 4)."""
        if self._frames % HOLD == 0 or len(self._held) != len(objects):
            logits = self.logits(objects)
            self._held = MOVES[(logits + self.rng.gumbel(size=logits.shape)).argmax(1)]
        self._frames += 1
        return with_serves(self._held, objects)


def with_serves(keys: Array, objects: Array) -> Array:
    """FIRE in place of keys (N,) where objects (N, 4, 4) have no ball."""
    return np.where(objects[:, -1, BALL_ROW] == 0, int(Action.FIRE), keys)


class Attention:
    """Which of several games that one paddle plays needs it most."""

    def __init__(self) -> None:
        self._rows = [0, 0]

    def choose(self, balls: list[Ball | None]) -> tuple[int | None, bool]:
        """The game to look after, the first whose ball falls, else the first with a ball; and whether one waits for a
        serve, and there is time for it. `balls` are (row, column), or None where there is none."""
        rows = [ball[0] if ball else 0 for ball in balls]
        falling = [number for number, row in enumerate(rows) if 0 < self._rows[number] < row]
        late = any(rows[number] > _SAFE_ROW for number in falling)
        self._rows[: len(rows)] = rows
        there = falling + [number for number, ball in enumerate(balls) if ball]
        return there[0] if there else None, not late and None in balls


class Follower:
    """The built-in autopilot: follows the ball a little off centre, by an amount that changes, so that games differ."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng, self._aim, self._attention = rng, 0.0, Attention()

    def act(self, sides: list[tuple[Ball | None, float]]) -> int:
        """The key for the next step; `sides` are ball (row, column) and column of the paddle's middle of each game."""
        chosen, serve = self._attention.choose([ball for ball, _ in sides])
        if self._rng.random() < _NEW_AIM_CHANCE:
            self._aim = float(self._rng.uniform(-_AIM, _AIM))
        if serve and self._rng.random() < _SERVE_CHANCE:
            return int(Action.FIRE)
        if chosen is None:
            return int(Action.NOOP)
        ball, middle = sides[chosen]
        off = (ball or (0, 0))[1] + 1 + self._aim - middle
        return int(Action.RIGHT if off > _SLACK else Action.LEFT if off < -_SLACK else Action.NOOP)


class Games:
    """N games in step, as a player meets them: `DreamGames` or `RealGames`."""

    objects: Array  # (N, 4, 4) int64, as `State.objects`
    lives: Array  # (N,) int64, 0..5

    def begin(self, mask: Array) -> None:
        """Start the games of `mask` (N,) bool anew."""
        raise NotImplementedError

    def step(self, keys: Array) -> Array:
        """One frame of every game, keys (N,) 0..3: the points of each, (N,) float64. A game that is over stands
        still."""
        raise NotImplementedError


class DreamGames(Games):
    """Games in the twin of a directory of weights (None: the shipped ones), of frame skip 1. `sticky`: of each frame,
    the probability that the last key is taken again."""

    def __init__(self, number: int, weights: Path | None = None, sticky: float = 0.0, seed: int = 0) -> None:
        self.env = NeuralBreakoutVector(number, weights, frameskip=1, repeat_action_probability=sticky)
        self.env.reset(seed=seed)
        self._look()

    def _look(self) -> None:
        self.objects, self.lives = self.env.state.objects, self.env.lives

    def begin(self, mask: Array) -> None:
        self.env.begin(mask)
        self._look()

    def step(self, keys: Array) -> Array:
        points = self.env.dream(keys)
        self._look()
        return points


class RealGames(Games):
    """Games in the emulator; `objects` are read from RAM. `sticky`: of each emulator frame, the probability that the
    last key is taken again, which is what ALE's `repeat_action_probability` does (Machado et al. 2018,
    https://arxiv.org/abs/1709.06009)."""

    def __init__(self, number: int, sticky: float = 0.0, seed: int = 0) -> None:
        self._emulators = [Emulator(frameskip=1) for _ in range(number)]
        self._sticky, self._rng = sticky, np.random.default_rng([seed, 1])
        self._last = np.zeros(number, np.int64)
        self.begin(np.ones(number, np.bool_))

    def begin(self, mask: Array) -> None:
        for number in np.flatnonzero(mask):
            self._emulators[number].reset()
        now, self._last = self._look(), np.where(mask, 0, self._last)
        fresh = np.repeat(now[:, None], HISTORY, 1)
        self.objects = np.where(mask[:, None, None], fresh, getattr(self, "objects", fresh))

    def _look(self) -> Array:
        state = ram.read(np.stack([emulator.ram() for emulator in self._emulators]))
        self.lives = np.where([emulator.over for emulator in self._emulators], 0, state.lives).astype(np.int64)
        column = np.where(state.ball_row > 0, state.ball_column, 0)
        return np.stack((state.ball_row, column, state.paddle_column, state.paddle_width), 1).astype(np.int64)

    def step(self, keys: Array) -> Array:
        self._last = np.where(self._rng.random(len(keys)) < self._sticky, self._last, keys)
        pairs = zip(self._emulators, self._last.tolist(), strict=True)
        points = np.array([0 if emulator.over else emulator.advance(key) for emulator, key in pairs], np.float64)
        self.objects = np.concatenate((self.objects[:, 1:], self._look()[:, None]), 1)
        return points
