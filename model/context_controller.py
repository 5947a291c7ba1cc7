"""The context controller: from the key and the recent frames to the 35 codes of what will change.

It is the twin's physics. It sees what is around the ball in the newest frame, how ball and paddle have moved so far
(`model.gaze`), and the score. Seen from the ball, a bounce is the same wherever it happens. From that one vector and
the place of ball and paddle as seen from a cell, each of the 35 cells gets its logits.

Where a step can go two ways (a serve, left or right) the cells must not choose each for itself: half a ball here and
another there. So the controller also takes codes that are settled already, and answers for the others given them, as in
masked generation (Chang et al. 2022, https://arxiv.org/abs/2202.04200); see `settle`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.breakout import ACTIONS, BACKGROUND, CELL_COLUMNS, CELL_ROWS, CELLS, CODES, GRID_ROWS
from model.gaze import (
    BALL_FRAMES,
    BALL_TRAIL,
    BALL_WINDOW,
    Glance,
    glance,
    paddle_trail,
    paddle_trail_size,
)
from model.latent_action_model import sample_codes

OPEN = CODES
"""In place of a settled code: this cell is open."""
SURE = 0.8
"""A cell whose likeliest code is at least so likely needs no settling."""
ROUNDS = 2
"""At most so many codes are settled in a step."""
SCORE_ROWS, SCORE_COLUMNS = slice(6, 15, 2), slice(32, 112, 4)
"""One pixel of every block of the digits of score and lives."""
SCORE = 5 * 20
NEAR_ROWS, NEAR_COLUMNS = 20, 44
"""How far beyond a cell the ball or the paddle is still told apart by its place, in pixels."""
FROM_ABOVE, FROM_LEFT = CELL_ROWS + 2 * NEAR_ROWS, CELL_COLUMNS + 2 * NEAR_COLUMNS


class Looked(NamedTuple):
    """What the controller has seen: of the ball and around it (B, width), of the paddle (B, paddle_width), and where
    both are from every cell (B, 35, token)."""

    ball: Tensor
    paddle: Tensor
    tokens: Tensor


class ContextController(nn.Module):
    """Key and `context` recent frames -> logits over the codes of every cell."""

    def __init__(self, context: int = 12, width: int = 256, paddle_width: int = 96, token: int = 160) -> None:
        super().__init__()
        self.settings = {"context": context, "width": width, "paddle_width": paddle_width, "token": token}
        if context < BALL_FRAMES:
            raise ValueError(f"the context controller sees at least {BALL_FRAMES} frames, not {context}")
        self.context = context
        self.around = nn.Linear(BALL_WINDOW[0] * BALL_WINDOW[1], width)
        self.ball = nn.EmbeddingBag(BALL_TRAIL, width, mode="sum")
        self.score = nn.Linear(SCORE, token, bias=False)
        self.action = nn.Embedding(ACTIONS, width)
        self.paddle = nn.EmbeddingBag(paddle_trail_size(context), paddle_width, mode="sum")
        self.paddle_action = nn.Embedding(ACTIONS, paddle_width)
        self.ball_think = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, token))
        self.paddle_think = nn.Sequential(
            nn.ReLU(), nn.Linear(paddle_width, paddle_width), nn.ReLU(), nn.Linear(paddle_width, token)
        )
        self.cell = nn.Embedding(CELLS, token)
        self.ball_row, self.ball_column = nn.Embedding(FROM_ABOVE, token), nn.Embedding(FROM_LEFT, token)
        self.paddle_column = nn.Embedding(FROM_LEFT, token)
        self.settled = nn.Embedding(CODES + 1, token)
        inner = (nn.ReLU(), nn.Linear(token, token), nn.ReLU(), nn.Linear(token, token), nn.ReLU())
        self.inner = nn.Sequential(*inner)
        self.head = nn.Linear(token, CODES)
        for embedding in (self.action, self.paddle_action, self.cell):
            nn.init.normal_(embedding.weight, std=0.1)
        # What never occurs at a frame skip is never learned: zeros take no room in a packed file.
        for bag in (self.ball, self.paddle, self.ball_row, self.ball_column, self.paddle_column, self.settled):
            nn.init.zeros_(bag.weight)

    def forward(self, now: Tensor, seen: Tensor, action: Tensor, settled: Tensor | None = None) -> Tensor:
        """(B, 210, 160) uint8 classes of the newest frame, (B, context, 6) places with memory of all frames up to it,
        oldest first, (B,) int64 actions, and codes (B, 35) int64 that are settled, `OPEN` where none is
        -> (B, 35, 256) logits.
        """
        return self.answer(self.ask(self.look(now, seen), action), settled)

    def look(self, now: Tensor, seen: Tensor, shown: Glance | None = None) -> Looked:
        """What does not depend on the key, for `ask`. `shown` is the `glance` at the same moments, if it is known."""
        dtype = self.around.weight.dtype
        ball, _, paddle, window, _, trail = shown or glance(now, seen)
        score = (now[:, SCORE_ROWS, SCORE_COLUMNS] != BACKGROUND).flatten(1)
        around = self.around(window.flatten(1).to(dtype))
        cells = torch.arange(CELLS, device=now.device)
        top, left = CELL_ROWS * (cells % GRID_ROWS) - NEAR_ROWS, CELL_COLUMNS * (cells // GRID_ROWS) - NEAR_COLUMNS
        tokens = self.cell.weight + self.ball_row((ball[:, :1] - top).clamp(0, FROM_ABOVE - 1))
        tokens = tokens + self.ball_column((ball[:, 1:] - left).clamp(0, FROM_LEFT - 1))
        tokens = tokens + self.paddle_column((paddle[:, None] - left).clamp(0, FROM_LEFT - 1))
        tokens = tokens + self.score(score.to(dtype))[:, None]
        return Looked(around + self.ball(trail), self.paddle(paddle_trail(seen)), tokens)

    def ask(self, looked: Looked, action: Tensor) -> Tensor:
        """What does not depend on settled codes: one token a cell (B, 35, token), for `answer`."""
        whole = self.ball_think(looked.ball + self.action(action))
        whole = whole + self.paddle_think(looked.paddle + self.paddle_action(action))
        return looked.tokens + whole[:, None]

    def know(self, tokens: Tensor, settled: Tensor) -> Tensor:
        """Tokens (B, 35, token), given settled codes (B, 35). Which code is settled counts, and not in which cell."""
        return tokens + (self.settled(settled) * (settled != OPEN)[..., None]).sum(1, keepdim=True)

    def answer(self, tokens: Tensor, settled: Tensor | None = None) -> Tensor:
        """The rest of `forward`."""
        return self.head(self.inner(tokens if settled is None else self.know(tokens, settled))).float()

    def settle(
        self, tokens: Tensor, logits: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Codes (B, 35) that go together, from the tokens of `ask` and the first `answer`.

        While a cell is unsure, the least sure one is settled (its likeliest code, or above temperature 0 a drawn one),
        and the others are asked again, given that.
        """
        logits = logits.clone()
        settled = torch.full(logits.shape[:2], OPEN, device=logits.device)
        for _ in range(ROUNDS):
            sure = torch.softmax(logits, -1).amax(-1).masked_fill(settled != OPEN, 1.0)
            unsure = (sure.amin(1) < SURE).nonzero().flatten()
            if not len(unsure):
                break
            cell = sure[unsure].argmin(1)
            settled[unsure, cell] = sample_codes(logits[unsure, cell], temperature, generator)
            logits[unsure] = self.answer(tokens[unsure], settled[unsure])
        codes = sample_codes(logits, temperature, generator)
        return torch.where(settled == OPEN, codes, settled)
