"""What happened in a step, as the VQ-VAE's decoder is to say it, and the crops of a dataset in which it shows.

Labels are read from the things before and after. Of the different crops of what changes few occur."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from collect.dataset import TransitionDataset
from collect.ram import Bytes
from console import Show
from model.appearance import Appearance, shows
from model.breakout import CELL_COLUMNS, DIGIT_COLUMNS, GRID_ROWS, LONG_PADDLE
from model.context import BALL_STEP, NEAR, NEAR_COLUMNS, NEAR_ROWS, PADDLE_STEP, read
from model.encoder import BALL_BOX, CROPS, FIELD_CELLS, NEW_WALL, PADDLE_CELLS, SCORE_CELLS, STRIP, WALL_CELLS, crops
from model.files import FileError
from model.readers import Ints
from model.state import Things
from model.tracker import cut_off
from model.vqvae import APPEAR, FAR, HEADS, NONE, SAME_DIGIT, SERVE, STANDS, STEP, TO_LONG, TO_SHORT, VANISH, VQVAE
from train.data import Data

CERTAIN = 0.95  # the least share of what looks the same that must be the same event, for a code to say so
NAMES = tuple(HEADS)  # the order of a row of labels
NOTHING = dict.fromkeys(NAMES, 0) | dict.fromkeys(("left_digit", "right_digit"), SAME_DIGIT)
"""The labels of a cell in which nothing happens."""
DIGIT_CELLS = sorted({at // CELL_COLUMNS for at in DIGIT_COLUMNS})  # columns of cells that show digits


def ball_event(before: Things, after: Things, look: Appearance | None = None) -> dict[str, Tensor]:
    """What the ball does in B steps: the ball's heads of `HEADS`, (B,) each. With `look`, as one sees it: a ball that a
    frame hides has vanished; else as it is."""
    old, new = before.ball, after.ball  # (B, 2) each; row 0 is no ball
    was, there = (old[:, 0] > 0, new[:, 0] > 0) if look is None else (shows(before, look), shows(after, look))
    kind = torch.where(was & there, STEP, NONE)  # (B,) int64
    kind = torch.where(was & ~there, VANISH, kind)
    kind = torch.where(~was & there, torch.where(old[:, 0] > 0, APPEAR, SERVE), kind)  # in play but hidden: it appears
    step = ((new - old).clamp(-BALL_STEP, BALL_STEP) + BALL_STEP) * (kind == STEP)[:, None]  # (B, 2), 0..18
    serve = new * (kind == SERVE)[:, None]  # (B, 2); 0 for the others: the same event has the same labels
    steps = {"ball_row_step": step[:, 0], "ball_column_step": step[:, 1]}
    return {"ball": kind, **steps, "serve_row": serve[:, 0], "serve_column": serve[:, 1]}


def broken(before: Things, after: Things) -> Tensor:
    """Which bricks go in B steps, counted from where the ball then is (or was, if there is none): (B, 21) int64."""
    ball = torch.where(after.ball[:, :1] > 0, after.ball, before.ball)  # from `before`, one picture had two codes
    return ((read(before.wall, ball, NEAR) > 0) & (read(after.wall, ball, NEAR) == 0)).long()


def paddle_event(before: Things, after: Things) -> dict[str, Tensor]:
    """What the paddle does in B steps: its heads of `HEADS`, (B,) each. One that comes out from under the right wall
    shows its width, which may have changed there."""
    step = (after.paddle[:, 0] - before.paddle[:, 0]).clamp(-PADDLE_STEP, PADDLE_STEP)  # (B,) -8..8
    longer = torch.where(after.paddle[:, 1] == LONG_PADDLE, TO_LONG, TO_SHORT)
    comes_out = cut_off(before.paddle) & ~cut_off(after.paddle)  # (B,) bool; its width was not to be seen before
    width = torch.where((after.paddle[:, 1] == before.paddle[:, 1]) & ~comes_out, STANDS, longer)
    return {"paddle": torch.ones_like(step), "paddle_step": step + PADDLE_STEP, "paddle_width": width}


def digit_events(before: Things, after: Things) -> list[dict[str, Tensor]]:
    """Which digits come in B steps in the cells of hundreds and tens, of ones, of lives: left and right, (B,) each."""
    found: dict[int, dict[str, Tensor]] = {column: {} for column in DIGIT_CELLS}  # 1, 2, 3: columns of cells
    for number, at in enumerate(DIGIT_COLUMNS):
        column, side = divmod(at, CELL_COLUMNS)  # the column of cells, and where in it the digit begins
        old, new = before.board[:, number], after.board[:, number]
        name = "left_digit" if side < CELL_COLUMNS // 2 else "right_digit"
        found[column][name] = torch.where(old == new, SAME_DIGIT, new)
    return list(found.values())


def way(rows: int, columns: int) -> str:
    """A step in pixels in words: "2 right, 3 up", "still"."""
    across = f"{abs(columns)} {'right' if columns > 0 else 'left'}" if columns else ""
    along = f"{abs(rows)} {'down' if rows > 0 else 'up'}" if rows else ""
    return ", ".join(filter(None, (across, along))) or "still"


def in_words(model: VQVAE) -> list[str]:
    """What each of the 256 codes says: "ball 2 right, 3 up; brick 1 left goes", "paddle 8 left", "left digit 4". Steps
    are in pixels, and a brick's place is counted in bricks from the ball's; of a code without an event "unused"."""
    events, words = model.events(), list[str]()
    for code, far in enumerate((model.quantizer.codebook.amax(1) > FAR / 2).tolist()):  # vectors stay below 12
        says = {name: int(labels[code]) for name, labels in events.said.items()}
        step = way(says["ball_row_step"] - BALL_STEP, says["ball_column_step"] - BALL_STEP)
        serve = f"served at row {says['serve_row']}, column {says['serve_column']}"
        does = {STEP: step, VANISH: "goes out of sight", APPEAR: "appears", SERVE: serve}
        parts = [f"ball {does[says['ball']]}"] if says["ball"] != NONE else []
        places = [divmod(number, len(NEAR_COLUMNS)) for number in torch.nonzero(events.bricks[code]).flatten().tolist()]
        bricks = [
            f"brick {way(NEAR_ROWS[row], NEAR_COLUMNS[column])} goes".replace("still ", "") for row, column in places
        ]
        parts += bricks if len(bricks) < 3 else [f"{len(bricks)} bricks go"]  # no step takes so many
        if says["paddle"]:
            width = {STANDS: "", TO_LONG: ", long", TO_SHORT: ", short"}[says["paddle_width"]]
            parts.append(f"paddle {way(0, says['paddle_step'] - PADDLE_STEP)}{width}")
        digits = {name.replace("_", " "): says[name] for name in ("left_digit", "right_digit")}
        parts += [f"{name} {digit}" for name, digit in digits.items() if digit != SAME_DIGIT]
        parts += ["new wall"] if says["new_wall"] else []
        words.append("unused" if far else "; ".join(parts) or "nothing changes")
    return words


def labels(before: Things, after: Things, look: Appearance, game: Tensor, cell: Tensor, kind: Tensor) -> Tensor:
    """What the decoder is to say of M changed cells of B steps, whose `game`, `cell` and `kind` (M,) are given: labels
    of each head and broken bricks, (M, 11 + 21) int64."""
    found: dict[str, Any] = dict(NOTHING)  # numbers, which broadcast to (M,)
    in_field = kind == FIELD_CELLS
    happens = [(in_field, ball_event(before, after, look)), (kind == PADDLE_CELLS, paddle_event(before, after))]
    for column, event in zip(DIGIT_CELLS, digit_events(before, after), strict=True):
        happens.append(((kind == SCORE_CELLS) & (cell // GRID_ROWS == column), event))  # cells count down the columns
    for here, event in happens:
        for name, values in event.items():
            found[name] = torch.where(here, values[game], found[name])  # (M,) out of (B,)
    found["new_wall"] = (kind == WALL_CELLS).long()
    heads = torch.stack([found[name] for name in NAMES], 1)  # (M, 11)
    return torch.cat((heads, torch.where(in_field[:, None], broken(before, after)[game], 0)), 1)


def changed_crops(before: Tensor, after: Tensor) -> tuple[Tensor, ...]:
    """What the encoder is shown of M changed cells of B pairs, the rest blank: bits (M, 1120) float, place (M, 2) int64
    (the row + 1 of the ball's crop, and the column + 1 of what came from nothing, or of a paddle that was cut off, else
    0). And the cells they are of: game, cell and kind, (M,) int64 each."""
    shared, top, places, kinds = crops(before, after)  # (B, 880), (B, 5, 240), (B, 3), (B, 35)
    game, cell = torch.nonzero(kinds >= 0, as_tuple=True)  # (M,) each
    ball, along = shared[game].split((2 * BALL_BOX**2, 2 * STRIP), 1)  # (M, 800), (M, 80)
    place, kind = places[game], kinds[game, cell]  # (M, 3), (M,)
    of_ball, of_paddle = kind == FIELD_CELLS, kind == PADDLE_CELLS
    parts = (ball, of_ball), (along, of_paddle), (top[game, cell // GRID_ROWS], kind == SCORE_CELLS)
    bits = torch.cat([part * on[:, None] for part, on in parts], 1)  # (M, 1120), 0 but for its own kind's crop
    laid = torch.where(kind == WALL_CELLS, NEW_WALL, 0)
    other = torch.stack((laid, torch.where(of_paddle, place[:, 2], laid)), 1)
    return bits, torch.where(of_ball[:, None], place[:, :2], other), game, cell, kind


class Patterns(NamedTuple):
    """The U different crops of a dataset's changed cells: bits (U, 1120 / 8) uint8 packed, place (U, 2) uint8, what the
    decoder is to say of each: heads (U, 11) and bricks (U, 21) uint8; and how often each occurs (U,) float32."""

    bits: Tensor
    place: Tensor
    heads: Tensor
    bricks: Tensor
    often: Tensor

    def shown(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """Some of them as the encoder takes them: bits (M, 1120) float, place (M, 2) int64."""
        shifts = torch.arange(7, -1, -1, device=which.device)  # as `np.packbits` has them: the high bit first
        bits = (self.bits[which][:, :, None] >> shifts & 1).flatten(1)[:, :CROPS].float()  # (M, 1120)
        return bits, self.place[which].long()


def find_patterns(dataset: TransitionDataset, data: Data, look: Appearance, steps: Tensor, show: Show) -> Patterns:
    """The different crops in the steps (T,) of a dataset, on the data's device. FileError if there are none."""
    rows, device = [], data.steps.device
    for number, part in enumerate(every := steps.split(256)):  # whole frames take memory: few at a time
        show(number / len(every), "preparing: finding what changes in a step")
        t = part.cpu().numpy()
        frames = (torch.from_numpy(dataset.frame(t + later)).to(device) for later in (0, 1))  # (B, 210, 160) each
        bits, place, *cells = changed_crops(*frames)
        packed = np.packbits(bits.to(torch.uint8).cpu().numpy(), axis=1)  # (M, 140) uint8
        small = torch.cat((place, labels(data.things(part), data.things(part + 1), look, *cells)), 1)  # (M, 2 + 32)
        rows.append(np.concatenate((packed, small.to(torch.uint8).cpu().numpy()), 1))  # (M, 174): all are below 256
    found, count = np.unique(np.concatenate(rows), axis=0, return_counts=True)  # (U, 174), (U,)
    if not len(found):
        raise FileError("nothing ever moves in these frames: collect more, with --policy mixed or drill")
    widths = np.cumsum([-(-CROPS // 8), 2, len(NAMES)])  # 140, 142, 153; the rest is bricks
    parts = [part.copy() for part in np.split(found, widths, axis=1)]
    _settle(found[:, : widths[1]], parts[2], parts[3], count)  # bits and place: all that the encoder sees
    return Patterns(*(torch.from_numpy(part).to(device) for part in (*parts, count.astype(np.float32))))


def _settle(crops: Bytes, heads: Bytes, bricks: Bytes, count: Ints) -> None:
    """What looks the same is to be the same event, that which is meant most often.

    Where none is meant nearly always, the labels become those of a ball that vanishes: its code then leaves to the
    state where it is, and what it broke. (The paddle may hide so much of a ball that two of its steps look the same;
    and beside a ball in bricks of its own colour a brick goes that may lie on any side of it.)

    Of U different rows: what is shown (U, n), what is said of it (U, 11) and (U, 21), both changed in place, and how
    often (U,)."""
    _, same = np.unique(crops, axis=0, return_inverse=True)  # (U,): the group of rows that look the same
    winner = np.zeros(same.max() + 1, np.int64)  # (G,): a row of each group
    order = np.argsort(count, kind="stable")
    winner[same[order]] = order  # of each group the last one that is written, the commonest
    doubtful = count[winner] < CERTAIN * np.bincount(same, count)  # (G,) bool
    doubtful &= np.bincount(same, heads[:, NAMES.index("ball")] + bricks.any(1)) > 0  # without a ball none can vanish
    heads[:], bricks[:] = heads[winner[same]], bricks[winner[same]]
    which = doubtful[same]
    heads[which], bricks[which] = [*(NOTHING | {"ball": VANISH}).values()], 0  # in the order of `NAMES`
