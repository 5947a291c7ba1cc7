"""Frames and cells as PNGs: real, predicted and what differs, in the game's own colours and pixels."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from evaluate.analysis.style import APPEARS, OTHER_COLOUR, VANISHES
from model.breakout import BACKGROUND, PALETTE, Frame

RGB = npt.NDArray[np.uint8]
_DIM = 0.25
_GAP = 2
_GROUND = (255, 255, 255)


def rgb_of(colour: str) -> tuple[int, int, int]:
    """ "#rrggbb" as three bytes."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def difference(before: Frame, after: Frame) -> RGB:
    """From one picture of classes (R, C) to another: (R, C, 3) RGB.

    What is only in `after` has the colour of `APPEARS`, what is only in `before` that of `VANISHES`, what has another
    colour `OTHER_COLOUR`; the rest is a shadow of what is there.
    """
    shadow = PALETTE[after].mean(-1, keepdims=True) * _DIM + 24
    picture = np.repeat(shadow.astype(np.uint8), 3, -1)
    differs = before != after
    picture[differs] = rgb_of(OTHER_COLOUR)
    picture[differs & (before == BACKGROUND)] = rgb_of(APPEARS)
    picture[differs & (after == BACKGROUND)] = rgb_of(VANISHES)
    return picture


def before_after_difference(before: Frame, after: Frame, scale: int = 3) -> bytes:
    """A PNG: before, after and the difference side by side, every pixel `scale` x `scale`."""
    parts = [PALETTE[before], PALETTE[after], difference(before, after)]
    gap = np.full((len(before), _GAP, 3), _GROUND, np.uint8)
    row = np.concatenate([parts[0], gap, parts[1], gap, parts[2]], 1)
    return png(np.repeat(np.repeat(row, scale, 0), scale, 1))


def png(picture: RGB) -> bytes:
    """RGB (R, C, 3) uint8 as a PNG; few colours make it small."""
    data = io.BytesIO()
    Image.fromarray(picture).quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(data, "PNG")
    return data.getvalue()
