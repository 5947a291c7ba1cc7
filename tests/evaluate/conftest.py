"""Twins that need no networks: one that is exact by construction, one that lets nothing change, and small games."""

import sys
import zlib
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from collect import ram
from collect.dataset import TransitionDataset
from collect.emulator import Emulator, Snapshot
from collect.policies import start_episode
from collect.ram import hidden
from evaluate.heldout import SEED_OFFSET, play_held_out
from model.breakout import CELLS, CODES, NO_ACTION, Frame, from_cells, to_cells
from model.readers import find_bricks, read_digits
from model.state import HISTORY, VARIABLES, Prediction, State, Things

FRAMESKIP = 2


class CopyLast:
    """An engine that lets nothing change and remembers nothing; real pairs have codes all the same."""

    frameskip, context, checksum, controllers = FRAMESKIP, 4, "copy-last", ("context", "action")

    def __init__(self) -> None:
        self.majority, self.meta = np.zeros(CELLS, np.int64), {}
        self.says = [f"code {code}" for code in range(CODES)]
        self._cells: dict[tuple[int, int, bytes], bytes] = {}

    def _state(self, frames: Frame) -> State:
        games = len(frames)
        objects = np.zeros((games, HISTORY, 4), np.int64)
        memory = np.zeros((games, len(VARIABLES)), np.int64)
        wall, board = find_bricks(frames).astype(np.uint8), read_digits(frames)[:, :4]
        return State(frames, objects, wall, board, memory, memory.astype(np.float32))

    def begin(self, frames, actions=None, fresh=False) -> State:
        return self._state(frames[:, -1])

    def predict(self, state, action, controller="context", temperature=0.0, rng=None) -> Prediction:
        return self._prediction(state, state.frame)

    def _prediction(self, state, frames) -> Prediction:
        nothing = np.zeros((len(frames), 2), np.int64)
        return Prediction(
            self.encode(state.frame, frames), frames, Things(nothing, nothing, state.wall, state.board), ()
        )

    def advance(self, state, action, frame, guess=None) -> State:
        return self._state(frame)

    def encode(self, before, after) -> np.ndarray:
        """Code 0 where a cell stays, else a hash of its new content; what it draws is remembered."""
        codes, old, new = np.zeros((len(before), CELLS), np.int64), to_cells(before), to_cells(after)
        for b, c in np.argwhere((old != new).any((2, 3))):
            content = new[b, c].tobytes()
            codes[b, c] = 1 + zlib.crc32(content) % (CODES - 1)
            self._cells[int(c), int(codes[b, c]), old[b, c].tobytes()] = content
        return codes

    def follow(self, state, codes) -> Prediction:
        return self._prediction(state, self.draw(state, codes))

    def draw(self, state, codes) -> Frame:
        cells = to_cells(state.frame).copy()
        for b, c in np.argwhere(codes > 0):
            content = self._cells.get((int(c), int(codes[b, c]), cells[b, c].tobytes()))
            if content is not None:
                cells[b, c] = np.frombuffer(content, np.uint8).reshape(cells.shape[2:])
        return from_cells(cells)

    def logits(self, state, action, controller="context") -> np.ndarray:
        codes = self.predict(state, action, controller).codes
        return np.where(np.arange(CODES) == codes[..., None], 30.0, 0.0).astype(np.float32)


@dataclass
class Perfect(CopyLast):
    """An engine with hidden emulators. A game is told by its first frame; `breaks_after` steps later nothing changes.

    `State.certainty` carries the number of the game's snapshot, which goes wherever the state goes.
    """

    breaks_after: int = 10**9
    checksum: str = "perfect"
    _snapshots: list[tuple[Snapshot, int, int]] = field(default_factory=list)
    _known: dict[bytes, int] = field(default_factory=dict)
    _next: dict[tuple[int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self.emulator = Emulator(self.frameskip)
        self.emulator.reset()
        self.learn()

    def learn(self) -> None:
        """Know the game that the emulator is in by the frame it shows; its knob is in the centre."""
        self._known.setdefault(self.emulator.frame.tobytes(), self._keep(116, 0))

    def learn_games(self, policy: str, seed: int, episodes: int) -> None:
        """Know the games of `play_held_out` by their first frames."""
        for number in range(1, episodes + 1):
            rng = np.random.default_rng([SEED_OFFSET + seed, number])
            rng.integers(2**31)
            start_episode(self.emulator, policy, rng)
            self.learn()

    def _keep(self, knob: int, steps: int) -> int:
        self._snapshots.append((self.emulator.snapshot(), knob, steps))
        return len(self._snapshots) - 1

    def _after(self, number: int, action: int) -> int:
        if (number, action) not in self._next:
            snapshot, knob, steps = self._snapshots[number]
            self.emulator.restore(snapshot)
            if not self.emulator.over:
                self.emulator.step(action)
            turn = 7 * self.frameskip * ((action == 2) - (action == 3))
            self._next[number, action] = self._keep(min(232, max(0, knob + turn)), steps + 1)
        return self._next[number, action]

    def _full(self, numbers, frames) -> State:
        state = self._state(frames)
        rams, knobs = [], []
        for snapshot, knob, _ in (self._snapshots[number] for number in numbers):
            self.emulator.restore(snapshot)
            rams.append(self.emulator.ram())
            knobs.append(knob)
        truth = ram.read(np.stack(rams))
        memory = hidden(truth, state.board, np.array(knobs))
        state.objects[:, -1] = np.stack((truth.ball_row, truth.ball_column, truth.paddle_column, truth.paddle_width), 1)
        certainty = np.zeros(memory.shape, np.float32)
        certainty[:, 0] = numbers
        return state._replace(memory=memory, certainty=certainty)

    def begin(self, frames, actions=None, fresh=False) -> State:
        return self._full([self._known[frame.tobytes()] for frame in frames[:, 0]], frames[:, -1])

    def predict(self, state, action, controller="context", temperature=0.0, rng=None) -> Prediction:
        if controller == "action":
            return super().predict(state, action)
        frames = state.frame.copy()
        for row, (number, act) in enumerate(zip(state.certainty[:, 0].astype(int), action, strict=True)):
            snapshot, _, steps = self._snapshots[self._after(int(number), int(act))]
            if steps <= self.breaks_after:
                self.emulator.restore(snapshot)
                frames[row] = self.emulator.frame
        return self._prediction(state, frames)

    def advance(self, state, action, frame, guess=None) -> State:
        action = np.where(action == NO_ACTION, 0, action)
        pairs = zip(state.certainty[:, 0].astype(int), action, strict=True)
        return self._full([self._after(int(number), int(act)) for number, act in pairs], frame)


@pytest.fixture(scope="session")
def games() -> TransitionDataset:
    return play_held_out("people", FRAMESKIP, 0, 3, 12.0)


@pytest.fixture
def still() -> CopyLast:
    return CopyLast()


@pytest.fixture(scope="session")
def perfect() -> Perfect:
    twin = Perfect()
    twin.learn_games("people", 0, 3)
    return twin


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch, still: CopyLast) -> CopyLast:
    """The twin that the commands find in place of the shipped weights."""
    engine = SimpleNamespace(load=lambda path=None: still)
    monkeypatch.setitem(sys.modules, "model.engine", SimpleNamespace(Engine=engine))
    return still
