"""The plots of the page: the report of `analysis.analyse` and its pictures in, a figure out; `to_png` saves it.

Colours are those of Okabe & Ito (https://jfly.uni-koeln.de/color/), which colour-blind people can read, and the map
"cividis"; nothing is told by colour alone: markers and words say the same."""

import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from evaluate.analysis.analysis import Pictures
from evaluate.analysis.statistics import ACTION_NAMES
from evaluate.heldout import Report
from model.breakout import CODES
from model.metrics import Quartiles, Rate

Series = dict[str, list[Rate]]  # several things by their names in `LOOKS`, with a rate in each class
APPEARS, VANISHES, OTHER_COLOUR = "#e69f00", "#56b4e9", "#cc79a7"
GREY, MAP = "#5b5b5b", "cividis"
LABELS = {"context": "context controller", "action": "action-only MLP"}
LOOKS: dict[str, dict[str, Any]] = {
    "context": {"color": "#0072b2", "marker": "o", "label": LABELS["context"]},
    "action": {"color": "#e69f00", "marker": "s", "label": LABELS["action"]},
    "majority": {"color": GREY, "marker": "D", "label": "majority code"},
    "unchanged": {"color": GREY, "marker": "D", "label": 'always "nothing changes"'},
    "real": {"color": "#009e73", "marker": "^", "label": "codes of the real pair"},
}


def to_png(plot: Callable[[Report, Pictures], Figure], report: Report, pictures: Pictures) -> bytes:
    """A figure in this style as a PNG. No date and no version is inside: the same numbers give the same bytes."""
    data = io.BytesIO()
    with matplotlib.rc_context(fname=Path(__file__).with_name("plots.mplstyle")):
        plot(report, pictures).savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def new_axes(height: float, rows: int, columns: int, **kwargs: Any) -> tuple[Figure, Any]:
    """A figure of a height in inches with its axes, without pyplot: no window system is asked for, nothing is kept."""
    figure = Figure(figsize=(10.5, height), layout="constrained", dpi=110)
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


def _points(axes: Axes, at: Any, rates: Sequence[Rate], name: str, scale: float = 100.0) -> None:
    """Values with their 95% intervals, in the look of `name`; an empty class is left out."""
    value, low, high = np.array([(r.value, r.low, r.high) for r in rates], float).reshape(-1, 3).T * scale
    spans = np.nan_to_num(np.maximum(0, [value - low, high - value]))
    axes.errorbar(at, value, spans, linestyle="", capsize=3, markersize=6, elinewidth=1.3, **LOOKS[name])


def _legend(figure: Figure, every: Iterable[Axes], columns: int = 3) -> Figure:
    """With a legend of all that some axes show."""
    shown = {name: one for axes in every for one, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=columns)
    return figure


def _panels(
    panels: dict[str, Series], classes: list[str], label: str, height: float, scale: float = 100, stacked: bool = False
) -> Figure:
    """A panel for each title: what stands side by side in it for each class on the x axis; an empty class says so."""
    shape = (len(panels), 1) if stacked else (1, len(panels))
    figure, grid = new_axes(height, *shape, sharex=stacked, sharey=not stacked and scale == 1)
    at = np.arange(len(classes))
    for axis, (title, series) in zip(grid.flat, panels.items(), strict=True):
        for number, (name, rates) in enumerate(series.items()):
            _points(axis, at + (number - (len(series) - 1) / 2) * 0.2, rates, name, scale)
        for place in at:
            if all(rates[place].value is None for rates in series.values()):
                text: Any = {"transform": axis.get_xaxis_transform(), "ha": "center", "va": "center"}
                axis.text(float(place), 0.5, "never\noccurs", color=GREY, fontsize=9, **text)
        axis.set_xticks(at, classes)
        axis.set(xlim=(-0.6, len(classes) - 0.4), title=title)
        axis.grid(False, axis="x")
        if scale == 100:
            axis.set_ylim(-4, 104)
        axis.set_ylabel(label if stacked or axis is grid.flat[0] else "")
    return _legend(figure, grid.flat)


def _by_action(report: Report, titles: dict[str, str], label: str, height: float, scale: float = 100) -> Figure:
    """Metrics of every controller for each action, beside the majority code's."""
    truth, panels = report["accuracy"]["truth"], {}
    for key, title in titles.items():
        rates = {name: of[key] for name, of in report["accuracy"]["controllers"].items()}
        if f"majority_{key}" in truth:
            rates["majority"] = truth[f"majority_{key}"]
        panels[title] = {name: list(of.values()) for name, of in rates.items()}
    return _panels(panels, ["all", *ACTION_NAMES], label, height, scale)


