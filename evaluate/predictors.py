"""What is put to the test: a controller, and how its codes are chosen from its logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model import WorldModel
from model.breakout import CELLS, CODES, COLUMNS, ROWS, Frame
from model.quantizer import UNCHANGED

Codes = npt.NDArray[np.int64]
Actions = npt.NDArray[np.int64]
Logits = npt.NDArray[np.float32]


class Memory(NamedTuple):
    """What histories do not show, as in `WorldModel.predict_batch`: the keys (B, n) that led to their frames, and
    hits, knob and whether a life is due (B, 3) in the newest one."""

    keys: Actions
    unseen: Actions


@dataclass(frozen=True)
class Predictor:
    """`logits(histories (B, n, 210, 160) uint8 classes, actions (B,), memory) -> (B, 35, 256)` under a name.

    `temperature` 0 takes the likeliest codes; above it they are drawn, `draws` times, and the best draw counts.
    `choose` (as `WorldModel.choose_batch`) gives logits and codes at once where the codes are not chosen cell by cell.
    """

    name: str
    logits: Callable[[Frame, Actions, Memory], Logits]
    temperature: float = 0.0
    draws: int = 1
    choose: Callable[[Frame, Actions, Memory, float], tuple[Logits, Codes]] | None = None

    def predict(
        self, history: Frame, actions: Actions, memory: Memory, rng: np.random.Generator, truth: Codes | None = None
    ) -> tuple[Logits, Codes]:
        """Logits (B, 35, 256) and the codes (B, 35) chosen; of several draws the one nearest to `truth` (B, 35)."""
        if self.choose is not None:
            return self.choose(history, actions, memory, self.temperature)
        logits = self.logits(history, actions, memory)
        best = self.codes(logits, rng)
        for _ in range(self.draws - 1 if truth is not None else 0):
            other = self.codes(logits, rng)
            better = (other == truth).sum(1) > (best == truth).sum(1)
            best = np.where(better[:, None], other, best)
        return logits, best

    def codes(self, logits: Logits, rng: np.random.Generator) -> Codes:
        """Codes (B, 35) for these logits, each cell for itself."""
        return choose_codes(logits, self.temperature, rng)


def choose_codes(logits: Logits, temperature: float, rng: np.random.Generator) -> Codes:
    """Codes (...,) from logits (..., 256): the likeliest at temperature 0, else drawn from softmax(logits / T)."""
    if temperature == 0:
        return logits.argmax(-1)
    # The largest of the logits plus Gumbel noise is a draw from their softmax.
    return (logits / temperature + rng.gumbel(size=logits.shape)).argmax(-1)


def probabilities(logits: Logits, temperature: float = 1.0) -> npt.NDArray[np.float32]:
    """softmax(logits / temperature) over the last axis."""
    scaled = (logits - logits.max(-1, keepdims=True)) / temperature
    shares = np.exp(scaled)
    return shares / shares.sum(-1, keepdims=True)


def controllers_of(wm: WorldModel) -> list[Predictor]:
    """One predictor for each controller that the weights hold."""

    def of(name: str) -> Predictor:
        return Predictor(
            name,
            lambda history, actions, memory: wm.predict_batch(history, actions, name, *memory),
            choose=lambda history, actions, memory, heat: wm.choose_batch(history, actions, name, heat, *memory),
        )

    return [of(name) for name in wm.controllers]


def copy_last() -> Predictor:
    """The baseline that lets nothing change: code 0 in every cell."""

    def logits(history: Frame, actions: Actions, memory: Memory) -> Logits:
        unchanged = np.zeros((len(history), CELLS, CODES), np.float32)
        unchanged[..., UNCHANGED] = 1
        return unchanged

    return Predictor("copy_last", logits)


def action_to_code(wm: WorldModel, action: int, temperature: float = 0.0, seed: int = 0) -> Codes:
    """From an action 0..3 to the 35 codes that the action-only controller expects, whatever the screen shows.

    Above temperature 0 the codes are drawn, the same for the same seed. FileError if the weights hold no such
    controller, ValueError for an action out of range.
    """
    return choose_codes(_action_logits(wm, action), temperature, np.random.default_rng(seed))


def action_to_shares(wm: WorldModel, action: int) -> npt.NDArray[np.float32]:
    """The probabilities (35, 256) that the codes of `action_to_code` are the likeliest of, or drawn from."""
    return probabilities(_action_logits(wm, action))


def _action_logits(wm: WorldModel, action: int) -> Logits:
    blank = np.zeros((1, wm.context, ROWS, COLUMNS), np.uint8)
    return wm.predict_batch(blank, np.array([action]), "action")[0]
