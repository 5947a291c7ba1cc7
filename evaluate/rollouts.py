"""Letting the twin predict: one step at a time from real history, and living on its own frames. Batched over games.

The twin watches all real frames of all games from the beginning: it remembers at any moment what it would in play."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from collect import ram
from collect.dataset import TransitionDataset as Dataset
from collect.emulator import Emulator
from collect.policies import make_policy, start_episode
from console import Show, quiet
from evaluate import Without
from evaluate.heldout import Starts, episode_of
from model.breakout import ACTIONS, UNCHANGED, Frame, changed_cells
from model.engine import Engine
from model.metrics import PARTED_STEPS, ball_error, horizons, is_off, paddle_error, psnr, wrong_bricks
from model.readers import Bools, Floats, Ints
from model.state import INDEX, NOT_KNOWN, Array, Prediction, State, stack

Doubles = npt.NDArray[np.float64]
Watch = Callable[[str, Ints, Floats, Frame], None]
"""Told a controller, frame numbers (B,), its logits (B, 35, 256) and the frames that it drew."""
TEMPERATURES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)  # above 0: there the likeliest code is taken, and nothing is drawn
Record = TypeVar("Record", bound="tuple[Any, ...]")


class Mode(StrEnum):
    """What the twin lives on."""

    real = "real history"  # every real frame
    dream = "dream"  # its own frames
    decoder = "decoder alone"  # its own frames, drawn by the codes of the real pair
    controller = "controller alone"  # the real frame whenever its codes are right
    copy = "copy last"  # the baseline: nothing changes


class Rollout:
    """Games that the twin goes through side by side, the one loop of every evaluation: `rows` (B,) int64, which of the
    games that it began with still go on, and the twin's `state` in these; in the beginning it has seen the real frames.
    `without` is one of `Without`; controller, temperature and rng are as of `Engine.predict`."""

    def __init__(
        self, engine: Engine, state: State, mode: Mode = Mode.dream, without: str = "", controller: str = "context",
        temperature: float = 0.0, rng: np.random.Generator | None = None,
    ) -> None:  # fmt: skip
        self.engine, self.mode = engine, mode
        self._without, self._choice = without, (controller, temperature, rng)
        self._forgotten = [number for name, number in INDEX.items() if without in (Without.memory, name)]
        self.rows = np.arange(len(state.frame))
        self.state, self._real = self._forget(state), state.frame

    def _forget(self, state: State) -> State:
        if not self._forgotten:
            return state
        memory, certainty = state.memory.copy(), state.certainty.copy()
        memory[:, self._forgotten], certainty[:, self._forgotten] = NOT_KNOWN, 0
        return state._replace(memory=memory, certainty=certainty)

    def step(self, actions: Ints, real: Array = None) -> Prediction:
        """Take a step under actions (B,), which led the real games to `real` (B, 210, 160) uint8; gives the guess."""
        engine, state = self.engine, self.state
        if self.mode == Mode.decoder:
            guess = engine.follow(state, engine.encode(self._real, real))
        else:
            guess = engine.predict(state, actions, *self._choice)
        frame, told = guess.frame, guess
        if self.mode == Mode.real:
            frame = real
        elif self.mode == Mode.controller:
            frame = np.where((guess.codes == engine.encode(self._real, real)).all(1)[:, None, None], real, frame)
        if self._without == Without.expectation:
            things = guess.things._replace(ball=0 * guess.things.ball, paddle=0 * guess.things.paddle)
            told = guess._replace(things=things)
        blind = self.mode == Mode.real and self._without == Without.actions
        led = (np.zeros_like(actions), frame) if blind else (actions, frame, told)
        self.state = self._forget(engine.advance(state, *led))
        self._real = self._real if real is None else real
        return guess

    def keep(self, stays: Bools) -> None:
        """Go on with some of the games, (B,)."""
        self.rows = self.rows[stays]
        self.state, self._real = self.state.rows(stays), self._real[stays]


def watched_games(engine: Engine, policy: str, rng: np.random.Generator) -> Iterator[tuple[Emulator, Rollout, int]]:
    """Real games that `policy` plays, one after the other, with the twin watching. Before each step: the emulator, the
    twin on real history, and the action 0..3 for both, whose steps are the caller's to take."""
    emulator = Emulator(engine.frameskip)
    while True:
        start_episode(emulator, policy, rng)
        player = make_policy(policy, rng, engine.frameskip)
        roll = Rollout(engine, engine.begin(emulator.frame[None, None], fresh=True), Mode.real)
        while not emulator.over:
            yield emulator, roll, player.act(emulator.objects())


