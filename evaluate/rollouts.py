"""Letting the twin predict: one step at a time from real history, and living on its own frames. Batched over games.

The twin watches all real frames of all games side by side, from their beginnings, so what it remembers at any moment is
what it would in play. Each prediction is made from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from collect import ram
from collect.dataset import TransitionDataset
from evaluate.heldout import Starts, episode_of
from model.breakout import ACTIONS, Frame
from model.metrics import PARTED_STEPS, ball_error, changed_cells, horizons, is_off, paddle_error, psnr, wrong_bricks
from model.readers import Bools, Floats, Ints
from model.state import INDEX, NOT_KNOWN, Prediction, State, Things, stack

if TYPE_CHECKING:
    from model.engine import Engine

BATCH = 64
Progress = Callable[[float], None]
Logits = npt.NDArray[np.float32]
Watch = Callable[[str, Ints, Ints, Logits, Frame], None]
"""Told a controller's name, frame numbers (B,), the real codes (B, 35), the controller's logits (B, 35, 256), and what
it drew (B, 210, 160)."""
Record = TypeVar("Record")


class Without(StrEnum):
    """What is taken from the twin, to see what it is worth."""

    nothing = "nothing"
    memory = "memory"  # nothing is remembered: before each step every variable is not known
    actions = "actions"  # frames are given without the actions that led to them: NOOP stands for all
    expectation = "expectation"  # the tracker finds ball and paddle by pixels alone, also where a frame hides them


def amnesia(state: State, without: Without) -> State:
    """The state, with all that is remembered taken out where `without` says so."""
    if without != Without.memory:
        return state
    return state._replace(memory=np.full_like(state.memory, NOT_KNOWN), certainty=np.zeros_like(state.certainty))


def blind(prediction: Prediction, without: Without) -> Prediction:
    """The prediction as the tracker is told it: where ball and paddle should be, or nothing."""
    if without != Without.expectation:
        return prediction
    ball, paddle, wall, board = prediction.things
    return prediction._replace(things=Things(np.zeros_like(ball), np.zeros_like(paddle), wall, board))


def probabilities(logits: Logits, temperature: float = 1.0) -> Logits:
    """softmax(logits / temperature) over the last axis."""
    shares = np.exp((logits - logits.max(-1, keepdims=True)) / temperature)
    return shares / shares.sum(-1, keepdims=True)


# --- one step from real history ---


@dataclass(frozen=True)
class Drawn:
    """How N drawn frames compare: `wrong` pixels, `right` of those that changed, `psnr` in dB, each (N,)."""

    wrong: Ints
    right: Ints
    psnr: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What really happened in N held-out steps, and how the codes of the real pair draw it (`inferred`).

    `t` frame numbers, `actions`, `episodes` (N,) int64; `codes` (N, 35) int64; `dynamic` (N, 35) bool, cells whose
    pixels changed; `changed` (N,) pixels that changed.
    """

    t: Ints
    actions: Ints
    episodes: Ints
    codes: Ints
    dynamic: Bools
    changed: Ints
    inferred: Drawn


@dataclass(frozen=True)
class Predicted:
    """What one controller predicts of the same N steps.

    `codes` (N, 35); its probability of those codes, `confidence`, and of the real ones, `truth` (N, 35) float32; `rank`
    (N, 35), how many codes it held likelier than the real one; `random_psnr` (N,) of the frame for a random action.
    """

    name: str
    codes: Ints
    confidence: Floats
    truth: Floats
    rank: Ints
    drawn: Drawn
    random_psnr: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pass:
    """One pass over all games. `truth` and `predicted` are of the chosen steps; of every frame t of the dataset:
    `exact` (N,) bool, whether t + 1 was predicted in every pixel; `memory` (N, V) int64 and `certainty` (N, V) float32,
    what is remembered at t. `states` are the moments asked for, in their order."""

    truth: Truth
    predicted: list[Predicted]
    exact: Bools
    memory: Ints
    certainty: Floats
    states: State


def joined(parts: list[Record]) -> Record:
    """One record of arrays from the records of its batches."""
    values: dict[str, Any] = {}
    for field in fields(parts[0]):  # type: ignore[arg-type]
        found = [getattr(part, field.name) for part in parts]
        if isinstance(found[0], np.ndarray):
            values[field.name] = np.concatenate(found)
        else:
            values[field.name] = found[0] if isinstance(found[0], str) else joined(found)
    return type(parts[0])(**values)


def select(record: Record, chosen: Bools | Ints) -> Record:
    """The chosen rows of a record of arrays, records inside it included."""
    values: dict[str, Any] = {}
    for field in fields(record):  # type: ignore[arg-type]
        value = getattr(record, field.name)
        nested = value if isinstance(value, (np.ndarray, str)) else select(value, chosen)
        values[field.name] = value[chosen] if isinstance(value, np.ndarray) else nested
    return type(record)(**values)


