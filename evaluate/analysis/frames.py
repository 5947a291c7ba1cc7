"""Plots that show frames: maps over one, the worst steps, futures; and codes as pictures, in the game's own colours."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from PIL import Image

from evaluate.analysis.analysis import Pictures
from evaluate.analysis.plots import APPEARS, LABELS, MAP, OTHER_COLOUR, VANISHES, Report, new_axes
from evaluate.analysis.statistics import ACTION_NAMES
from model.breakout import CELL_COLUMNS, CELL_ROWS, COLUMNS, GRID_COLUMNS, GRID_ROWS, PALETTE, ROWS, Frame

RGB = npt.NDArray[np.uint8]
DIM, GAP, SCALE = 0.25, 2, 3
GROUND = np.array((15, 16, 20), np.uint8)
"""The game's black, a little lighter, so that a frame's edges show."""


def difference(before: Frame, after: Frame) -> RGB:
    """From one picture of classes (R, C) to another: (R, C, 3) RGB.

    What is only in `after` has the colour of `APPEARS`, what is only in `before` that of `VANISHES`, what has another
    colour `OTHER_COLOUR`; the rest is a shadow of what is there.
    """
    appears, vanishes, other = (tuple(bytes.fromhex(colour[1:])) for colour in (APPEARS, VANISHES, OTHER_COLOUR))
    picture = np.repeat((PALETTE[after].mean(-1, keepdims=True) * DIM + 24).astype(np.uint8), 3, -1)
    differs = before != after
    picture[differs] = other
    picture[differs & (before == 0)] = appears
    picture[differs & (after == 0)] = vanishes
    return picture


def before_after_difference(before: Frame, after: Frame) -> bytes:
    """A PNG: before, after and the difference side by side, enlarged; few colours make it small."""
    gap = np.full((len(before), GAP, 3), 255, np.uint8)
    row = np.concatenate([PALETTE[before], gap, PALETTE[after], gap, difference(before, after)], 1)
    data = io.BytesIO()
    picture = Image.fromarray(row.repeat(SCALE, 0).repeat(SCALE, 1))
    picture.quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(data, "PNG")
    return data.getvalue()


def _show(axes: Axes, picture: Frame | RGB, title: str = "") -> None:
    """A frame of classes or RGB without axes, unsmoothed."""
    if picture.ndim == 2:
        picture = np.where((picture == 0)[..., None], GROUND, PALETTE[picture])
    axes.imshow(picture, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    if title:
        axes.set_title(title, fontsize=9, fontweight="normal", loc="center")


def grid_map(axes: Axes, values: list[Any], frame: Frame, scale: Normalize, text: str = "{:.0f}") -> Any:
    """A 5 x 7 map of one number for each position, drawn over a frame; `values` in flat order, None shows as "-".

    Returns what a colour bar can be made of.
    """
    everywhere = (0, COLUMNS, ROWS, 0)
    axes.imshow(PALETTE[frame].mean(-1), cmap="gray", vmin=0, vmax=255, extent=everywhere)
    # Flat order is column by column; a picture has the rows first.
    cells = np.array(values, float).reshape(GRID_COLUMNS, GRID_ROWS).T
    shown = axes.imshow(np.ma.masked_invalid(cells), cmap=MAP, norm=scale, alpha=0.8, extent=everywhere)
    for (row, column), value in np.ndenumerate(cells):
        known = not np.isnan(value)
        colour = "black" if known and scale(value) > 0.55 else "white"
        at = (column + 0.5) * CELL_COLUMNS, (row + 0.5) * CELL_ROWS
        axes.text(*at, text.format(value) if known else "-", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(np.arange(0, COLUMNS + 1, CELL_COLUMNS), [])
    axes.set_yticks(np.arange(0, ROWS + 1, CELL_ROWS), [])
    axes.tick_params(length=0)
    axes.grid(True, color="white", linewidth=0.6)
    axes.set_axisbelow(False)
    return shown


def accuracy_by_position(report: Report, pictures: Pictures) -> Figure:
    """5 x 7 maps over a frame: every controller and the majority code, all steps and those in which a cell changed."""
    found = report["accuracy"]
    columns = {LABELS[name]: of["by_position"] for name, of in found["controllers"].items()}
    columns["majority code"] = found["majority_by_position"]
    rows = {"all": "All steps", "changed": "Steps that change the cell", "changed_top5": "The same, among 5 likeliest"}
    figure, axes = new_axes(11.5, len(rows), len(columns))
    for row, (key, title) in zip(axes, rows.items(), strict=True):
        for axis, (name, of) in zip(row, columns.items(), strict=True):
            if key in of:
                values = [None if rate.value is None else 100 * rate.value for rate in of[key]]
                shown = grid_map(axis, values, pictures.frame, Normalize(0, 100))
                axis.set_title(f"{title}:\n{name}", fontsize=10)
            else:
                counts = [rate.of for rate in of["changed"]]
                grid_map(axis, counts, pictures.frame, LogNorm(1, max(2, *counts), clip=True))
                axis.set_title("Steps that change the cell:\nhow many there are", fontsize=10)
    figure.colorbar(shown, ax=axes, shrink=0.5, label="codes right, per cent")
    return figure


def distances_by_position(report: Report, pictures: Pictures) -> Figure:
    """5 x 7 maps of the Jensen-Shannon divergence, a row for each controller and a column for each action."""
    found = {name: report["distributions"][name]["by_action"] for name in report["controllers"]}
    figure, axes = new_axes(3.4 * len(found) + 0.6, len(found), len(ACTION_NAMES))
    most = max((v for of in found.values() for a in of.values() for v in a["by_position"] if v is not None), default=1)
    scale = Normalize(0, max(most, 0.01))
    for row, (name, of) in zip(axes, found.items(), strict=True):
        for axis, action in zip(row, ACTION_NAMES, strict=True):
            shown = grid_map(axis, of[action]["by_position"], pictures.frame, scale, "{:.2f}")
            steps = of[action]["steps"]
            title = f"{action}, {LABELS[name]}\n{steps} steps" if steps else f"{action}\nnever occurs"
            axis.set_title(title, fontsize=9)
    label = "Jensen-Shannon divergence, bits (0 the same, 1 nothing shared)"
    figure.colorbar(shown, ax=axes, shrink=0.6, aspect=40, location="bottom", label=label)
    return figure


def worst(report: Report, pictures: Pictures, which: str) -> Figure:
    """A column for each step of `report["worst"][which]`: real, predicted, and what the prediction has wrong."""
    steps, drawn = report["worst"][which], pictures.worst[which]
    figure, axes = new_axes(6.3, 3, len(steps))
    for column, step, (real, predicted) in zip(axes.T, steps, drawn, strict=True):
        _show(column[0], real, f"{step['event']}\n{step['action']}, {step['wrong_pixels']} px wrong")
        _show(column[1], predicted)
        _show(column[2], difference(real, predicted))
    for row, name in zip(axes, ("real", "predicted", "difference"), strict=True):
        row[0].set_ylabel(name, fontsize=10)
    return figure


def futures(report: Report, pictures: Pictures) -> Figure:
    """A column for each key, held for a while: the real game, and below it every controller's dream."""
    found, numbers = pictures.futures, report["futures"]
    figure, axes = new_axes(2.75 * (1 + len(found.dreamt)), 1 + len(found.dreamt), 1 + len(found.real))
    _show(axes[0, 0], found.start, "the moment")
    for axis in axes[1:, 0]:
        axis.set_axis_off()
    for column, (key, real) in zip(axes.T[1:], found.real.items(), strict=True):
        _show(column[0], real, f"{key} held for {numbers['seconds']:g} s\nreal")
        for axis, (name, dreamt) in zip(column[1:], found.dreamt.items(), strict=True):
            wrong = numbers["keys"][key][name]["wrong_pixels"]
            _show(axis, dreamt[key], f"{LABELS[name]}\n{wrong} px wrong")
    return figure