def probabilities(logits: Floats, temperature: float = 1.0) -> Floats:
    """softmax(logits / temperature) over the last axis."""
    shares = np.exp((logits - logits.max(-1, keepdims=True)) / temperature)
    return shares / shares.sum(-1, keepdims=True)


class Truth(NamedTuple):
    """What really happened in N held-out steps, and how the codes of the real pair draw it."""

    t: Ints  # (N,) frame numbers; the step leads to t + 1
    actions: Ints  # (N,)
    episodes: Ints  # (N,)
    codes: Ints  # (N, 35)
    dynamic: Bools  # (N, 35), cells whose pixels changed
    changed: Ints  # (N,) pixels that changed
    wrong: Ints  # (N,) pixels that the codes of the real pair draw wrong
    right: Ints  # (N,) of the pixels that changed, those drawn right
    psnr: Doubles  # (N,) dB


class Predicted(NamedTuple):
    """What one controller predicts of the same N steps."""

    codes: Ints  # (N, 35)
    confidence: Floats  # (N, 35), its probability of those codes
    stays: Floats  # (N, 35), its probability that a cell stays as it is
    truth: Floats  # (N, 35, 6), its probability of the real codes at each of `TEMPERATURES`
    rank: Ints  # (N, 35), how many codes it held likelier than the real one
    wrong: Ints  # (N,), as in `Truth`
    right: Ints
    psnr: Doubles
    random_psnr: Doubles  # (N,) of the frame for a random action


class Pass(NamedTuple):
    """One pass over all games, of N frames t."""

    truth: Truth  # of the chosen steps
    predicted: dict[str, Predicted]  # of these, by controller
    exact: Bools  # (N,), whether t + 1 was predicted in every pixel
    memory: Ints  # (N, V), what is remembered at t
    states: State  # the moments asked for, the earliest first


def select(record: Record, chosen: Bools | Ints) -> Record:
    """The chosen rows of a record of arrays."""
    return type(record)(*(values[chosen] for values in record))


def join(records: list[Record]) -> Record:
    """Records of arrays as one, row after row."""
    return type(records[0])(*(np.concatenate(values) for values in zip(*records, strict=True)))


def compare(before: Frame, after: Frame, drawn: Frame) -> tuple[Ints, Ints, Doubles]:
    """`wrong`, `right` and `psnr` (B,) of `drawn` frames of a step, (B, 210, 160) uint8 classes each."""
    wrong = drawn != after
    return wrong.sum((1, 2)), ((before != after) & ~wrong).sum((1, 2)), psnr(after, drawn)


def judged(logits: Floats, chosen: Ints, real: Ints, drawn: tuple[Ints, Ints, Doubles], random: Doubles) -> Predicted:
    """What a controller says of N steps: its logits (N, 35, 256), the codes it chose and the real ones (N, 35), what
    `compare` says of the frames that its codes draw, and the PSNR (N,) of those for a random action."""
    shares = probabilities(logits)
    confidence = np.take_along_axis(shares, chosen[..., None], -1)[..., 0]
    each = [np.take_along_axis(probabilities(logits, heat), real[..., None], -1) for heat in TEMPERATURES]
    rank = (shares > each[TEMPERATURES.index(1.0)]).sum(-1)
    return Predicted(chosen, confidence, shares[..., UNCHANGED], np.concatenate(each, -1), rank, *drawn, random)


def predict_all(
    engine: Engine, dataset: Dataset, chosen: Ints, keep: Ints, seed: int, without: str = "", show: Show = quiet,
    watch: Watch = lambda *seen: None,
) -> Pass:  # fmt: skip
    """Predict every step of the games from real history; look more closely at the transitions `chosen`. At a game's
    first frame the twin knows the clock and all that no frame shows (held-out games begin some NOOPs after their reset:
    the clock comes round). `keep` are the moments whose states are wanted; `watch` is shown each closer look."""
    frames, ends = len(dataset.index), dataset.first[1:] - 1
    closely, wanted = (np.isin(np.arange(frames), of) for of in (chosen, keep))
    others = np.random.default_rng([seed, 3]).integers(0, ACTIONS, frames)
    state = engine.begin(dataset.frame(dataset.first[:-1, None]), fresh=True)
    exact, memory = np.zeros(frames, bool), np.zeros((frames, state.memory.shape[1]), np.int64)
    moments, kept, looks = list[Ints](), list[State](), list[list[Any]]()
    roll, longest = Rollout(engine, state, Mode.real, without), int(np.diff(dataset.first).max())
    for step in range(longest):
        t, state = dataset.first[roll.rows] + step, roll.state
        memory[t] = state.memory
        moments.append(t[wanted[t]])
        kept.append(state.rows(wanted[t]))
        # The last frame of a game has no next one: whatever stands there is predicted in vain, and dropped below.
        stays, after = t < ends[roll.rows], dataset.frame(np.minimum(t + 1, frames - 1))
        guess = roll.step(dataset.actions[t].astype(np.int64), after)
        exact[t] = (guess.frame == after).all((1, 2)) & stays
        if (rows := np.flatnonzero(closely[t] & stays)).size:
            looks.append(_look(engine, dataset, t[rows], state.rows(rows), others[t[rows]], watch))
        roll.keep(stays)
        show((step + 1) / longest, "one step from real history")
    truth, *each = (join(list(records)) for records in zip(*looks, strict=True))
    order = np.argsort(truth.t)
    predicted = {name: select(one, order) for name, one in zip(engine.controllers, each, strict=True)}
    states = stack(kept).rows(np.argsort(np.concatenate(moments)))
    return Pass(select(truth, order), predicted, exact, memory, states)


