"""Held-out steps and what every controller said of them: the raw predictions that all numbers come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from collect.dataset import TransitionDataset
from evaluate.analysis.events import Event, Events, classify, find_all_balls, places
from evaluate.evaluation import EvaluationSettings, held_out
from evaluate.heldout import Starts, sample_transitions
from evaluate.onestep import Predicted, Truth, predict_transitions
from evaluate.predictors import Codes, Logits, controllers_of, probabilities
from model import WorldModel
from model.breakout import ACTIONS, CELLS, CODES
from model.quantizer import UNCHANGED

Show = Callable[[float, str], None]
Record = TypeVar("Record")
BATCH = 128
TEMPERATURES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Above 0; at 0 the likeliest code is taken, and there is nothing to be drawn."""


@dataclass(frozen=True)
class AnalysisSettings:
    """What an analysis depends on, beside the weights and the pairs.

    `episodes` games are played by `policy`. `encoded` of their steps are encoded, to count codes; `transitions` of
    those are predicted by every controller, and so many more that each group of `events.py` has `per_event`, or all
    that there are. `runs` dreams of at most `dream_seconds` are dreamt at each temperature. `top` codes are shown for
    every action and position.
    """

    seed: int = 0
    policy: str = "mixed"
    episodes: int = 24
    transitions: int = 1500
    encoded: int = 6000
    per_event: int = 60
    runs: int = 12
    dream_seconds: float = 3.0
    top: int = 4

    def __post_init__(self) -> None:
        if min(self.episodes, self.transitions, self.encoded, self.runs, self.top) < 1 or self.per_event < 0:
            raise ValueError("episodes, transitions, encoded, runs and top must be 1 or more, per-event 0 or more")
        if not 0 < self.dream_seconds <= 60:
            raise ValueError(f"dreams last more than 0 and at most 60 seconds, got {self.dream_seconds}")


class Watched:
    """What is kept of one controller's logits, which are too many to keep themselves.

    `shares` (4, 35, 256) float64: its probabilities, summed over the evenly drawn steps with each action.
    `tempered` (N, 35, 6) float32: its probability of the real code at each of `TEMPERATURES`.
    `unchanged` (N, 35) float32: its probability that a cell stays as it is.
    """

    def __init__(self) -> None:
        self.shares = np.zeros((ACTIONS, CELLS, CODES))
        self._tempered: list[npt.NDArray[np.float32]] = []
        self._unchanged: list[npt.NDArray[np.float32]] = []

    def add(self, truth: Truth, logits: Logits, even: npt.NDArray[np.bool_]) -> None:
        """One batch; `even` (B,) says which of its steps were drawn evenly."""
        shares = probabilities(logits)
        np.add.at(self.shares, truth.actions[even], shares[even])
        self._unchanged.append(shares[..., UNCHANGED])
        of_truth = [
            np.take_along_axis(shares if t == 1 else probabilities(logits, t), truth.codes[..., None], -1)
            for t in TEMPERATURES
        ]
        self._tempered.append(np.concatenate(of_truth, -1))

    @property
    def tempered(self) -> npt.NDArray[np.float32]:
        """See the class."""
        return np.concatenate(self._tempered)

    @property
    def unchanged(self) -> npt.NDArray[np.float32]:
        """See the class."""
        return np.concatenate(self._unchanged)


@dataclass(frozen=True)
class Sample:
    """Everything that was played, encoded and predicted.

    `events` and `places` (frames of the dataset,) are of every step played. `counted` (E,) are the frame numbers
    of the encoded steps and `codes` (E, 35) their codes. `truth`, `said` and `watched` are of the N predicted
    steps, of which `even` (N,) bool were drawn evenly; the others are there to make rare groups large enough.
    """

    dataset: TransitionDataset
    events: Events
    places: npt.NDArray[np.int64]
    counted: npt.NDArray[np.int64]
    codes: Codes
    truth: Truth
    said: list[Predicted]
    watched: dict[str, Watched]
    even: npt.NDArray[np.bool_]
    starts: Starts
    rng: np.random.Generator

    def evenly(self) -> tuple[Truth, list[Predicted]]:
        """The steps drawn evenly over all games: what an average is taken over."""
        return select(self.truth, self.even), [select(predicted, self.even) for predicted in self.said]


def select(record: Record, chosen: npt.NDArray[np.bool_]) -> Record:
    """The chosen rows of a record of arrays (`Truth`, `Predicted`), records inside it included."""
    values: dict[str, Any] = {}
    for field in fields(record):  # type: ignore[arg-type]
        value = getattr(record, field.name)
        if isinstance(value, np.ndarray):
            value = value[chosen]
        elif not isinstance(value, str):
            value = select(value, chosen)
        values[field.name] = value
    return type(record)(**values)


def take_sample(wm: WorldModel, settings: AnalysisSettings, show: Show = lambda share, text: None) -> Sample:
    """Play held-out games, choose steps, and let every controller of `wm` predict them."""
    seconds = settings.dream_seconds
    played = EvaluationSettings(
        settings.seed, (settings.policy,), settings.episodes, settings.transitions, settings.runs, seconds, seconds
    )
    dataset, starts, rng = held_out(wm, settings.policy, played, lambda share, text: show(0.1 * share, text))
    show(0.1, "looking for bounces and bricks")
    balls = find_all_balls(dataset)
    events = classify(dataset, balls)

    counted = sample_transitions(dataset, max(settings.encoded, settings.transitions), rng)
    codes = np.zeros((len(counted), CELLS), np.int64)
    for start in range(0, len(counted), BATCH):
        t = counted[start : start + BATCH]
        codes[start : start + len(t)] = wm.encode_batch(dataset.frame(t), dataset.frame(t + 1))
        show(0.2 + 0.2 * start / len(counted), f"{start} of {len(counted)} steps encoded")

    even = np.sort(rng.choice(counted, min(settings.transitions, len(counted)), replace=False))
    t = np.union1d(even, more_of_rare(dataset, events, even, settings.per_event, rng))
    predictors = controllers_of(wm)
    watched = {predictor.name: Watched() for predictor in predictors}
    truth, said = predict_transitions(
        wm,
        predictors,
        dataset,
        t,
        rng,
        lambda n: show(0.4 + 0.6 * n / len(t), f"{n} of {len(t)} steps predicted"),
        lambda name, truth, logits: watched[name].add(truth, logits, np.isin(truth.t, even)),
    )
    where = places(dataset, balls)
    return Sample(dataset, events, where, counted, codes, truth, said, watched, np.isin(t, even), starts, rng)


def more_of_rare(
    dataset: TransitionDataset, events: Events, even: npt.NDArray[np.int64], least: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Steps besides `even`, drawn evenly within each rare group until it has `least`, or all that there are."""
    rest = np.setdiff1d(dataset.transitions(), even)
    more = []
    for event in Event:
        missing = max(0, least - int((events[even] == event).sum()))
        of_event = rest[events[rest] == event]
        more.append(rng.choice(of_event, min(missing, len(of_event)), replace=False))
    return np.concatenate(more)