def accuracy_by_action(report: Report, pictures: Pictures) -> Figure:
    """How often codes are right for each action."""
    titles = {"code_accuracy": "Codes right, all 35 cells", "dynamic_accuracy": "Codes right, changed cells"}
    titles["dynamic_top5_accuracy"] = "Right one among the 5 likeliest,\nchanged cells"
    return _by_action(report, titles, "per cent of cells", 4.2)


def controllability(report: Report, pictures: Pictures) -> Figure:
    """What the key is worth for each action."""
    titles = {"delta_psnr": "Codes of the real pair less those of a random key"}
    titles["delta_psnr_of_the_key"] = "The right key less a random key"
    return _by_action(report, titles, "delta PSNR, dB", 3.9, 1)


def distances_pooled(report: Report, pictures: Pictures) -> Figure:
    """The divergence of the pooled distributions for each action, with and without code 0."""
    titles = {"pooled": "All codes, pooled over positions", "pooled_changes": "Codes of changes alone (without code 0)"}
    panels: dict[str, Series] = {title: {} for title in titles.values()}
    for name in (*report["controllers"], "unchanged"):
        of = report["distributions"][name]["by_action"].values()
        for key, title in titles.items():
            panels[title][name] = [Rate(one[key], None, None, 0) for one in of]
    return _panels(panels, ACTION_NAMES, "Jensen-Shannon divergence, bits", 3.7, 1)


def by_event(report: Report, pictures: Pictures) -> Figure:
    """Success in each group of events: the whole grid, and exact frames; the decoder's own limit beside."""
    groups = report["events"]["groups"]
    classes = [f"{name.replace('_', ' ')}\n({of['steps']})" for name, of in groups.items()]
    grids, exact = (
        {name: [of["controllers"][name][key] for of in groups.values()] for name in report["controllers"]}
        for key in ("grid", "exact_frames")
    )
    exact["real"] = [of["real_codes"] for of in groups.values()]
    panels = {"Steps with all 35 codes right": grids, "Frames right in every pixel": exact}
    return _panels(panels, classes, "per cent of steps", 7.4, stacked=True)


def reliability(report: Report, pictures: Pictures) -> Figure:
    """Reliability diagrams: how often the likeliest code is right, by the probability it was given; counts below."""
    figure, axes = new_axes(6.0, 2, 2, sharex=True, height_ratios=(3, 1))
    titles = {"all_cells": "All cells", "cells_in_doubt": 'Cells in doubt: P("nothing changes") < 0.95'}
    for (top, below), (scope, title) in zip(axes.T, titles.items(), strict=True):
        top.plot([0, 100], [0, 100], color=GREY, linestyle="--", linewidth=1, label="perfectly calibrated")
        errors, most = [], 1.0
        for number, (name, of) in enumerate(report["calibration"].items()):
            bins, error = of[scope]["bins"], of[scope]["expected_calibration_error"]
            known = [b for b in bins if b["confidence"] is not None]
            _points(top, [100 * b["confidence"] for b in known], [b["right"] for b in known], name)
            middles, heights = [50 * (b["from"] + b["to"]) for b in bins], [b["right"].of for b in bins]
            hatch = "//" if number else None
            below.bar(np.array(middles) + (number - 0.5) * 4, heights, 4, color=LOOKS[name]["color"], hatch=hatch)
            most = max(most, *heights)
            errors.append(f"{LABELS[name]}: ECE " + ("none" if error is None else f"{100 * error:.2f}%"))
        top.text(0.03, 0.97, "\n".join(errors), transform=top.transAxes, va="top", fontsize=9)
        top.set(title=title, xlim=(0, 101), ylim=(-3, 103))
        below.set_yscale("symlog", linthresh=1)
        below.set(ylim=(0, 4 * most), xlabel="probability given to the likeliest code, per cent")
    axes[0, 0].set_ylabel("it was right, per cent")
    axes[1, 0].set_ylabel("cells")
    return _legend(figure, axes[0, :1])


