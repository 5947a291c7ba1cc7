"""The twin: one step of the world model, as pure functions of a `State`, batch first.

No branch depends on data, every shape but the batch is fixed, and randomness comes in as an argument. So the same code
trains, plays one game or sixty-four, and is exported as graphs that need no PyTorch (`train/export.py`,
`model/engine.py`). Where it is `around`, that is `around_ball(state)`, which several functions can share.
"""

import torch
from torch import Tensor, nn

from model.appearance import Appearance, shows
from model.breakout import ACTIONS, CELLS, CODES, LONG_PADDLE, UNCHANGED
from model.context import Around
from model.controllers import BALL, EVENTS, NEW_WALL, PADDLE_EVENT, SCORE_CELLS, ActionToLatentMLP, ContextController
from model.encoder import FIELD_CELLS, PADDLE_CELLS, WALL_CELLS, crops
from model.encoder import SCORE_CELLS as IN_SCORE
from model.memory import Memory, settle
from model.state import HISTORY, SIZES, State, Things
from model.tracker import look_at, look_on
from model.vqvae import VQVAE


class Twin(nn.Module):
    """Appearance, VQ-VAE, memory and both controllers."""

    def __init__(self) -> None:
        super().__init__()
        self.appearance, self.vqvae, self.memory = Appearance(), VQVAE(), Memory()
        self.context, self.action = ContextController(), ActionToLatentMLP()

    def start(self, frame: Tensor) -> State:
        """The state of games of which one frame (B, 210, 160) uint8 is known: all stands still, nothing is known."""
        games = frame.shape[0]
        width = torch.full((games,), LONG_PADDLE, dtype=torch.long, device=frame.device)  # of one that is cut off
        nowhere = torch.zeros((games, 4), dtype=torch.long, device=frame.device)
        things = look_at(frame, width, nowhere, self.appearance)
        objects = torch.cat((things.ball, things.paddle), 1)[:, None].expand(-1, HISTORY, -1)  # (B, 4, 4)
        memory = torch.zeros((games, len(SIZES)), dtype=torch.long, device=frame.device)
        return State(frame, objects, things.wall, things.board, memory, torch.zeros_like(memory, dtype=torch.float32))

    def grid(self, state: State, codes: Tensor, around: Around | None = None) -> tuple[Tensor, Tensor, Things]:
        """Events (B, 6) -> the grid of codes (B, 35), the frame they draw, and what it shows. A cell that the drawing
        leaves as it was has code 0."""
        spread, was = self._spread(codes), shows(_things(state), self.appearance)
        frame, things, there = self._draw(state, spread, was, around)
        kind = crops(state.frame, frame)[3]  # (B, 35), as the encoder sees it
        grid = torch.where(kind == FIELD_CELLS, self._seen(codes[:, BALL], was, there)[:, None], UNCHANGED)
        grid = torch.where(kind == PADDLE_CELLS, codes[:, PADDLE_EVENT, None], grid)
        grid = torch.where(kind == WALL_CELLS, codes[:, NEW_WALL, None], grid)
        return torch.where(kind == IN_SCORE, spread, grid), frame, things

    def _seen(self, code: Tensor, was: Tensor, there: Tensor) -> Tensor:
        """The code (B,) of what one sees of the ball's event `code` (B,), of a ball that frames show before and after,
        or not: with a step to where the frame hides it it vanishes, with one from there it appears."""
        vanish, appear = self.vqvae.alike()  # (256,) each
        return torch.where(was == there, code, torch.where(was, vanish[code], appear[code]))

    def _spread(self, codes: Tensor) -> Tensor:
        """Events (B, 6) on a grid (B, 35) that says each once, where its kind of event may be."""
        events = SCORE_CELLS | {1: BALL, 2: NEW_WALL, CELLS - 1: PADDLE_EVENT}
        padded = nn.functional.pad(codes, (0, 1), value=UNCHANGED)  # (B, 7): the seventh is no event's
        return padded[:, [events.get(cell, EVENTS) for cell in range(CELLS)]]

    def choose(self, state: State, action: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Things]:
        """THE way to choose codes: -> codes (B, 35), the frame they draw (B, 210, 160), and what it shows. Of each of
        the six events the likeliest code, after `noise` (B, 6, 256) is added to the logits (zeros; or Gumbel noise
        times a temperature, which draws from the softmax at that temperature)."""
        return self.grid(state, (self.context(state, action) + noise).argmax(2))

    def draw(self, state: State, codes: Tensor, around: Around | None = None) -> tuple[Tensor, Things]:
        """The next frame (B, 210, 160) uint8 for a grid of codes (B, 35), whoever chose them, and what it shows."""
        return self._draw(state, codes, shows(_things(state), self.appearance), around)[:2]

    def _draw(self, state: State, codes: Tensor, seen: Tensor, around: Around | None) -> tuple[Tensor, Things, Tensor]:
        """As `draw`, for a ball that is now seen or not (B,), and whether it is then (B,)."""
        things = self.vqvae.follow(state, codes, self.vqvae.events(), ~seen, around)
        frame, there = self.appearance.draw(things)
        return frame, things, there

    def advance(
        self, state: State, action: Tensor, frame: Tensor, expected: Tensor, around: Around | None = None
    ) -> State:
        """The state one step later: `action` (B,) led to `frame`, real or drawn; `expected` (B, 4) is where ball and
        paddle should be in it (`choose`'s), for what the frame does not show."""
        things, seen = look_on(frame, _things(state), expected, self.appearance)
        after = torch.cat((things.ball, things.paddle), 1)  # (B, 4)
        memory, certainty = settle(self.memory(state, action, things, seen, around))
        objects = torch.cat((state.objects[:, 1:], after[:, None]), 1)  # (B, 4, 4): the oldest moment goes
        return State(frame, objects, things.wall, things.board, memory, certainty)

    def encode(self, before: Tensor, after: Tensor) -> Tensor:
        """The codes (B, 35) int64 of pairs of frames (B, 210, 160) uint8."""
        return self.vqvae.encode(before, after)

    def action_logits(self) -> Tensor:
        """The action-only controller's logits for each action, (4, 35, 256)."""
        return self.action(torch.eye(ACTIONS, device=self.appearance.plate.device))


def _things(state: State) -> Things:
    now = state.objects[:, -1]
    return Things(now[:, :2], now[:, 2:], state.wall, state.board)


def no_noise(games: int) -> Tensor:
    """The noise of a choice without chance: zeros (B, 6, 256)."""
    return torch.zeros(games, EVENTS, CODES)
