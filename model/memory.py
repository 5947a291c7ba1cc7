"""What no frame tells, remembered beside the places of `model.gaze`.

Places with memory (B, n, 6) int64 have three more columns:
- the key that led to the frame (`NO_ACTION` if it is not known);
- how often the ball has come off the paddle since it was served (`UNKNOWN_HITS` if nobody has counted): the game
  counts it too, and at the 4th, 8th and 12th time the ball leaves at other speeds and angles;
- where the keys have turned the paddle controller's knob (`NO_KNOB` if it is not known): the paddle follows it a frame
  later, and at the right wall the knob turns on when the paddle has long stopped.

And beside them, whether a life is due: after a ball is lost the lives go down once, up to half a second later, when no
frame shows the ball any more (`life_due`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.breakout import (
    CELL_ROWS,
    GRID_ROWS,
    KNOB_CENTRE,
    KNOB_END,
    KNOB_STEP,
    MOST_HITS,
    NO_ACTION,
    NO_KNOB,
    UNKNOWN_HITS,
    Action,
)
from model.gaze import BALL_FRAMES, REST_CENTRE, REST_SLOPE, balls, both_ways, places
from model.quantizer import UNCHANGED

SERVED = 40
"""A ball that is so many rows higher than in the frame before is another one."""
BELOW_WALL = 120
"""A ball that comes down here, and then goes up, has met the paddle."""
_REST, _REST_COLUMNS = 8, (10, 142)
"""Frames after which a paddle that stands still is where the knob pulls it, and the columns where it is no wall that
holds it."""


def hit_or_gone(places: Tensor) -> tuple[Tensor, Tensor]:
    """Whether the ball has just come off the paddle, and whether it is not in play or just served, from the last places
    (B, n, 3 or more): two bools (B,). It has come off if it came down below the wall and now goes up."""
    ball, seen = balls(places)
    step = ball[..., 0].diff(dim=1)
    earlier, now = step[:, :-1], step[:, -1]
    moved = torch.where(earlier != 0, torch.arange(earlier.shape[1], device=step.device), 0).amax(1, keepdim=True)
    hit = (now < 0) & (earlier.gather(1, moved)[:, 0] > 0) & (ball[:, -2, 0] > BELOW_WALL)
    return hit, ~seen[:, :-1].any(1) | (now < -SERVED)


def counted(hits: Tensor, places: Tensor) -> Tensor:
    """The hits of the paddle (B,) up to the newest of places (B, n, 3 or more), from those up to the one before."""
    hit, gone = hit_or_gone(places)
    more = torch.where(hit & (hits < UNKNOWN_HITS), (hits + 1).clamp(max=MOST_HITS), hits)
    return torch.where(gone, 0, more)


def turned_knobs(knob: Tensor, keys: Tensor, places: Tensor, frameskip: int) -> Tensor:
    """Where the knob is (B,) in the newest of places (B, n, 3 or more), to which `keys` (B,) led, from where it was.

    One that is not known shows where the paddle has come to rest.
    """
    turn = KNOB_STEP * frameskip * ((keys == Action.RIGHT).long() - (keys == Action.LEFT).long())
    paddle = places[:, -_REST:, 2]
    column = paddle[:, -1]
    rests = (paddle == column[:, None]).all(1) & (column >= _REST_COLUMNS[0]) & (column <= _REST_COLUMNS[1])
    shown = torch.where(
        rests, KNOB_CENTRE + ((column - REST_CENTRE) * REST_SLOPE[1] + REST_SLOPE[0] // 2) // REST_SLOPE[0], NO_KNOB
    )
    before = torch.where((knob == NO_KNOB) | (keys == NO_ACTION), shown, knob)
    return torch.where(before == NO_KNOB, NO_KNOB, (before + turn).clamp(0, KNOB_END))


def push(places: Tensor, newest: Tensor, keys: Tensor, frameskip: int) -> Tensor:
    """One step of `frameskip` emulator frames later: places with memory (B, n, 6), the newest place (B, 3) and the keys
    (B,) that led to it -> (B, n, 6)."""
    hits, knob = places[:, -1, 4], places[:, -1, 5]
    newest = torch.cat((newest, torch.stack((keys, hits, knob), 1)), 1)
    later = torch.cat((places[:, 1:], newest[:, None]), 1)
    later[:, -1, 4] = counted(hits, later)
    later[:, -1, 5] = turned_knobs(knob, keys, later, frameskip)
    return later


def life_due(due: Tensor, seen: Tensor, before: Tensor, now: Tensor) -> Tensor:
    """Whether a life is due (B,) bool after a step, from whether one was before it, whether the ball is seen now (B,)
    bool, and the frames (B, 210, 160). With a ball in play one is: it will be lost some time. Without one, whatever
    happens in the score's row of cells is that it was taken."""
    return seen | (due & ~(before[:, :CELL_ROWS] != now[:, :CELL_ROWS]).flatten(1).any(1))