def _look(engine: Engine, dataset: Dataset, t: Ints, state: State, others: Ints, watch: Watch) -> list[Any]:
    """`Truth` of some steps, and `Predicted` of every controller."""
    before, after, actions = dataset.frame(t), dataset.frame(t + 1), dataset.actions[t].astype(np.int64)
    codes, changed = engine.encode(before, after), (before != after).sum((1, 2))
    inferred = compare(before, after, engine.draw(state, codes))
    cells = np.stack([changed_cells(*pair) for pair in zip(before, after, strict=True)])
    truth = Truth(t, actions, episode_of(dataset, t), codes, cells, changed, *inferred)
    found: list[Any] = [truth]
    for name in engine.controllers:
        guess, logits = engine.predict(state, actions, name), engine.logits(state, actions, name)
        watch(name, t, logits, guess.frame)
        random_psnr = psnr(after, engine.predict(state, others, name).frame)
        found.append(judged(logits, guess.codes, codes, compare(before, after, guess.frame), random_psnr))
    return found


class Dreams(NamedTuple):
    """What became of R dreams."""

    episodes: Ints  # (R,)
    steps: Ints  # (R,) until its end, or the serve that could not be known
    horizons: Ints  # (R,) steps that it stayed true
    parted: Bools  # (R,), else it was censored
    marks: Ints  # (M,) steps at which it is compared
    errors: Floats  # (3, R, M): ball and paddle in pixels, wrong bricks; NaN where the run was not that long
    memory: Ints  # (K, V), what was remembered in all steps of dreams that were still true
    at: Ints  # (K,), their frame numbers


def dream(roll: Rollout, dataset: Dataset, starts: Starts, marks: Ints, show: Show = quiet) -> Dreams:
    """Let R twins, begun at `starts`, live on under the actions of the real games; one that has parted to the last of
    the `marks`. A run is censored where a ball is served while the twin's clock is not known: its place is chance."""
    runs, longest = len(starts.t), int(starts.steps.max(initial=0))
    off, parted = np.zeros((runs, longest), bool), np.zeros(runs, bool)
    steps = starts.steps.copy()
    errors = np.full((3, runs, len(marks)), np.nan, np.float32)
    memory, at = [roll.state.memory[:0]], [starts.t[:0]]
    balls = ram.read(dataset.ram).ball_row
    for step in range(longest):
        alive = roll.rows
        t = starts.t[alive] + step
        served = (balls[t] == 0) & (balls[t + 1] > 0) & (roll.state.memory[:, INDEX["clock"]] == NOT_KNOWN)
        steps[alive[served & (roll.mode != Mode.copy)]] = step
        real = dataset.frame(t + 1)
        if roll.mode != Mode.copy:
            roll.step(dataset.actions[t].astype(np.int64), real)
        drawn = roll.state.frame
        off[alive, step] = is_off(real, drawn)
        parted[alive] |= off[alive, max(0, step + 1 - PARTED_STEPS) : step + 1].sum(1) == PARTED_STEPS
        true = ~parted[alive] & ~off[alive, step]
        memory.append(roll.state.memory[true])
        at.append(t[true] + 1)
        for mark in np.flatnonzero(marks == step + 1):
            errors[:, alive, mark] = ball_error(real, drawn), paddle_error(real, drawn), wrong_bricks(real, drawn)
        roll.keep(step + 1 < np.where(parted[alive], np.minimum(steps, marks.max(initial=0))[alive], steps[alive]))
        show((step + 1) / longest, f"{runs} dreams, {roll.mode.value}")
        if not len(roll.rows):
            break
    ends, parted = horizons(off, steps)
    errors[:, marks > steps[:, None]] = np.nan  # beyond a run's end, or a serve that could not be known
    return Dreams(
        episode_of(dataset, starts.t), steps, ends, parted, marks, errors, np.concatenate(memory), np.concatenate(at)
    )
