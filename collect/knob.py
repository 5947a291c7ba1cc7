"""The paddle controller's knob, which the emulator keeps and RAM shows only in part.

Breakout is played with a paddle controller. The keys turn its knob by a step each emulator frame, between two ends,
from the centre on. Its ends and centre do not lie whole steps apart, but in sevenths of a step they do, to a tenth of
one (ALE `src/ale/environment/ale_state.hpp`: from 27450 to 790196 by 23000). RAM 70 is what the game reads of it: at
the right end, and for some neighbours, the same for several places.
"""

from __future__ import annotations

from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from collect.ram import KNOB
from model.breakout import Action

END, CENTRE, STEP = 232, 116, 7
UNKNOWN = -1
_CENTRE_READ = 88
"""RAM 70 with the knob in its centre, as after a reset; no other place reads so."""


def turned(place: int, action: int, frames: int) -> int:
    """Where the knob is, 0..232, after `action` was held for so many emulator frames."""
    direction = int(action == Action.RIGHT) - int(action == Action.LEFT)
    return min(END, max(0, place + direction * STEP * frames))


def places(
    ram: npt.NDArray[np.uint8], actions: npt.NDArray[np.uint8], first: npt.NDArray[np.int64], frameskip: int
) -> npt.NDArray[np.int16]:
    """Where the knob is in each of N frames, (N,) 0..232, or -1 where RAM (N, 128) and actions (N,) do not tell it.

    `first` (E + 1,) is where each episode's frames begin. What RAM reads at each place is taken from the episodes that
    begin with the knob in its centre, of which there must be some.
    """
    read, found = ram[:, KNOB], np.full(len(ram), UNKNOWN, np.int16)
    episodes = list(pairwise(first.tolist()))

    def follow(start: int, end: int, place: int) -> None:
        keys = actions[start : end - 1].tolist()
        found[start:end] = list(accumulate(keys, lambda at, key: turned(at, key, frameskip), initial=place))

    known: dict[int, set[int]] = {}
    for begin, end in episodes:
        if read[begin] == _CENTRE_READ:
            follow(begin, end, CENTRE)
            for place, value in zip(found[begin:end].tolist(), read[begin:end].tolist(), strict=True):
                known.setdefault(value, set()).add(place)
    told = {value: place for value, (place, *others) in known.items() if not others}
    for begin, end in episodes:
        # The first moment that tells the place decides all later ones.
        start = next((t for t in range(begin, end) if int(read[t]) in told), None)
        if read[begin] != _CENTRE_READ and start is not None:
            follow(start, end, told[int(read[start])])
    return found
