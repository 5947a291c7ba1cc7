"""What no frame shows, carried from step to step by a learned network.

Half pixels, the count of hits, contact, the clock and so on (`state.VARIABLES`) decide the next frame and are on no
screen. The emulator's RAM teaches this network to carry them (`train/steps.py`): a teacher that sees the simulator's
state, a student that sees pixels and keys (compare Chen et al. 2019, "Learning by Cheating",
https://arxiv.org/abs/1912.12294). Each variable is "not known" until the network is sure of it.
"""

import torch
from torch import Tensor, nn

from model import context
from model.appearance import somewhere
from model.breakout import ACTIONS, COLUMNS
from model.context import AROUND_BALL, BALL_STEP, CLOCK, NEAR, NEAR_BRICKS, PADDLE_STEP, SPEED, STEPS, Around, Embedding
from model.state import FRACTIONS, HISTORY, INDEX, LIVES, NOT_KNOWN, PADDLE, SIZES, State, Things

SURE = 0.5
"""A variable counts as known when the network gives its likeliest class at least this much. (More would lose what is
known at rare moments, such as a serve, where the network is less sure and still right.)"""
POSSIBLE, MISTAKEN = 0.03, 0.01
"""An eighth of a row counts as possible if it is at least this share as likely as the likeliest; and how likely an
eighth is, beside those that were possible, that was not: so a mistake is found when nothing else explains a step."""
FRACTION, KNOB = INDEX["half_row"], INDEX["knob"]
ALONE = FRACTION, CLOCK, KNOB  # these have a network of their own: the rest of a scene would only mislead it
ROW_STEPS = 2 * BALL_STEP + 2  # steps of the ball in rows; the last one is "no ball in one of the two moments"


def outcome(state: State, after: Things) -> Tensor:
    """What was seen to happen in a step, and where its speed is not known how the ball had moved before: (B, 7)."""
    before, places = state.objects[:, -1], torch.cat((state.objects[:, :, :2], after.ball[:, None]), 1)  # (B, 5, 2)
    changed = context.read((state.wall != after.wall).to(torch.uint8), before[:, :2], NEAR)
    brick = torch.where(somewhere(changed), changed.argmax(1), NEAR_BRICKS)[:, None]
    digits = (state.board != after.board).to(torch.uint8)
    served = torch.where(before[:, :1] == 0, after.ball[:, 1:].clamp(1, COLUMNS - 1), 1)  # where: one of four clocks
    served = torch.where(after.ball[:, :1] == 0, 0, served)
    steps = context.step_number(places[:, :-1], places[:, 1:])  # (B, 4)
    past = torch.where(state.memory[:, SPEED, None] == NOT_KNOWN, steps[:, :2], STEPS)
    board = torch.stack((digits[:, LIVES], digits[:, :LIVES].amax(1)), 1)
    return torch.cat((served, brick, board, steps[:, -1:], past), 1)


OUTCOME = COLUMNS, NEAR_BRICKS + 1, 2, 2, STEPS, STEPS + 1, STEPS + 1  # the sizes of the columns that `outcome` gives
SERVED, SEEN = 0, 4  # of these the place of a serve, from 2 on (0: no ball, 1: no serve), and the ball's step


def rows_of(step: Tensor) -> Tensor:
    """Of the number of a step of the ball, that of its rows, below `ROW_STEPS`."""
    return torch.div(step, ROW_STEPS - 1, rounding_mode="trunc")


class Fractions(nn.Module):
    """The fraction of the ball's row: a Bayes filter whose two tables are learned. Where the ball was by an eighth, and
    how fast it now is, decide what step is seen and at which eighth it then is."""

    def __init__(self) -> None:
        super().__init__()
        speeds = SIZES[SPEED] - 1
        self.steps = nn.Parameter(torch.zeros(speeds, FRACTIONS, ROW_STEPS))
        self.moves = nn.Parameter(torch.zeros(speeds, FRACTIONS, FRACTIONS))

    def forward(self, possible: Tensor, speeds: Tensor, step: Tensor, seen: Tensor) -> Tensor:
        """Which eighths were possible (B, 8) float 0 or 1, how likely each speed now is (B, S), the step in rows (B,),
        below `ROW_STEPS`, and whether the ball was seen before and after (B,) bool -> logarithms (B, 8) of how likely
        each eighth now is."""
        fits = torch.softmax(self.steps, 2).permute(2, 0, 1)[step]  # (B, S, 8)
        was = (possible + MISTAKEN)[:, None] * torch.where(seen[:, None, None], fits, 1.0) * speeds[:, :, None]
        now = was.flatten(1) @ torch.softmax(self.moves, 2).flatten(0, 1)
        return now.clamp(min=1e-9).log()


