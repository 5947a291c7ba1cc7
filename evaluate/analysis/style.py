"""How the plots look: one palette that colour-blind people can read, one set of sizes, one way to save.

Colours are those of Okabe & Ito (https://jfly.uni-koeln.de/color/) and the map "cividis"; nothing is told by colour
alone: markers, hatches and words say the same.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, cast

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from model.breakout import CELL_COLUMNS, CELL_ROWS, COLUMNS, GRID_COLUMNS, GRID_ROWS, PALETTE, ROWS, Frame

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"
)  # fmt: skip
GREY = "#5b5b5b"
APPEARS, VANISHES, OTHER_COLOUR = ORANGE, SKY, PURPLE
MAP = "cividis"
Parameters = ParamSpec("Parameters")
WIDTH = 10.5
"""Inches; the page shows a plot as wide as its text."""
DPI = 110

LABELS = {"context": "context controller", "action": "action-only MLP"}
SHORT = {"context": "context", "action": "MLP"}
COLOURS = {"context": BLUE, "action": ORANGE}
MARKERS = {"context": "o", "action": "s"}
BASELINE = {"color": GREY, "marker": "D", "label": "majority code"}

SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "figure.facecolor": "white",
}


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """A figure without pyplot, so that no window system is asked for and nothing is kept. Inches."""
    return Figure(figsize=(width, height), layout="constrained", dpi=DPI)


def styled(plot: Callable[Parameters, Figure]) -> Callable[Parameters, bytes]:
    """A function that draws a figure, turned into one that gives it in this style as a PNG.

    No date and no version is inside: the same numbers give the same bytes.
    """

    @wraps(plot)
    def to_png(*arguments: Parameters.args, **named: Parameters.kwargs) -> bytes:
        data = io.BytesIO()
        with matplotlib.rc_context(cast(Any, SETTINGS)):  # its stubs want each key's literal name
            plot(*arguments, **named).savefig(data, format="png", metadata={"Software": None})
        return data.getvalue()

    return to_png


def points(axes: Axes, at: npt.ArrayLike, rates: list[dict[str, Any]], scale: float = 100.0, **look: Any) -> None:
    """Values with their 95% intervals; an empty class is left out, its place says so (see `mark_empty`)."""
    places = np.asarray(at, float)
    known = [n for n, rate in enumerate(rates) if rate["value"] is not None]
    if not known:
        axes.plot([], [], **look, linestyle="")
        return
    values = np.array([rates[n]["value"] for n in known]) * scale
    lows = np.array([rates[n]["value"] if rates[n]["low"] is None else rates[n]["low"] for n in known]) * scale
    highs = np.array([rates[n]["value"] if rates[n]["high"] is None else rates[n]["high"] for n in known]) * scale
    spans = np.maximum(0, [values - lows, highs - values])
    axes.errorbar(places[known], values, spans, linestyle="", capsize=3, markersize=6, elinewidth=1.3, **look)


def mark_empty(axes: Axes, at: float, text: str = "never\noccurs") -> None:
    """Say at a place on the x axis that its class is empty."""
    axes.text(at, 0.5, text, transform=axes.get_xaxis_transform(), ha="center", va="center", color=GREY, fontsize=9)


def grid_map(
    axes: Axes,
    values: list[float | None],
    frame: Frame,
    scale: Normalize,
    text: str = "{:.0f}",
    empty: str = "-",
) -> Any:
    """A 5 x 7 map of one number for each position, drawn over a frame; `values` in flat order, None shows as `empty`.

    Returns what a colour bar can be made of.
    """
    grey = PALETTE[frame].mean(-1)
    axes.imshow(grey, cmap="gray", vmin=0, vmax=255, extent=(0, COLUMNS, ROWS, 0))
    numbers = np.array([np.nan if value is None else value for value in values], float)
    # Flat order is column by column; a picture has the rows first.
    cells = numbers.reshape(GRID_COLUMNS, GRID_ROWS).T
    shown = axes.imshow(np.ma.masked_invalid(cells), cmap=MAP, norm=scale, alpha=0.8, extent=(0, COLUMNS, ROWS, 0))
    for row in range(GRID_ROWS):
        for column in range(GRID_COLUMNS):
            value = cells[row, column]
            known = not np.isnan(value)
            light = known and scale(value) > 0.55
            axes.text(
                (column + 0.5) * CELL_COLUMNS,
                (row + 0.5) * CELL_ROWS,
                text.format(value) if known else empty,
                ha="center",
                va="center",
                fontsize=8,
                color="black" if light else "white",
            )
    axes.set_xticks(np.arange(0, COLUMNS + 1, CELL_COLUMNS), [])
    axes.set_yticks(np.arange(0, ROWS + 1, CELL_ROWS), [])
    axes.tick_params(length=0)
    axes.grid(True, color="white", linewidth=0.6)
    axes.set_axisbelow(False)
    return shown


def picture(axes: Axes, pixels: npt.NDArray[np.uint8], title: str = "") -> None:
    """A picture without axes, its pixels unsmoothed."""
    axes.imshow(pixels, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if title:
        axes.set_title(title, fontsize=9, fontweight="normal", loc="center")
