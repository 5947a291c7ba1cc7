"""The plots of the page: report in, PNG out. One palette that colour-blind people can read, one set of sizes.

Every function takes the report of `analysis.analyse`, draws nothing that is not in it, and gives a figure that `to_png`
saves. Colours are those of Okabe & Ito (https://jfly.uni-koeln.de/color/) and the map "cividis"; nothing is told by
colour alone: markers, hatches and words say the same.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, cast

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from evaluate.analysis.statistics import ACTION_NAMES
from model.breakout import (
    CODES,
)
from model.metrics import Quartiles, Rate

Report = dict[str, Any]
Series = list[tuple[dict[str, Any], list[Rate]]]
"""How each of several things looks, and its rate in each class."""
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE, GREY = (
    "#000000", "#e69f00", "#56b4e9", "#009e73", "#0072b2", "#d55e00", "#cc79a7", "#5b5b5b"
)  # fmt: skip
APPEARS, VANISHES, OTHER_COLOUR = ORANGE, SKY, PURPLE
MAP = "cividis"
WIDTH, DPI = 10.5, 110
"""Inches; the page shows a plot as wide as its text."""
LABELS = {"context": "context controller", "action": "action-only MLP"}
SHORT = {"context": "context", "action": "MLP"}
COLOURS, MARKERS = {"context": BLUE, "action": ORANGE}, {"context": "o", "action": "s"}
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
_SIDE = 0.2
"""How far apart on the x axis two controllers of one class stand."""


def to_png(plot: Callable[[], Figure]) -> bytes:
    """A figure in this style as a PNG. No date and no version is inside: the same numbers give the same bytes."""
    data = io.BytesIO()
    with matplotlib.rc_context(cast(Any, SETTINGS)):  # its stubs want each key's literal name
        plot().savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def new_figure(height: float) -> Figure:
    """A figure without pyplot, so that no window system is asked for and nothing is kept. Inches."""
    return Figure(figsize=(WIDTH, height), layout="constrained", dpi=DPI)


def points(axes: Axes, at: npt.ArrayLike, rates: list[Rate], scale: float = 100.0, **look: Any) -> None:
    """Values with their 95% intervals; an empty class is left out."""
    places, found = np.asarray(at, float), np.array([(r.value, r.low, r.high) for r in rates], float).reshape(-1, 3)
    known = ~np.isnan(found[:, 0])
    value, low, high = found[known].T * scale
    spans = np.nan_to_num(np.maximum(0, [value - low, high - value]))
    axes.errorbar(places[known], value, spans, linestyle="", capsize=3, markersize=6, elinewidth=1.3, **look)


def _look(name: str) -> dict[str, Any]:
    return {"color": COLOURS[name], "marker": MARKERS[name], "label": LABELS[name]}


def _legend(figure: Figure, axes: Axes, columns: int = 3) -> Figure:
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=columns)
    return figure


def _by_class(axes: Axes, classes: list[str], series: Series, scale: float) -> None:
    """Points with intervals for each class on the x axis, the series side by side; an empty class says so."""
    at = np.arange(len(classes))
    for number, (look, rates) in enumerate(series):
        points(axes, at + (number - (len(series) - 1) / 2) * _SIDE, rates, scale, **look)
    for place in at:
        if all(rates[place].value is None for _, rates in series):
            text: Any = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "center"}
            axes.text(float(place), 0.5, "never\noccurs", color=GREY, fontsize=9, **text)
    axes.set_xticks(at, classes)
    axes.set_xlim(-0.6, len(classes) - 0.4)
    axes.grid(False, axis="x")
    if scale == 100:
        axes.set_ylim(-4, 104)


def _panels(
    titles: dict[str, str],
    classes: list[str],
    series: Callable[[str], Series],
    label: str,
    height: float,
    scale: float = 100.0,
    stacked: bool = False,
) -> Figure:
    """A panel for each of the titles, by key; `series(key)` are looks and rates of what stands side by side in it."""
    figure = new_figure(height)
    shape = (len(titles), 1) if stacked else (1, len(titles))
    axes = figure.subplots(*shape, sharex=stacked, sharey=not stacked and scale == 1, squeeze=False).ravel()
    for axis, (key, title) in zip(axes, titles.items(), strict=True):
        _by_class(axis, classes, series(key), scale)
        axis.set_title(title)
        axis.set_ylabel(label if stacked or axis is axes[0] else "")
    fullest = max(axes, key=lambda axis: len(axis.get_legend_handles_labels()[1]))
    return _legend(figure, fullest)


def accuracy_by_action(report: Report) -> Figure:
    """Codes right for each action: all cells, changed cells, changed cells by the five likeliest."""
    found, classes = report["accuracy"], ["all", *ACTION_NAMES]
    titles = {
        "code_accuracy": "Codes right, all 35 cells",
        "dynamic_accuracy": "Codes right, changed cells",
        "dynamic_top5_accuracy": "Right one among the 5 likeliest,\nchanged cells",
    }

    def series(key: str) -> Series:
        shown = [(_look(name), [of[key][c] for c in classes]) for name, of in found["controllers"].items()]
        majority = found["truth"].get(f"majority_{key}")
        return shown + ([(BASELINE, [majority[c] for c in classes])] if majority else [])

    return _panels(titles, classes, series, "per cent of cells", 4.2)


def distances_pooled(report: Report) -> Figure:
    """The divergence of the pooled distributions for each action, with and without code 0."""
    looks = {name: _look(name) for name in report["controllers"]}
    looks["unchanged"] = {"color": GREY, "marker": "D", "label": 'always "nothing changes"'}
    of = {name: report["distributions"][name]["by_action"] for name in looks}

    def series(key: str) -> Series:
        return [(look, [Rate(of[name][a][key], None, None, 0) for a in ACTION_NAMES]) for name, look in looks.items()]

    titles = {"pooled": "All codes, pooled over positions", "pooled_changes": "Codes of changes alone (without code 0)"}
    return _panels(titles, ACTION_NAMES, series, "Jensen-Shannon divergence, bits", 3.7, 1)


def histograms(report: Report) -> Figure:
    """How often each code occurs in a step with each action, in reality and by each controller."""
    names, figure = report["controllers"], new_figure(8.4)
    axes = figure.subplots(len(ACTION_NAMES), len(names), sharex=True, sharey=True, squeeze=False)
    order = 1 + np.argsort(-np.array(report["codebook"]["counts"])[1:], kind="stable")
    edges = np.arange(len(order) + 1) + 0.5
    handles: dict[str, Any] = {}
    for row, action in zip(axes, ACTION_NAMES, strict=True):
        for axis, name in zip(row, names, strict=True):
            of = report["distributions"][name]["by_action"][action]
            axis.set_title(f"{action}, {of['steps']} steps", fontsize=10)
            if not of["steps"]:
                axis.text(0.5, 0.5, "never occurs", transform=axis.transAxes, ha="center", color=GREY)
                continue
            actual, expected = (np.array(of[key])[order] for key in ("actual_a_step", "predicted_a_step"))
            axis.stairs(actual, edges, fill=True, color=GREY, label="real codes, upward")
            axis.stairs(-expected, edges, fill=True, color=COLOURS[name], label=f"{LABELS[name]}, downward")
            axis.set_yscale("symlog", linthresh=0.01)
            axis.set_ylim(-0.5, 0.5)
            axis.set_yticks([-0.1, -0.01, 0, 0.01, 0.1], ["0.1", "0.01", "0", "0.01", "0.1"])
            axis.minorticks_off()
            handles |= {label: handle for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    for axis in axes[-1]:
        axis.set_xlabel("codes 1 to 255, the commonest first")
    for axis in axes[:, 0]:
        axis.set_ylabel("times a step")
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=3)
    return figure


def codebook_use(report: Report) -> Figure:
    """The codebook as a 16 x 16 map: how often each code occurs; codes never used are crossed out."""
    figure, every = new_figure(5.6), np.array(report["codebook"]["counts"])
    axis, bars = figure.subplots(1, 2, width_ratios=(1.25, 1))
    counts = every.reshape(16, 16)
    shown = axis.imshow(np.ma.masked_equal(counts, 0), cmap=MAP, norm=LogNorm(1, max(2, counts.max())))
    for row, column in np.argwhere(counts == 0):
        axis.text(column, row, "x", ha="center", va="center", color=VERMILION, fontsize=10, fontweight="bold")
    axis.set_xticks(range(16), [str(n) for n in range(16)], fontsize=8)
    axis.set_yticks(range(16), [str(16 * n) for n in range(16)], fontsize=8)
    axis.set_title(f"Use of the {CODES} codes (x: never used)")
    axis.set_xlabel("code = row + column")
    axis.grid(False)
    figure.colorbar(shown, ax=axis, shrink=0.8, label="times in the predicted steps (logarithmic)")
    changes = np.sort(every[1:])[::-1]
    share = 100 * np.cumsum(changes) / max(1, changes.sum())
    bars.plot(np.arange(1, len(share) + 1), share, color=BLACK)
    bars.set(
        title="Changes that the n commonest codes cover", xlabel="n codes of 255", ylabel="per cent of changed cells"
    )
    bars.set(xlim=(0, CODES), ylim=(0, 102))
    return figure


def reliability(report: Report) -> Figure:
    """Reliability diagrams: how often the likeliest code is right, by the probability it was given; counts below."""
    figure = new_figure(6.0)
    axes = figure.subplots(2, 2, sharex=True, height_ratios=(3, 1))
    titles = {"all_cells": "All cells", "cells_in_doubt": 'Cells in doubt: P("nothing changes") < 0.95'}
    for (top, below), (scope, title) in zip(axes.T, titles.items(), strict=True):
        top.plot([0, 100], [0, 100], color=GREY, linestyle="--", linewidth=1, label="perfectly calibrated")
        errors, most = [], 1.0
        for number, (name, of) in enumerate(report["calibration"].items()):
            bins = of[scope]["bins"]
            known = [b for b in bins if b["confidence"] is not None]
            points(top, [100 * b["confidence"] for b in known], [b["right"] for b in known], **_look(name))
            middles, heights = [50 * (b["from"] + b["to"]) for b in bins], [b["right"].of for b in bins]
            hatch = "//" if number else None
            below.bar(np.array(middles) + (number - 0.5) * 4, heights, 4, color=COLOURS[name], hatch=hatch)
            most = max(most, *heights)
            error = of[scope]["expected_calibration_error"]
            errors.append(f"{LABELS[name]}: ECE " + ("none" if error is None else f"{100 * error:.2f}%"))
        top.text(0.03, 0.97, "\n".join(errors), transform=top.transAxes, va="top", fontsize=9)
        top.set(title=title, xlim=(0, 101), ylim=(-3, 103))
        below.set_yscale("symlog", linthresh=1)
        below.set_ylim(0, 4 * most)
        below.set_xlabel("probability given to the likeliest code, per cent")
    axes[0, 0].set_ylabel("it was right, per cent")
    axes[1, 0].set_ylabel("cells")
    return _legend(figure, axes[0, 0])


def temperature(report: Report) -> Figure:
    """Against temperature: the chance of the real codes when codes are drawn, and how long dreams stay true."""
    figure = new_figure(4.2)
    axes = figure.subplots(1, 3)
    parts = {"changed_cells": "Drawn codes right, changed cells", "grid": "All 35 drawn codes right"}
    for axis, (key, title) in zip(axes, parts.items(), strict=False):
        for name, rows in report["temperature"].items():
            points(axis, [row["temperature"] for row in rows], [row[key] for row in rows], **_look(name))
        axis.set(title=title, ylim=(-4, 104))
    axes[0].set_ylabel("per cent of cells")
    axes[1].set_ylabel("per cent of steps")
    longest = report["settings"]["dream_seconds"]
    for number, (name, rows) in enumerate(report["dreams"].items()):
        at = [row["temperature"] + (number - 0.5) * 0.06 for row in rows]
        points(axes[2], at, [_reached(row["horizon_seconds"], longest) for row in rows], 1.0, **_look(name))
    axes[2].set(title="Dream horizon: median, quartiles", ylabel="seconds of game time")
    axes[2].set_ylim(bottom=-0.05)
    for axis in axes:
        axis.set(xlabel="temperature (0: the likeliest)", xlim=(-0.15, 2.15))
    return _legend(figure, axes[0], 2)


def _reached(span: Quartiles, longest: float) -> Rate:
    """A quartile that was never reached stands at the longest that a dream may last."""
    if not span.of:
        return Rate(None, None, None, 0)
    low, median, high = (longest if value is None else value for value in (span.low, span.median, span.high))
    return Rate(median, low, high, span.of)


def by_event(report: Report) -> Figure:
    """Success in each group of events: the whole grid, and exact frames; the decoder's own limit beside."""
    groups = report["events"]["groups"]
    classes = [f"{name.replace('_', ' ')}\n({of['steps']})" for name, of in groups.items()]

    def series(key: str) -> Series:
        names = report["controllers"]
        shown = [(_look(name), [of["controllers"][name][key] for of in groups.values()]) for name in names]
        ideal = {"color": GREEN, "marker": "^", "label": "codes of the real pair"}
        return shown + ([(ideal, [of["real_codes"] for of in groups.values()])] if key == "exact_frames" else [])

    titles = {"grid": "Steps with all 35 codes right", "exact_frames": "Frames right in every pixel"}
    return _panels(titles, classes, series, "per cent of steps", 7.4, stacked=True)


def controllability(report: Report) -> Figure:
    """Genie's delta PSNR for each action, and the controller's own: right key less a random one."""
    classes, controllers = ["all", *ACTION_NAMES], report["accuracy"]["controllers"].items()
    titles = {
        "delta_psnr": "Codes of the real pair less those of a random key",
        "delta_psnr_of_the_key": "The right key less a random key",
    }

    def series(key: str) -> Series:
        return [(_look(name), [of[key][c] for c in classes]) for name, of in controllers]

    return _panels(titles, classes, series, "delta PSNR, dB", 3.9, 1)
