"""The memory: what counts as known, the belief about the row's fraction, and what training shows and hides."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from model.breakout import BALL_ROWS, COLUMNS
from model.context import BALL_STEP, NEAR_BRICKS, NEAR_COLUMNS, STEPS
from model.memory import (
    FRACTION,
    KNOB,
    POSSIBLE,
    ROW_STEPS,
    SURE,
    Fractions,
    Memory,
    outcome,
    settle,
)
from model.state import FRACTIONS, HISTORY, INDEX, NOT_KNOWN, SIZES, State, Things
from tests.model.random_states import random_state
from train.data import hide
from train.steps import answers, row_step

CLASSES = [FRACTIONS if number == FRACTION else size - 1 for number, size in enumerate(SIZES)]


def sure_of(classes: dict[str, int], how: float = 0.99) -> list[Tensor]:
    """Logits (1, n) of each variable: `how` sure of some, and of all others nothing is known."""
    logits = []
    for name, number in INDEX.items():
        shares = torch.full((1, CLASSES[number]), 1 / CLASSES[number])
        if name in classes:
            shares = torch.full((1, CLASSES[number]), (1 - how) / (CLASSES[number] - 1))
            shares[0, classes[name]] = how
        logits.append(shares.log())
    return logits


def test_what_is_not_sure_enough_is_not_known() -> None:
    memory, certainty = settle(sure_of({"speed": 3, "clock": 2}))
    assert int(memory[0, INDEX["speed"]]) == 4, "classes begin at 1"
    assert int(memory[0, INDEX["clock"]]) == 3
    # Of two classes one is always as likely as `SURE`.
    others = [number for name, number in INDEX.items() if name not in ("speed", "clock") and CLASSES[number] > 2]
    assert (memory[0, others] == NOT_KNOWN).all()
    assert certainty[0, INDEX["speed"]] == pytest.approx(0.99)
    for number in others:
        assert certainty[0, number] == pytest.approx(1 / CLASSES[number])


@pytest.mark.parametrize(("how", "known"), [(SURE + 0.01, True), (SURE - 0.01, False)])
def test_how_sure_is_sure(how: float, known: bool) -> None:
    memory, certainty = settle(sure_of({"hits": 5}, how))
    assert int(memory[0, INDEX["hits"]]) == (6 if known else NOT_KNOWN)
    assert certainty[0, INDEX["hits"]] == pytest.approx(how)


@pytest.mark.parametrize(
    ("shares", "possible"),
    [
        ([1.0, 0, 0, 0, 0, 0, 0, 0], 0b1),
        ([0.5, 0, 0, 0, 0.5, 0, 0, 0], 0b10001),
        ([0.7, 0.69 * POSSIBLE, 0, 0, 0.69 * POSSIBLE, 0, 0, 0], 0b1),
        ([0.6, 0, 0.61 * POSSIBLE, 0, 0, 0, 0, 0.61 * POSSIBLE], 0b10000101),
        ([0.125] * 8, NOT_KNOWN),
    ],
)
def test_the_rows_fraction_is_the_set_of_what_is_possible(shares: list[float], possible: int) -> None:
    logits = sure_of({})
    logits[FRACTION] = torch.tensor([shares]).log()
    assert int(settle(logits)[0][0, FRACTION]) == possible


def test_answers_are_numbers_of_logits() -> None:
    """A network that gives its answers for sure remembers the truth."""
    truth = torch.stack([torch.arange(40) % (size - 1) + 1 for size in SIZES], 1)
    truth[:, FRACTION] = 1 << torch.arange(40) % FRACTIONS
    numbers = answers(truth)
    logits = [100 * torch.nn.functional.one_hot(numbers[:, n], count).float() for n, count in enumerate(CLASSES)]
    assert torch.equal(settle(logits)[0], truth)
    untaught = truth.clone()
    untaught[:, KNOB], untaught[:20, INDEX["speed"]] = -1, -1
    assert (answers(untaught)[:, KNOB] == -1).all()
    assert (answers(untaught)[:20, INDEX["speed"]] == -1).all()


def seen(before: list[int], after: list[int], brick: bool = False, life: bool = False) -> dict[str, int]:
    """What `outcome` says of one step, by name."""
    walls = torch.ones(1, 6, 18, dtype=torch.uint8), torch.ones(1, 6, 18, dtype=torch.uint8)
    boards = torch.tensor([[0, 0, 0, 5]]), torch.tensor([[0, 0, 7 * brick, 4 if life else 5]])
    if brick:
        walls[1][0, 1, 5] = 0
    names = ("served", "brick", "life", "score", "step", "first step", "second step")
    now, then = torch.tensor([before]), torch.tensor([after])
    memory = torch.zeros(1, len(SIZES), dtype=torch.long)
    state = State(now, now[:, None].expand(1, HISTORY, 4), walls[0], boards[0], memory, memory)
    found = outcome(state, Things(then[:, :2], then[:, 2:], walls[1], boards[1]))
    return dict(zip(names, found[0].tolist(), strict=True))


def test_what_was_seen_to_happen() -> None:
    flight = seen([120, 60, 70, 16], [122, 59, 74, 16])
    assert flight["step"] == (2 + BALL_STEP) * (2 * BALL_STEP + 1) - 1 + BALL_STEP
    assert flight["served"] == 1, "there was a ball already"
    assert flight["brick"] == NEAR_BRICKS
    assert (flight["life"], flight["score"]) == (0, 0)
    assert flight["second step"] == BALL_STEP * (2 * BALL_STEP + 1) + BALL_STEP, "it had stood still"
    at_brick = seen([69, 48, 70, 16], [68, 49, 70, 16], brick=True)  # the brick of row 1 and column 5 is above
    assert at_brick["brick"] == len(NEAR_COLUMNS) // 2
    assert at_brick["score"] == 1
    lost = seen([209, 60, 70, 16], [0, 0, 70, 16], life=True)
    assert (lost["step"], lost["served"], lost["life"], lost["score"]) == (STEPS - 1, 0, 1, 0)
    assert seen([0, 0, 70, 16], [122, 80, 70, 16])["served"] == 80
    beyond = seen([0, 0, 225, 16], [BALL_ROWS + 20, COLUMNS + 9, -30, 12])
    assert beyond["served"] == COLUMNS - 1


@pytest.mark.parametrize("seed", range(2))
def test_any_state_gives_a_memory_that_there_is(seed: int) -> None:
    torch.manual_seed(seed)
    network, games = Memory(16, 8), 200
    state, later = random_state(games, seed), random_state(games, seed + 50)
    action, now = torch.arange(games) % 5, later.objects[:, -1]
    logits = network(state, action, Things(now[:, :2], now[:, 2:], later.wall, later.board), action > 0)
    assert [each.shape for each in logits] == [(games, count) for count in CLASSES]
    memory, certainty = settle([40 * each for each in logits])
    assert (memory >= 0).all()
    assert (memory < torch.tensor(SIZES)).all()
    assert ((certainty > 0) & (certainty <= 1)).all()


def test_the_filter_of_fractions_narrows_moves_and_finds_its_mistakes() -> None:
    """A ball that falls 3/8 of a row a frame, by tables that say so."""
    tables, speed = Fractions(), torch.zeros(1, SIZES[INDEX["speed"]] - 1)
    speed[0, 0] = 1
    with torch.no_grad():
        for eighth in range(FRACTIONS):
            tables.steps[0, eighth, (eighth + 3) // FRACTIONS + BALL_STEP] = 9
            tables.moves[0, eighth, (eighth + 3) % FRACTIONS] = 9

    def after(possible: list[int], rows: int, seen: bool = True) -> list[int]:
        before = torch.tensor([[100, 50]])
        step = row_step(before, before + torch.tensor([[rows, 0]]))
        belief = torch.zeros(1, FRACTIONS)
        belief[0, possible] = 1
        logits = sure_of({})
        logits[FRACTION] = tables(belief, speed, step, torch.tensor([seen]))
        number = int(settle(logits)[0][0, FRACTION]) or (1 << FRACTIONS) - 1
        return [eighth for eighth in range(FRACTIONS) if number >> eighth & 1]

    everything = list(range(FRACTIONS))
    assert after(everything, 1) == [0, 1, 2], "only from 5/8 on a row is crossed"
    assert after([0, 4], 0) == [3, 7]
    assert after([2, 6], 1) == [1]
    assert after([2, 6], 1, seen=False) == [1, 5], "what is not seen tells nothing"
    assert after([0], 1) == [0, 1, 2], "what cannot have been was a mistake"
    assert row_step(torch.tensor([[0, 0]]), torch.tensor([[122, 80]])) == ROW_STEPS - 1


@pytest.fixture
def truth() -> Tensor:
    """What RAM tells of 500 moments, but for a few."""
    chance = torch.Generator().manual_seed(3)
    memory = torch.stack([torch.randint(1, size, (500,), generator=chance) for size in SIZES], 1)
    memory[:, FRACTION] = 1 << torch.randint(FRACTIONS, (500,), generator=chance)
    memory[::7, KNOB] = -1
    return memory


def test_what_is_told_is_true_or_not_known(truth: Tensor) -> None:
    told = hide(truth, torch.Generator().manual_seed(0))
    others = [number for number in range(len(SIZES)) if number != FRACTION]
    right = (told == truth) | (told == NOT_KNOWN)
    assert right[:, others].all()
    assert (told[::7, KNOB] == NOT_KNOWN).all(), "what RAM does not tell is not known"
    possible = torch.where(told[:, FRACTION] == NOT_KNOWN, (1 << FRACTIONS) - 1, told[:, FRACTION])
    assert (possible & truth[:, FRACTION] > 0).all(), "the true eighth is always possible"
    whole = ((told == truth) | (truth < 0)).all(1).float().mean()
    assert 0.4 < whole < 0.65
    assert (told == NOT_KNOWN).float().mean() > 0.15


def test_nothing_is_hidden_and_nothing_wrong_if_so_asked(truth: Tensor) -> None:
    assert torch.equal(hide(truth, torch.Generator().manual_seed(0), whole=1.0), truth.clamp(min=NOT_KNOWN))
    wrong = hide(truth, torch.Generator().manual_seed(0), whole=1.0, wrong=0.3)
    share = (wrong != truth.clamp(min=NOT_KNOWN))[:, KNOB].float().mean()
    assert 0.2 < share < 0.35
    assert (wrong >= 0).all()
    assert torch.equal(hide(truth, torch.Generator().manual_seed(5)), hide(truth, torch.Generator().manual_seed(5)))
