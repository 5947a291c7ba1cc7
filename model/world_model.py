"""The contract's interface: one game in RGB, a thin shell that holds one `State`."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from model.breakout import CELLS, COLUMNS, ROWS, Frame, classes_from_rgb, rgb_from_classes
from model.engine import Engine, check_action, check_controller, check_frames, check_history
from model.state import Array, Prediction, State, in_words


class Predicted(NamedTuple):
    """A predicted step."""

    frame: Array  # (210, 160, 3) uint8 RGB
    codes: Array  # (35,) int64


class WorldModel:
    """A twin of one game. Give it real frames (`reset`, `observe`) or let it dream (`step`).

    `state` is a value: keep it and give it back to be at that moment again. `seed` is of the chance that a temperature
    above 0 draws from. `frameskip`: emulator frames in a step; `context`: how many past frames are worth giving to
    `reset`; `checksum`: the SHA-256 of the weights. Raises ValueError where input is bad, naming what was wrong."""

    def __init__(self, engine: Engine, controller: str = "context", seed: int = 0) -> None:
        self.engine, self.controller = engine, check_controller(controller)
        self.frameskip, self.context, self.checksum = engine.frameskip, engine.context, engine.checksum
        self._rng = np.random.default_rng(seed)
        self._state: State | None = None
        self._last: tuple[int, Prediction] | None = None

    @classmethod
    def load(cls, path: str | Path | None = None, controller: str = "context") -> "WorldModel":
        """Load a directory of weights; None: the shipped ones. FileError, a ValueError, if it is missing or damaged."""
        return cls(Engine.load(path), controller)

    @property
    def state(self) -> State:
        """All that the twin carries to the next step. ValueError before the first `reset`."""
        if self._state is None:
            raise ValueError("there is no state yet: call reset(frames) first")
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        if not isinstance(state, State) or state.frame.shape != (1, ROWS, COLUMNS):
            raise ValueError(f"state must be a State of one game, got {type(state).__name__}")
        self._state, self._last = state, None

    def reset(self, frames: Array, actions: Any = None, fresh: bool = False) -> None:
        """Begin from a history: frames (n, 210, 160, 3) uint8 RGB, oldest first, n >= 1, and the n - 1 actions between
        them, where they are known. `fresh`: the first is that of a game just reset, so the clock and all else that no
        frame shows is known."""
        self.state = self.engine.begin(*check_history(frames, actions), fresh)

    def predict(self, action: int, temperature: float = 0.0) -> Predicted:
        """The next frame if `action` is taken now; changes nothing. Temperature 0 takes the likeliest codes."""
        found = self._predict(check_action(action), temperature)
        return Predicted(rgb_from_classes(found.frame[0]), found.codes[0])

    def _predict(self, action: int, temperature: float) -> Prediction:
        found = self.engine.predict(self.state, np.array([action]), self.controller, temperature, self._rng)
        self._last = action, found
        return found

    def observe(self, frame: Array, action: int | None = None) -> None:
        """A real frame (210, 160, 3) uint8 RGB becomes the newest (teacher forcing). `action` is the one that led to
        it; left out, it is taken to be the one that `predict` was last asked about (NOOP if it was not)."""
        asked, guess = self._last or (0, None)
        key = asked if action is None else check_action(action)
        guess = guess if key == asked else None
        self.state = self.engine.advance(self.state, np.array([key]), _one_frame(frame), guess)

    def step(self, action: int, temperature: float = 0.0) -> Predicted:
        """Predict, and the prediction becomes the newest frame (dreaming)."""
        found = self._predict(check_action(action), temperature)
        self.state = self.engine.advance(self.state, np.array([action]), found.frame, found)
        return Predicted(rgb_from_classes(found.frame[0]), found.codes[0])

    def encode(self, previous: Array, following: Array) -> Array:
        """The actual codes (35,) int64 of a real pair of frames (210, 160, 3) uint8 RGB."""
        return self.engine.encode(_one_frame(previous), _one_frame(following))[0]

    def decode(self, codes: Any) -> Array:
        """The next frame (210, 160, 3) uint8 RGB for codes (35,) in the present state."""
        codes = np.asarray(codes)
        if codes.shape != (CELLS,) or not np.issubdtype(codes.dtype, np.integer):
            raise ValueError(f"codes must be {CELLS} integers, got {codes.dtype} {codes.shape}")
        return rgb_from_classes(self.engine.draw(self.state, codes[None])[0])

    def remembers(self) -> dict[str, tuple[str, float]]:
        """What the twin remembers that no frame shows: each variable in words, and how sure it is, 0..1."""
        return in_words(self.state)


def _one_frame(frame: Any) -> Frame:
    """A frame (210, 160, 3) uint8 RGB as classes, a batch of one. Raises ValueError if it is none."""
    if check_frames(frame).ndim != 3:
        raise ValueError(f"a frame must be ({ROWS}, {COLUMNS}, 3), got {frame.shape}")
    return classes_from_rgb(frame)[None]