def temperature(report: Report, pictures: Pictures) -> Figure:
    """Against temperature: the chance of the real codes when codes are drawn, and how long dreams stay true."""
    figure, (axes,) = new_axes(4.2, 1, 3)
    parts = (
        ("changed_cells", "Drawn codes right, changed cells", "cells"),
        ("grid", "All 35 drawn codes right", "steps"),
    )
    for axis, (key, title, unit) in zip(axes, parts, strict=False):
        for name, rows in report["temperature"].items():
            _points(axis, [row["temperature"] for row in rows], [row[key] for row in rows], name)
        axis.set(title=title, ylim=(-4, 104), ylabel=f"per cent of {unit}")
    longest = report["settings"]["dream_seconds"]
    for number, (name, rows) in enumerate(report["dreams"].items()):
        at = [row["temperature"] + (number - 0.5) * 0.06 for row in rows]
        _points(axes[2], at, [_reached(row["horizon_seconds"], longest) for row in rows], name, 1.0)
    axes[2].set(title="Dream horizon: median, quartiles", ylabel="seconds of game time")
    axes[2].set_ylim(bottom=-0.05)
    for axis in axes:
        axis.set(xlabel="temperature (0: the likeliest)", xlim=(-0.15, 2.15))
    return _legend(figure, axes, 2)


def _reached(span: Quartiles, longest: float) -> Rate:
    """A quartile that was never reached stands at the longest that a dream may last."""
    low, median, high = (longest if value is None else value for value in (span.low, span.median, span.high))
    return Rate(median, low, high, span.of) if span.of else Rate(None, None, None, 0)


def histograms(report: Report, pictures: Pictures) -> Figure:
    """How often each code occurs in a step with each action, in reality and by each controller."""
    names = report["controllers"]
    figure, axes = new_axes(8.4, len(ACTION_NAMES), len(names), sharex=True, sharey=True)
    order = 1 + np.argsort(-np.array(report["codebook"]["counts"])[1:], kind="stable")
    edges = np.arange(len(order) + 1) + 0.5
    for row, action in zip(axes, ACTION_NAMES, strict=True):
        for axis, name in zip(row, names, strict=True):
            of = report["distributions"][name]["by_action"][action]
            axis.set_title(f"{action}, {of['steps']} steps", fontsize=10)
            if not of["steps"]:
                axis.text(0.5, 0.5, "never occurs", transform=axis.transAxes, ha="center", color=GREY)
                continue
            actual, expected = (np.array(of[key])[order] for key in ("actual_a_step", "predicted_a_step"))
            axis.stairs(actual, edges, fill=True, color=GREY, label="real codes, upward")
            axis.stairs(-expected, edges, fill=True, color=LOOKS[name]["color"], label=f"{LABELS[name]}, downward")
            axis.set_yscale("symlog", linthresh=0.01)
            axis.set_ylim(-0.5, 0.5)
            axis.set_yticks([-0.1, -0.01, 0, 0.01, 0.1], ["0.1", "0.01", "0", "0.01", "0.1"])
            axis.minorticks_off()
    for axis in axes[-1]:
        axis.set_xlabel("codes 1 to 255, the commonest first")
    for axis in axes[:, 0]:
        axis.set_ylabel("times a step")
    return _legend(figure, axes.flat)


def codebook_use(report: Report, pictures: Pictures) -> Figure:
    """The codebook as a 16 x 16 map: how often each code occurs; codes never used are crossed out."""
    figure, ((axis, bars),) = new_axes(5.6, 1, 2, width_ratios=(1.25, 1))
    every = np.array(report["codebook"]["counts"])
    counts = every.reshape(16, 16)
    shown = axis.imshow(np.ma.masked_equal(counts, 0), cmap=MAP, norm=LogNorm(1, max(2, counts.max())))
    for row, column in np.argwhere(counts == 0):
        axis.text(column, row, "x", ha="center", va="center", color="#d55e00", fontsize=10, fontweight="bold")
    axis.set_xticks(range(16), [str(n) for n in range(16)], fontsize=8)
    axis.set_yticks(range(16), [str(16 * n) for n in range(16)], fontsize=8)
    axis.set(title=f"Use of the {CODES} codes (x: never used)", xlabel="code = row + column")
    axis.grid(False)
    figure.colorbar(shown, ax=axis, shrink=0.8, label="times in the predicted steps (logarithmic)")
    changes = np.sort(every[1:])[::-1]
    share = 100 * np.cumsum(changes) / max(1, changes.sum())
    bars.plot(np.arange(1, len(share) + 1), share, color="#000000")
    bars.set(title="Changes that the n commonest codes cover", xlim=(0, CODES), ylim=(0, 102))
    bars.set(xlabel="n codes of 255", ylabel="per cent of changed cells")
    return figure
