"""What happened in a step, as the VQ-VAE's decoder is to say it: labels from things before and after."""

from __future__ import annotations

import torch
from torch import Tensor

from model.appearance import Appearance, shows
from model.breakout import CELL_COLUMNS, DIGIT_COLUMNS, GRID_ROWS, LONG_PADDLE
from model.context import BALL_STEP, PADDLE_STEP, near_bricks
from model.encoder import FIELD_CELLS, PADDLE_CELLS, SCORE_CELLS, WALL_CELLS
from model.state import Things
from model.tracker import cut_off
from model.vqvae import APPEAR, HEADS, NONE, SAME_DIGIT, SERVE, STANDS, STEP, TO_LONG, TO_SHORT, VANISH

NAMES = tuple(HEADS)
NOTHING = dict.fromkeys(NAMES, 0) | dict.fromkeys(("left_digit", "right_digit"), SAME_DIGIT)
"""The labels of a cell in which nothing happens."""
DIGIT_CELLS = sorted({at // CELL_COLUMNS for at in DIGIT_COLUMNS})  # columns of cells that show digits


def blank(cells: int, device: torch.device) -> dict[str, Tensor]:
    """Labels (M,) of cells in which nothing happens."""
    return {name: torch.full((cells,), label, device=device) for name, label in NOTHING.items()}


def ball_event(before: Things, after: Things, look: Appearance | None = None) -> dict[str, Tensor]:
    """What the ball does in B steps: the ball's heads of `HEADS`, (B,) each. With `look`, as one sees it: a ball that a
    frame hides has vanished; else as it is."""
    old, new = before.ball, after.ball
    was, there = (old[:, 0] > 0, new[:, 0] > 0) if look is None else (shows(before, look), shows(after, look))
    kind = torch.where(was & there, STEP, NONE)
    kind = torch.where(was & ~there, VANISH, kind)
    kind = torch.where(~was & there, torch.where(old[:, 0] > 0, APPEAR, SERVE), kind)
    step = ((new - old).clamp(-BALL_STEP, BALL_STEP) + BALL_STEP) * (kind == STEP)[:, None]
    serve = new * (kind == SERVE)[:, None]
    return {
        "ball": kind,
        "ball_row_step": step[:, 0],
        "ball_column_step": step[:, 1],
        "serve_row": serve[:, 0],
        "serve_column": serve[:, 1],
    }


def broken(before: Things, after: Things) -> Tensor:
    """Which bricks go in B steps, counted from where the ball then is (or was, if there is none): (B, 21) int64."""
    ball = torch.where(after.ball[:, :1] > 0, after.ball, before.ball)
    return ((near_bricks(before.wall, ball) > 0) & (near_bricks(after.wall, ball) == 0)).long()


def paddle_event(before: Things, after: Things) -> dict[str, Tensor]:
    """What the paddle does in B steps: its heads of `HEADS`, (B,) each. One that comes out from under the right wall
    shows its width, which may have changed there."""
    step = (after.paddle[:, 0] - before.paddle[:, 0]).clamp(-PADDLE_STEP, PADDLE_STEP)
    longer = torch.where(after.paddle[:, 1] == LONG_PADDLE, TO_LONG, TO_SHORT)
    comes_out = cut_off(before.paddle) & ~cut_off(after.paddle)
    width = torch.where((after.paddle[:, 1] == before.paddle[:, 1]) & ~comes_out, STANDS, longer)
    return {"paddle": torch.ones_like(step), "paddle_step": step + PADDLE_STEP, "paddle_width": width}


def digit_events(before: Things, after: Things) -> list[dict[str, Tensor]]:
    """Which digits come in B steps in the cells of hundreds and tens, of ones, of lives: left and right, (B,) each."""
    found: dict[int, dict[str, Tensor]] = {column: {} for column in DIGIT_CELLS}
    for number, at in enumerate(DIGIT_COLUMNS):
        column, side = divmod(at, CELL_COLUMNS)
        old, new = before.board[:, number], after.board[:, number]
        name = "left_digit" if side < CELL_COLUMNS // 2 else "right_digit"
        found[column][name] = torch.where(old == new, SAME_DIGIT, new)
    return list(found.values())


def labels(
    before: Things, after: Things, look: Appearance, game: Tensor, cell: Tensor, kind: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """What the decoder is to say of M changed cells of B steps: the labels of each head (M,), and the broken bricks
    (M, 21). `game`, `cell` and `kind` (M,) are as in `model.encoder.Crops`."""
    found, in_field = blank(len(game), game.device), kind == FIELD_CELLS
    happens = [(in_field, ball_event(before, after, look)), (kind == PADDLE_CELLS, paddle_event(before, after))]
    for column, event in zip(DIGIT_CELLS, digit_events(before, after), strict=True):
        happens.append(((kind == SCORE_CELLS) & (cell // GRID_ROWS == column), event))
    for here, event in happens:
        for name, values in event.items():
            found[name] = torch.where(here, values[game], found[name])
    found["new_wall"] = (kind == WALL_CELLS).long()
    return found, torch.where(in_field[:, None], broken(before, after)[game], 0)