class Memory(nn.Module):
    """(state, action, what then was seen) -> logits for each variable one step later."""

    def __init__(self, width: int = 320, knob_width: int = 192) -> None:
        super().__init__()
        self.settings = {"width": width, "knob_width": knob_width}
        self.trunk = context.Trunk(AROUND_BALL + OUTCOME, width)
        # "Not known" is never predicted: it is what is left.
        self.known = [SIZES[number] - 1 for number in range(len(SIZES)) if number not in ALONE]
        # Most variables stay as they are: that is a layer's work, and the trunk has only to say where they do not.
        self.out, self.stay = nn.Linear(width, sum(self.known)), Embedding(SIZES, sum(self.known))
        self.fractions = Fractions()
        self.clock = Embedding((SIZES[CLOCK], COLUMNS), SIZES[CLOCK] - 1)
        keys = (SIZES[KNOB], ACTIONS + 1, COLUMNS, *[2 * PADDLE_STEP + 1] * HISTORY)
        first = Embedding(keys, knob_width), nn.ReLU(), nn.Linear(knob_width, knob_width), nn.ReLU()
        self.keys = nn.Sequential(*first, nn.Linear(knob_width, SIZES[KNOB] - 1))
        self.sets = nn.Buffer(context.sets() > 0, persistent=False)

    def forward(
        self, state: State, action: Tensor, after: Things, seen: Tensor, around: Around | None = None
    ) -> list[Tensor]:
        """A state, the action (B,) taken there, what is there after it, and whether the ball is seen in both moments
        (B,) -> for each variable logits (B, classes but the first; of the row's fraction one for each eighth)."""
        objects, memory = state.objects, state.memory
        (told, bricks), happened = around or context.around_ball(state), outcome(state, after)
        features = self.trunk(torch.cat((context.press(told, action), happened), 1), bricks, memory)
        others = iter((self.out(features) + self.stay(memory)).split(self.known, 1))
        logits = [features if number in ALONE else next(others) for number in range(len(SIZES))]
        possible = self.sets[memory[:, FRACTION]].to(features.dtype)
        logits[FRACTION] = self.fractions(possible, logits[SPEED].softmax(1), rows_of(happened[:, SEEN]), seen)
        # A serve's place tells the clock, and nothing else does.
        logits[CLOCK] = self.clock(torch.cat((memory[:, CLOCK, None], happened[:, SERVED, None]), 1))
        columns = torch.cat((objects[:, :, PADDLE], after.paddle[:, :1]), 1)
        moved = context.paddle_step(columns[:, :-1], columns[:, 1:])
        knob = (memory[:, KNOB, None], action[:, None], columns[:, -1:].clamp(0, COLUMNS - 1), moved)
        logits[KNOB] = self.keys(torch.cat(knob, 1))
        return logits


_LOGITS = [FRACTIONS if number == FRACTION else size - 1 for number, size in enumerate(SIZES[:KNOB])]
_PLACES = [
    [sum(_LOGITS[:number]) + at if at < count else -1 for at in range(max(_LOGITS))]
    for number, count in enumerate(_LOGITS)
]
"""Where each variable's logits are among all, -1 beyond the last. The knob, the last one, has many more."""


def settle(logits: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Logits for each variable -> its class (B, V) int64, 0 where not sure enough, and the certainty (B, V). The row's
    fraction is a belief that a step narrows: the set of the eighths that are still possible."""
    flat = nn.functional.pad(torch.cat(logits[:KNOB], 1), (0, 1), value=float("-inf"))
    shares = flat[:, _PLACES].softmax(2), logits[KNOB].softmax(1)[:, None]  # (B, V - 1, 36), (B, 1, 232)
    certainty = torch.cat([each.amax(2) for each in shares], 1)
    known = torch.where(certainty >= SURE, torch.cat([each.argmax(2) for each in shares], 1) + 1, NOT_KNOWN)
    likely = shares[0][:, FRACTION, :FRACTIONS]
    bits = 2 ** torch.arange(FRACTIONS, device=known.device)
    possible = ((likely > POSSIBLE * likely.amax(1, keepdim=True)) * bits).sum(1, keepdim=True)
    possible = possible % ((1 << FRACTIONS) - 1)  # all of them: not known
    variables = torch.arange(len(SIZES), device=known.device)
    return torch.where(variables == FRACTION, possible, known), certainty