def compare(before: Frame, after: Frame, drawn: Frame) -> Drawn:
    """Real frames before and after a step and the drawn ones, (B, 210, 160) uint8 classes each."""
    wrong = drawn != after
    return Drawn(wrong.sum((1, 2)), ((before != after) & ~wrong).sum((1, 2)), psnr(after, drawn))


def predict_all(
    engine: Engine,
    dataset: TransitionDataset,
    chosen: Ints,
    keep: Ints,
    seed: int,
    without: Without = Without.nothing,
    progress: Progress = lambda share: None,
    watch: Watch = lambda *seen: None,
) -> Pass:
    """Predict every step of the games from real history; look more closely at the transitions `chosen`.

    The twin has watched each game from its reset on, so at its first frame it knows the clock and all that no frame
    shows (held-out games begin some NOOPs after it: the clock comes round). `keep` are the moments whose states are
    wanted. `watch` is shown each closer look: it is too much to keep.
    """
    frames, ends = len(dataset.index), dataset.first[1:] - 1
    closely, wanted = (np.isin(np.arange(frames), of) for of in (chosen, keep))
    kept: dict[int, State] = {}
    looks: list[tuple[Truth, list[Predicted]]] = []
    others = np.random.default_rng([seed, 3]).integers(0, ACTIONS, frames)
    t = dataset.first[:-1].copy()
    state = amnesia(engine.begin(dataset.frame(t[:, None]), fresh=True), without)
    exact, memory = np.zeros(frames, bool), np.zeros((frames, state.memory.shape[1]), np.int64)
    certainty = np.zeros(memory.shape, np.float32)
    longest = int((ends - t).max())
    for step in range(longest + 1):
        memory[t], certainty[t] = state.memory, state.certainty
        for row in np.flatnonzero(wanted[t]):
            kept[int(t[row])] = state.rows(slice(row, row + 1))
        # The last frame of a game has no next one: whatever stands there is predicted in vain, and dropped below.
        actions, after = dataset.actions[t].astype(np.int64), dataset.frame(np.minimum(t + 1, frames - 1))
        prediction = engine.predict(state, actions)
        stays = t < ends
        exact[t] = (prediction.frame == after).all((1, 2)) & stays
        if (rows := np.flatnonzero(closely[t] & stays)).size:
            looks.append(_look_closely(engine, dataset, t[rows], state.rows(rows), others[t[rows]], watch))
        if not stays.any():
            break
        if without == Without.actions:
            state = engine.advance(state, np.zeros_like(actions), after)
        else:
            state = engine.advance(state, actions, after, blind(prediction, without))
        state, t, ends = amnesia(state.rows(stays), without), t[stays] + 1, ends[stays]
        progress((step + 1) / longest)
    truth = joined([look[0] for look in looks])
    predicted = [joined(list(parts)) for parts in zip(*(look[1] for look in looks), strict=True)]
    order: Ints = np.argsort(truth.t)
    states = stack([kept[int(moment)] for moment in keep]) if len(keep) else state.rows(slice(0))
    return Pass(select(truth, order), [select(one, order) for one in predicted], exact, memory, certainty, states)


def _look_closely(
    engine: Engine,
    dataset: TransitionDataset,
    t: Ints,
    state: State,
    others: Ints,
    watch: Watch,
) -> tuple[Truth, list[Predicted]]:
    before, after, actions = dataset.frame(t), dataset.frame(t + 1), dataset.actions[t].astype(np.int64)
    codes = engine.encode(before, after)
    inferred = compare(before, after, engine.draw(state, codes))
    dynamic, changed = changed_cells(before, after), (before != after).sum((1, 2))
    truth = Truth(t, actions, episode_of(dataset, t), codes, dynamic, changed, inferred)
    found = []
    for name in engine.controllers:
        prediction, logits = engine.predict(state, actions, name), engine.logits(state, actions, name)
        watch(name, t, codes, logits, prediction.frame)
        shares = probabilities(logits)
        of_truth = np.take_along_axis(shares, codes[..., None], -1)
        of_chosen = np.take_along_axis(shares, prediction.codes[..., None], -1)
        random_psnr = psnr(after, engine.predict(state, others, name).frame)
        drawn = compare(before, after, prediction.frame)
        rank = (shares > of_truth).sum(-1)
        found.append(Predicted(name, prediction.codes, of_chosen[..., 0], of_truth[..., 0], rank, drawn, random_psnr))
    return truth, found


# --- dreaming ---


