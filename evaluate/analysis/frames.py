"""The plots that show frames: the worst steps, and four futures of one moment."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from evaluate.analysis.analysis import Pictures
from evaluate.analysis.futures import Futures
from evaluate.analysis.pictures import difference
from evaluate.analysis.style import LABELS, new_figure, picture, styled
from model.breakout import PALETTE, Frame

_GROUND = np.array((15, 16, 20), np.uint8)


def _shown(frame: Frame) -> Any:
    """A frame as RGB, its black a little lighter, so that its edges show on any page."""
    rgb = PALETTE[frame].copy()
    rgb[frame == 0] = _GROUND
    return rgb


@styled
def worst_steps(report: dict[str, Any], pictures: Pictures, which: str) -> Figure:
    """A column for each step of `report["worst"][which]`: real, predicted, and what the prediction has wrong."""
    steps, drawn = report["worst"][which], pictures.worst[which]
    figure = new_figure(6.3)
    axes = figure.subplots(3, len(steps), squeeze=False)
    for column, (step, frames) in enumerate(zip(steps, drawn, strict=True)):
        title = f"{step['event']}\n{step['action']}, {step['wrong_pixels']} px wrong"
        picture(axes[0, column], _shown(frames.real), title)
        picture(axes[1, column], _shown(frames.predicted))
        picture(axes[2, column], difference(frames.real, frames.predicted))
    for row, name in zip(axes, ("real", "predicted", "difference"), strict=True):
        row[0].set_ylabel(name, fontsize=10)
    return figure


@styled
def futures(report: dict[str, Any], found: Futures) -> Figure:
    """A column for each key, held for a while: the real game, and below it every controller's dream."""
    keys, names = list(found.real), list(found.dreamt)
    figure = new_figure(2.75 * (1 + len(names)))
    axes = figure.subplots(1 + len(names), 1 + len(keys), squeeze=False)
    seconds = report["futures"]["seconds"]
    picture(axes[0, 0], _shown(found.start), "the moment")
    for axis in axes[1:, 0]:
        axis.set_axis_off()
    for column, key in enumerate(keys, 1):
        picture(axes[0, column], _shown(found.real[key]), f"{key} held for {seconds:g} s\nreal")
        for row, name in enumerate(names, 1):
            off = report["futures"]["keys"][key][name]
            picture(
                axes[row, column], _shown(found.dreamt[name][key]), f"{LABELS[name]}\n{off['wrong_pixels']} px wrong"
            )
    return figure
