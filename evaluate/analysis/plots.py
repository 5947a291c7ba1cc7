"""The plots of the accuracy, the distributions and the calibration: report in, PNG out.

Every function takes the report of `analysis.analyse`, draws nothing that is not in it, and gives a PNG (`styled`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from evaluate.analysis.statistics import action_names
from evaluate.analysis.style import (
    BASELINE,
    BLACK,
    COLOURS,
    GREEN,
    GREY,
    LABELS,
    MAP,
    MARKERS,
    VERMILION,
    grid_map,
    mark_empty,
    new_figure,
    points,
    styled,
)
from model.breakout import CODES, Frame

Report = dict[str, Any]
_SIDE = 0.2
"""How far apart on the x axis two controllers of one class stand."""


def _look(name: str) -> dict[str, Any]:
    return {"color": COLOURS[name], "marker": MARKERS[name], "label": LABELS[name]}


def _by_class(axes: Axes, classes: list[str], series: list[tuple[dict[str, Any], list[Any]]], scale: float) -> None:
    """Points with intervals for each class on the x axis, the series side by side."""
    at = np.arange(len(classes))
    for number, (look, rates) in enumerate(series):
        points(axes, at + (number - (len(series) - 1) / 2) * _SIDE, rates, scale, **look)
    for place in at:
        if all(rates[place]["value"] is None for _, rates in series):
            mark_empty(axes, float(place))
    axes.set_xticks(at, classes)
    axes.set_xlim(-0.6, len(classes) - 0.4)
    axes.grid(False, axis="x")


@styled
def accuracy_by_action(report: Report) -> Figure:
    """Codes right for each action: all cells, changed cells, changed cells by the five likeliest."""
    figure = new_figure(4.2)
    axes = figure.subplots(1, 3)
    found = report["accuracy"]
    classes = ["all", *action_names()]
    rows: tuple[tuple[str, str, str | None], ...] = (
        ("Codes right, all 35 cells", "code_accuracy", "majority_code_accuracy"),
        ("Codes right, changed cells", "dynamic_accuracy", "majority_dynamic_accuracy"),
        ("Right one among the 5 likeliest,\nchanged cells", "dynamic_top5_accuracy", None),
    )
    for axis, (title, key, majority) in zip(axes, rows, strict=True):
        series = [(_look(name), [of[key][c] for c in classes]) for name, of in found["controllers"].items()]
        if majority:
            series.append((BASELINE, [found["truth"][majority][c] for c in classes]))
        _by_class(axis, classes, series, 100)
        axis.set_title(title)
        axis.set_ylabel("per cent of cells" if axis is axes[0] else "")
        if key != "code_accuracy":
            axis.set_ylim(-4, 104)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@styled
def accuracy_by_position(report: Report, frame: Frame) -> Figure:
    """5 x 7 maps over a frame: every controller and the majority code, all steps and those in which a cell changed."""
    found = report["accuracy"]
    columns = [(LABELS[name], of["by_position"]) for name, of in found["controllers"].items()]
    columns.append((BASELINE["label"], found["majority_by_position"]))
    rows = (
        ("all", "All steps"),
        ("changed", "Steps that change the cell"),
        ("changed_top5", "The same, among 5 likeliest"),
    )
    figure = new_figure(11.5)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    scale = Normalize(0, 100)
    for row, (key, title) in enumerate(rows):
        for column, (name, of) in enumerate(columns):
            axis = axes[row, column]
            if key in of:
                values = [None if rate["value"] is None else 100 * rate["value"] for rate in of[key]]
                shown = grid_map(axis, values, frame, scale)
                axis.set_title(f"{title}:\n{name}", fontsize=10)
            else:
                counts = [rate["of"] for rate in of["changed"]]
                grid_map(axis, counts, frame, LogNorm(1, max(2, *counts), clip=True))
                axis.set_title("Steps that change the cell:\nhow many there are", fontsize=10)
    figure.colorbar(shown, ax=axes, shrink=0.5, label="codes right, per cent")
    return figure


@styled
def distances_by_position(report: Report, frame: Frame) -> Figure:
    """5 x 7 maps of the Jensen-Shannon divergence, a row for each controller and a column for each action."""
    found = {name: report["distributions"][name]["by_action"] for name in report["controllers"]}
    figure = new_figure(3.4 * len(found) + 0.6)
    axes = figure.subplots(len(found), len(action_names()), squeeze=False)
    most = max((v for of in found.values() for a in of.values() for v in a["by_position"] if v is not None), default=1)
    scale = Normalize(0, max(most, 0.01))
    for row, (name, of) in zip(axes, found.items(), strict=True):
        for axis, action in zip(row, action_names(), strict=True):
            shown = grid_map(axis, of[action]["by_position"], frame, scale, "{:.2f}")
            steps = of[action]["steps"]
            axis.set_title(
                f"{action}, {LABELS[name]}\n{steps} steps" if steps else f"{action}\nnever occurs", fontsize=9
            )
    label = "Jensen-Shannon divergence, bits (0 the same, 1 nothing shared)"
    figure.colorbar(shown, ax=axes, shrink=0.6, aspect=40, location="bottom", label=label)
    return figure


@styled
def distances_pooled(report: Report) -> Figure:
    """The divergence of the pooled distributions for each action, with and without code 0."""
    figure = new_figure(3.7)
    axes = figure.subplots(1, 2, sharey=True)
    looks = {name: _look(name) for name in report["controllers"]}
    looks["unchanged"] = {"color": GREY, "marker": "D", "label": 'always "nothing changes"'}
    titles = {"pooled": "All codes, pooled over positions", "pooled_changes": "Codes of changes alone (without code 0)"}
    for axis, (key, title) in zip(axes, titles.items(), strict=True):
        series = [
            (look, [{"value": report["distributions"][name]["by_action"][a][key], "low": None, "high": None} for a in
                    action_names()])
            for name, look in looks.items()
        ]  # fmt: skip
        _by_class(axis, action_names(), series, 1)
        axis.set_title(title)
        axis.set_ylim(-0.04, 1.04)
    axes[0].set_ylabel("Jensen-Shannon divergence, bits")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@styled
def histograms(report: Report) -> Figure:
    """How often each code occurs in a step with each action, in reality and by each controller."""
    names = report["controllers"]
    figure = new_figure(8.4)
    axes = figure.subplots(len(action_names()), len(names), sharex=True, sharey=True, squeeze=False)
    counts = np.array(report["codebook"]["counts"])
    order = 1 + np.argsort(-counts[1:], kind="stable")
    edges = np.arange(len(order) + 1) + 0.5
    for row, action in zip(axes, action_names(), strict=True):
        for axis, name in zip(row, names, strict=True):
            of = report["distributions"][name]["by_action"][action]
            axis.set_title(f"{action}, {of['steps']} steps", fontsize=10)
            if not of["steps"]:
                axis.text(0.5, 0.5, "never occurs", transform=axis.transAxes, ha="center", color=GREY)
                continue
            actual, said = (np.array(of[key])[order] for key in ("actual_a_step", "predicted_a_step"))
            axis.stairs(actual, edges, fill=True, color=GREY, label="real codes, upward")
            axis.stairs(-said, edges, fill=True, color=COLOURS[name], label=f"{LABELS[name]}, downward")
            axis.set_yscale("symlog", linthresh=0.01)
            axis.set_ylim(-0.5, 0.5)
            axis.set_yticks([-0.1, -0.01, 0, 0.01, 0.1], ["0.1", "0.01", "0", "0.01", "0.1"])
            axis.minorticks_off()
    for axis in axes[-1]:
        axis.set_xlabel("codes 1 to 255, the commonest first")
    for axis in axes[:, 0]:
        axis.set_ylabel("times a step")
    handles = {
        label: handle
        for axis in axes.flat
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }  # fmt: skip
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
    return figure


@styled
def codebook_use(report: Report) -> Figure:
    """The codebook as a 16 x 16 map: how often each code occurs; codes never used are crossed out."""
    figure = new_figure(5.6)
    axis, bars = figure.subplots(1, 2, width_ratios=(1.25, 1))
    counts = np.array(report["codebook"]["counts"]).reshape(16, 16)
    shown = axis.imshow(np.ma.masked_equal(counts, 0), cmap=MAP, norm=LogNorm(1, max(2, counts[counts > 0].max())))
    for row, column in np.argwhere(counts == 0):
        axis.text(column, row, "x", ha="center", va="center", color=VERMILION, fontsize=10, fontweight="bold")
    axis.set_xticks(range(16), [str(n) for n in range(16)], fontsize=8)
    axis.set_yticks(range(16), [str(16 * n) for n in range(16)], fontsize=8)
    axis.set_title(f"Use of the {CODES} codes (x: never used)")
    axis.set_xlabel("code = row + column")
    axis.grid(False)
    figure.colorbar(shown, ax=axis, shrink=0.8, label="times in the encoded steps (logarithmic)")
    changes = np.sort(np.array(report["codebook"]["counts"])[1:])[::-1]
    share = 100 * np.cumsum(changes) / max(1, changes.sum())
    bars.plot(np.arange(1, len(share) + 1), share, color=BLACK)
    bars.set_title("Changes that the n commonest codes cover")
    bars.set_xlabel("n codes of 255")
    bars.set_ylabel("per cent of changed cells")
    bars.set_ylim(0, 102)
    bars.set_xlim(0, 256)
    return figure


@styled
def reliability(report: Report) -> Figure:
    """Reliability diagrams: how often the likeliest code is right, by the probability it was given; counts below."""
    figure = new_figure(6.0)
    axes = figure.subplots(2, 2, sharex=True, height_ratios=(3, 1))
    titles = {"all_cells": "All cells", "cells_in_doubt": 'Cells in doubt: P("nothing changes") < 0.95'}
    for column, (scope, title) in enumerate(titles.items()):
        top, below = axes[0, column], axes[1, column]
        top.plot([0, 100], [0, 100], color=GREY, linestyle="--", linewidth=1, label="perfectly calibrated")
        for number, (name, of) in enumerate(report["calibration"].items()):
            bins = [b for b in of[scope]["bins"] if b["confidence"] is not None]
            points(top, [100 * b["confidence"] for b in bins], [b["right"] for b in bins], **_look(name))
            middles = np.array([100 * (b["from"] + b["to"]) / 2 for b in of[scope]["bins"]])
            heights = [b["right"]["of"] for b in of[scope]["bins"]]
            below.bar(middles + (number - 0.5) * 4, heights, 4, color=COLOURS[name], hatch="//" if number else None)
        errors = [
            f"{LABELS[name]}: ECE "
            + ("none" if (e := of[scope]["expected_calibration_error"]) is None else f"{100 * e:.2f}%")
            for name, of in report["calibration"].items()
        ]
        top.text(0.03, 0.97, "\n".join(errors), transform=top.transAxes, va="top", fontsize=9)
        top.set_title(title)
        top.set_ylim(-3, 103)
        top.set_xlim(0, 101)
        below.set_yscale("symlog", linthresh=1)
        most = max((b["right"]["of"] for of in report["calibration"].values() for b in of[scope]["bins"]), default=1)
        below.set_ylim(0, 4 * max(1, most))
        below.set_xlabel("probability given to the likeliest code, per cent")
    axes[0, 0].set_ylabel("it was right, per cent")
    axes[1, 0].set_ylabel("cells")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@styled
def temperature(report: Report) -> Figure:
    """Against temperature: the chance of the real codes when codes are drawn, and how long dreams stay true."""
    figure = new_figure(4.2)
    axes = figure.subplots(1, 3)
    parts = {"changed_cells": "Drawn codes right, changed cells", "grid": "All 35 drawn codes right"}
    for axis, (key, title) in zip(axes, parts.items(), strict=False):
        for name, rows in report["temperature"].items():
            points(axis, [row["temperature"] for row in rows], [row[key] for row in rows], **_look(name))
        axis.set_title(title)
        axis.set_ylim(-4, 104)
    axes[0].set_ylabel("per cent of cells")
    axes[1].set_ylabel("per cent of steps")
    for number, (name, rows) in enumerate(report["dreams"].items()):
        at = [row["temperature"] + (number - 0.5) * 0.06 for row in rows]
        spans = [row["horizon_seconds"] for row in rows]
        rates = [{"value": span["median"], "low": span["low"], "high": span["high"]} for span in spans]
        points(axes[2], at, rates, 1.0, **_look(name))
    axes[2].set_title("Dream horizon: median, quartiles")
    axes[2].set_ylabel("seconds of game time")
    axes[2].set_ylim(bottom=-0.05)
    for axis in axes:
        axis.set_xlabel("temperature (0: the likeliest)")
        axis.set_xlim(-0.15, 2.15)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@styled
def by_event(report: Report) -> Figure:
    """Success in each group of events: the whole grid, and changed cells; the decoder's own limit beside."""
    groups = report["events"]["groups"]
    classes = [f"{name.replace('_', ' ')}\n({of['steps']})" for name, of in groups.items()]
    figure = new_figure(7.4)
    axes = figure.subplots(2, 1, sharex=True)
    for axis, (key, title) in zip(
        axes,
        {"grid": "Steps with all 35 codes right", "exact_frames": "Frames right in every pixel"}.items(),
        strict=True,
    ):
        series = [
            (_look(name), [of["controllers"][name][key] for of in groups.values()]) for name in report["controllers"]
        ]
        if key == "exact_frames":
            ideal = {"color": GREEN, "marker": "^", "label": "codes of the real pair"}
            series.append((ideal, [of["real_codes"] for of in groups.values()]))
        _by_class(axis, classes, series, 100)
        axis.set_title(title)
        axis.set_ylabel("per cent of steps")
        axis.set_ylim(-4, 104)
    axes[-1].set_xlabel("what happened (steps predicted)")
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@styled
def controllability(report: Report) -> Figure:
    """Genie's delta PSNR for each action, and the controller's own: right key less a random one."""
    figure = new_figure(3.9)
    axes = figure.subplots(1, 2, sharey=True)
    classes = ["all", *action_names()]
    titles = {
        "delta_psnr": "Codes of the real pair less those of a random key",
        "delta_psnr_of_the_key": "The right key less a random key",
    }
    for axis, (key, title) in zip(axes, titles.items(), strict=True):
        series = [
            (_look(name), [of[key][c] for c in classes]) for name, of in report["accuracy"]["controllers"].items()
        ]
        _by_class(axis, classes, series, 1)
        axis.axhline(0, color=GREY, linewidth=1)
        axis.set_title(title)
    axes[0].set_ylabel("delta PSNR, dB")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
