"""The page, and the plots that show frames: maps over one, the worst steps, futures, codes, in the game's own colours.

OUT/report.html opens by itself, without a network. OUT/report.json has every number of it, OUT/plots/ the plots, and
OUT/codes/ what each code does: before, after, difference."""

import base64
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from PIL import Image

from console import Show, quiet
from evaluate import tables
from evaluate.analysis import plots
from evaluate.analysis.analysis import Pictures
from evaluate.analysis.plots import APPEARS, LABELS, MAP, OTHER_COLOUR, VANISHES, new_axes
from evaluate.analysis.statistics import ACTION_NAMES, representative
from evaluate.heldout import Event, Report, Zone, label_of
from evaluate.summaries import plain
from model.breakout import CELL_COLUMNS, CELL_ROWS, COLUMNS, GRID_COLUMNS, GRID_ROWS, PALETTE, ROWS, Frame
from model.files import write_atomic, write_json


def difference(before: Frame, after: Frame) -> Frame:
    """From one picture of classes (R, C) to another: (R, C, 3) RGB. What stays is a shadow of what is there."""
    picture = np.repeat((PALETTE[after].mean(-1, keepdims=True) / 4 + 24).astype(np.uint8), 3, -1)
    differs = before != after
    kinds = {OTHER_COLOUR: differs, APPEARS: differs & (before == 0), VANISHES: differs & (after == 0)}
    for colour, where in kinds.items():
        picture[where] = tuple(bytes.fromhex(colour[1:]))
    return picture


def before_after_difference(before: Frame, after: Frame) -> bytes:
    """A PNG: before, after and the difference side by side, enlarged; few colours make it small."""
    gap, data = np.full((len(before), 2, 3), 255, np.uint8), io.BytesIO()
    row = np.concatenate([PALETTE[before], gap, PALETTE[after], gap, difference(before, after)], 1)
    picture = Image.fromarray(row.repeat(3, 0).repeat(3, 1))
    picture.quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(data, "PNG")
    return data.getvalue()


def _show(axes: Axes, picture: Frame, title: str = "") -> None:
    """A frame of classes or RGB without axes, unsmoothed."""
    if picture.ndim == 2:  # the game's black a little lighter, so that a frame's edges show
        picture = np.where((picture == 0)[..., None], np.array((15, 16, 20), np.uint8), PALETTE[picture])
    axes.imshow(picture, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=9, fontweight="normal", loc="center")


def grid_map(axes: Axes, values: Any, frame: Frame, scale: Normalize, text: str = "{:.0f}") -> Any:
    """A 5 x 7 map of `values` in flat order over a frame, None shown as "-". Returns what a colour bar is made of."""
    everywhere = (0, COLUMNS, ROWS, 0)
    axes.imshow(PALETTE[frame].mean(-1), cmap="gray", vmin=0, vmax=255, extent=everywhere)
    # Flat order is column by column; a picture has the rows first.
    cells = np.array(values, float).reshape(GRID_COLUMNS, GRID_ROWS).T
    shown = axes.imshow(np.ma.masked_invalid(cells), cmap=MAP, norm=scale, alpha=0.8, extent=everywhere)
    for (row, column), value in np.ndenumerate(cells):
        colour, said = "black" if scale(value) > 0.55 else "white", "-" if np.isnan(value) else text.format(value)
        at = (column + 0.5) * CELL_COLUMNS, (row + 0.5) * CELL_ROWS
        axes.text(*at, said, ha="center", va="center", fontsize=8, color=colour)
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
                values = 100 * np.array([rate.value for rate in of[key]], float)
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
        for axis, (action, distances) in zip(row, of.items(), strict=True):
            shown = grid_map(axis, distances["by_position"], pictures.frame, scale, "{:.2f}")
            steps = distances["steps"]
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


PLOTS: dict[str, Callable[[Report, Pictures], Figure]] = {
    plot.__name__: plot
    for plot in (
        plots.distances_pooled, plots.histograms, plots.codebook_use, plots.reliability, plots.temperature,
        plots.by_event, plots.accuracy_by_action, plots.controllability, accuracy_by_position, distances_by_position,
        futures,
    )
}  # fmt: skip
PLOTS |= {f"worst_{which}": partial(worst, which=which) for which in ("of_each_event", "of_all")}


def write_report(report: Report, pictures: Pictures, out: Path, show: Show = quiet) -> Path:
    """Write all files into `out`, the page last. Returns its path. Codes have pictures `code-117` where they show best,
    and `code-117-cell-12` where the page shows them in that cell and there is an example."""
    drawn: dict[str, bytes] = {}
    for name, plot in PLOTS.items():
        show(len(drawn) / len(PLOTS), f"drawing {name.replace('_', ' ')}")
        drawn[name] = plots.to_png(plot, report, pictures)
    chosen = {f"code-{code:03}": representative(of) for code, of in pictures.examples.items()}
    for cells in report["top_codes"].values():
        for cell, code in ((cell, entry["code"]) for cell, entries in enumerate(cells) for entry in entries):
            if here := [example for example in pictures.examples.get(code, []) if example.cell == cell]:
                chosen[f"code-{code:03}-cell-{cell:02}"] = representative(here)
    codes = {name: before_after_difference(example.before, example.after) for name, example in chosen.items()}

    def picture_of(code: int, cell: int | None = None) -> bytes | None:
        """The code at this cell, or where it shows best; None for a code that was never seen."""
        return codes.get(f"code-{code:03}-cell-{cell:02}" if cell is not None else "", codes.get(f"code-{code:03}"))

    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"share": tables.share, "number": tables.number, "spans": tables.spans}
    environment.filters |= {"interval": tables.with_interval, "base64": lambda png: base64.b64encode(png).decode()}
    page = environment.get_template("page.html").render(
        r=report,
        plots=drawn,
        picture_of=picture_of,
        labels=LABELS,
        actions=ACTION_NAMES,
        events={event.name.lower(): label_of(event) for event in Event},
        zones={zone.name.lower(): label_of(zone) for zone in Zone},
        by_use=sorted(report["codes"], key=lambda code: -report["codes"][code]["seen"])[1:],
    )
    files = {f"plots/{name}.png": png for name, png in drawn.items()}
    files |= {f"codes/{name}.png": png for name, png in codes.items()} | {"report.html": page.encode()}
    write_json(out / "report.json", plain(report))
    for name, content in files.items():
        write_atomic(out / name, lambda file, content=content: file.write(content))  # type: ignore[misc]
    return out / "report.html"