def in_play(places: Tensor) -> Tensor:
    """Whether the ball is seen in the newest of places (B, n, 3 or more): (B,) bool."""
    return (places[:, -BALL_FRAMES:, 0] >= 0).any(1)


def quiet(codes: Tensor, due: Tensor, places: Tensor) -> Tensor:
    """Codes (B, 35), without a change in the score's row of cells where the game waits for a serve and no life is due:
    `due` (B,) and `places` (B, n, 3 or more), each also (1, ...) for all."""
    waits = (~due & ~in_play(places)).expand(len(codes))
    if not bool(waits.any()):
        return codes
    codes = codes.clone()
    codes[waits, ::GRID_ROWS] = UNCHANGED
    return codes


class Unseen(NamedTuple):
    """What no frame shows: how often the ball has come off the paddle since it was served, 0..12, where the keys have
    turned the knob, 0..232, and 1 if a life is due, whatever the frames show. As they stand here the first two are not
    known, and only a ball that is seen makes a life due."""

    hits: int = UNKNOWN_HITS
    knob: int = NO_KNOB
    due: int = 0


def watch(frames: Tensor, keys: Tensor, length: int, frameskip: int, unseen: Unseen | None = None) -> Tensor:
    """What is seen by watching frames (n, 210, 160) uint8 classes, oldest first, with the keys (n,) that led to them,
    and what is known of the newest one: places with memory (1, length, 6). The first frame is taken to have stood still
    before."""
    before = torch.cat((frames[:1], frames[:-1]))
    found = torch.cat([places(*pair) for pair in zip(before.split(64), frames.split(64), strict=True)])
    seen = with_memory(found[None, :1].expand(-1, length, -1))
    seen[:, -1, 3] = keys[0]
    seen[:, -1, 4] = counted(seen[:, -1, 4], seen)
    for place, key in zip(found[1:, None], keys[1:, None], strict=True):
        seen = push(seen, place, key, frameskip)
    hits, knob, _ = unseen or Unseen()
    if hits != UNKNOWN_HITS and bool((seen[:, -1, 4] > 0).all()):
        seen[:, -1, 4] = hits
    if knob != NO_KNOB:
        seen[:, -1, 5] = knob
    return seen


def unseen_of(places: Tensor, due: Tensor) -> Unseen:
    """What no frame shows, from places with memory (1, n, 6) and whether a life is due (1,)."""
    return Unseen(int(places[0, -1, 4]), int(places[0, -1, 5]), int(due))


class Watcher:
    """Watches a game from beside it, step by step, to know what no frame shows: frames (n, 210, 160) uint8 classes to
    begin with, the keys (n,) that led to them, and what is known of the newest one."""

    def __init__(
        self, frames: npt.NDArray[np.uint8], keys: list[int], frameskip: int, unseen: Unseen | None = None
    ) -> None:
        self._frameskip = frameskip
        self._places = watch(torch.from_numpy(frames), torch.tensor(keys), BALL_FRAMES, frameskip, unseen)
        self._due = in_play(self._places) | bool(unseen and unseen.due)

    @property
    def unseen(self) -> Unseen:
        """As `WorldModel.unseen`."""
        return unseen_of(self._places, self._due)

    pair: tuple[Tensor, Tensor] | None = None
    """`both_ways` of the newest step."""

    @torch.inference_mode()
    def see(self, before: npt.NDArray[np.uint8], now: npt.NDArray[np.uint8], key: int) -> None:
        """The game went on by a step under `key`: from one frame (210, 160) uint8 classes to the next."""
        frames = torch.from_numpy(before)[None], torch.from_numpy(now)[None]
        self.pair = both_ways(*frames)
        self._places = push(self._places, self.pair[1], torch.tensor([key]), self._frameskip)
        self._due = life_due(self._due, self.pair[1][:, 0] >= 0, *frames)


def with_memory(places: Tensor, keys: Tensor | None = None, unseen: Tensor | None = None) -> Tensor:
    """Places (B, n, 3), the keys (B, n) that led to their frames, and hits and knob in the newest one (B, 2 or 3), as
    far as these are known -> (B, n, 6)."""
    if keys is None:
        keys = torch.full_like(places[..., 0], NO_ACTION)
    if unseen is None:
        unseen = torch.tensor(Unseen(), device=places.device).expand(len(places), -1)
    return torch.cat((places, keys[..., None], unseen[:, None, :2].expand(-1, places.shape[1], -1)), -1)