class Mode(StrEnum):
    """Which half of the twin is held perfect in a dream."""

    dream = "dream"  # neither
    decoder = "decoder alone"  # the codes of the real pair, its own frames
    controller = "controller alone"  # the real frame whenever the codes are right
    copy = "copy last"  # the baseline: nothing changes


@dataclass(frozen=True)
class Dreams:
    """R dreams; `horizons` (R,) steps that they stayed true, whether they `parted` (R,), else they were censored.

    `marks` (M,) are steps; at each of them `ball` and `paddle` (R, M) errors in pixels and wrong `bricks` (R, M), NaN
    where the run was not that long. `memory` (K, V) and `at` (K,) are what was remembered in all steps of dreams that
    were still true, and their frame numbers.
    """

    episodes: Ints
    steps: Ints
    horizons: Ints
    parted: Bools
    marks: Ints
    ball: Floats
    paddle: Floats
    bricks: Floats
    memory: Ints
    at: Ints


def dream(
    engine: Engine,
    dataset: TransitionDataset,
    starts: Starts,
    states: State,
    marks: Ints,
    mode: Mode = Mode.dream,
    controller: str = "context",
    temperature: float = 0.0,
    seed: int = 0,
    without: Without = Without.nothing,
    progress: Progress = lambda share: None,
) -> Dreams:
    """Let R twins live on from their states under the actions of the real games.

    A run is censored where the real game serves a ball while the twin's clock is not known: its place is then chance.
    A dream that has parted lives on to the last of the `marks`.
    """
    runs, longest = len(starts), int(starts.steps.max(initial=0))
    off, steps = np.zeros((runs, longest), bool), starts.steps.copy()
    running, parted = np.zeros(runs, np.int64), np.zeros(runs, bool)
    ball = np.full((runs, len(marks)), np.nan, np.float32)
    paddle, bricks = ball.copy(), ball.copy()
    memory, at = [states.memory[:0]], [starts.t[:0]]
    balls = ram.read(dataset.ram).ball_row
    rng = np.random.default_rng([seed, 4])
    alive, state = np.arange(runs), amnesia(states, without)
    for step in range(longest):
        t = starts.t[alive] + step
        served = (balls[t] == 0) & (balls[t + 1] > 0) & (state.memory[:, INDEX["clock"]] == NOT_KNOWN)
        steps[alive[served & (mode != Mode.copy)]] = step
        state, real = _live_on(engine, dataset, t, state, mode, controller, temperature, rng, without)
        state = amnesia(state, without)
        off[alive, step] = now = is_off(real, state.frame)
        running[alive] = np.where(now, running[alive] + 1, 0)
        parted[alive] |= running[alive] >= PARTED_STEPS
        true = ~parted[alive] & ~now
        memory.append(state.memory[true])
        at.append(t[true] + 1)
        for mark in np.flatnonzero(marks == step + 1):
            ball[alive, mark] = ball_error(real, state.frame)
            paddle[alive, mark] = paddle_error(real, state.frame)
            bricks[alive, mark] = wrong_bricks(real, state.frame)
        most = np.where(parted[alive], np.minimum(steps[alive], marks.max(initial=0)), steps[alive])
        stays = step + 1 < most
        alive, state = alive[stays], state.rows(stays)
        progress((step + 1) / longest)
        if not len(alive):
            break
    ends, parted = horizons(off, steps)
    gone = marks > steps[:, None]  # what lies beyond a run's end, or a serve that could not be known, does not count
    ball[gone], paddle[gone], bricks[gone] = np.nan, np.nan, np.nan
    return Dreams(
        episode_of(dataset, starts.t), steps, ends, parted, marks, ball, paddle, bricks,
        np.concatenate(memory), np.concatenate(at),
    )  # fmt: skip


def _live_on(
    engine: Engine,
    dataset: TransitionDataset,
    t: Ints,
    state: State,
    mode: Mode,
    controller: str,
    temperature: float,
    rng: np.random.Generator,
    without: Without,
) -> tuple[State, Frame]:
    """One step of dreams that are at frames t (B,): their new states, and the real frames."""
    real, actions = dataset.frame(t + 1), dataset.actions[t].astype(np.int64)
    if mode == Mode.copy:
        return state, real
    if mode == Mode.decoder:
        drawn = engine.follow(state, engine.encode(dataset.frame(t), real))
        return engine.advance(state, actions, drawn.frame, blind(drawn, without)), real
    prediction = engine.predict(state, actions, controller, temperature, rng)
    frame = prediction.frame
    if mode == Mode.controller:
        right = (prediction.codes == engine.encode(dataset.frame(t), real)).all(1)
        frame = np.where(right[:, None, None], real, frame)
    return engine.advance(state, actions, frame, blind(prediction, without)), real
