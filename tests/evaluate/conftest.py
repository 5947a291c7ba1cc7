"""A twin that is exact by construction, and small held-out games, shared by the evaluation's tests."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from collect.dataset import TransitionDataset
from evaluate.heldout import play_held_out
from evaluate.predictors import Memory, Predictor
from model.breakout import CELLS, CODES, from_cells, to_cells

FRAMESKIP = 2


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Dictionary:
    """Stands for `WorldModel`: code k of a cell is the k-th different content that any cell changed to."""

    context, frameskip, checksum = 2, FRAMESKIP, "dictionary"

    def __init__(self) -> None:
        self.majority = np.zeros(CELLS, np.int64)
        self.cells = [b""]

    def encode_batch(self, previous, following):
        codes = np.zeros((len(previous), CELLS), np.int64)
        before, after = to_cells(previous), to_cells(following)
        for b, c in np.argwhere((before != after).any((2, 3))):
            content = after[b, c].tobytes()
            if content not in self.cells:
                self.cells.append(content)
            codes[b, c] = self.cells.index(content)
        assert len(self.cells) <= CODES
        return codes

    def next_unseen(self, history, keys, unseen):
        return unseen

    def decode_batch(self, history, codes, unseen=None):
        cells = to_cells(history[:, -1]).copy()
        for b, c in np.argwhere((codes > 0) & (codes < len(self.cells))):
            cells[b, c] = np.frombuffer(self.cells[codes[b, c]], np.uint8).reshape(cells.shape[2:])
        return from_cells(cells)


@pytest.fixture(scope="session")
def games() -> TransitionDataset:
    return play_held_out("people", FRAMESKIP, 0, 4, 12.0)


@pytest.fixture
def twin() -> Dictionary:
    return Dictionary()


@pytest.fixture
def perfect(twin: Dictionary, games: TransitionDataset) -> Callable[..., Predictor]:
    """Makes a predictor that knows the codes of the steps `t`; from frame number `until` on it lets nothing change."""

    def make(t: np.ndarray, until: int | None = None) -> Predictor:
        known = {}
        for number in np.asarray(t):
            pair = games.frame(np.array([number, number + 1]))
            if until is None or number < until:
                seen = games.frame(games.history(np.array([number]), twin.context))[0]
                known[seen.tobytes(), int(games.actions[number])] = twin.encode_batch(pair[:1], pair[1:])[0]

        def logits(history: np.ndarray, actions: np.ndarray, memory: Memory) -> np.ndarray:
            nothing = np.zeros(CELLS, np.int64)
            pairs = zip(history, actions, strict=True)
            codes = np.stack([known.get((seen[-2:].tobytes(), int(action)), nothing) for seen, action in pairs])
            return np.where(np.arange(CODES) == codes[..., None], 30.0, 0.0).astype(np.float32)

        return Predictor("perfect", logits)

    return make
