"""The page: one HTML file with every plot inside it, the PNGs beside it, and the JSON of every number.

OUT/report.html     opens by itself, without a network
OUT/report.json     what `analysis.analyse` found; every number of the page is in it
OUT/plots/*.png     the plots
OUT/codes/*.png     what each code does: before, after, difference
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from console import Show
from evaluate import quiet, tables
from evaluate.analysis import frames, plots
from evaluate.analysis.analysis import Pictures
from evaluate.analysis.gallery import Examples, representative
from evaluate.analysis.statistics import ACTION_NAMES
from evaluate.heldout import Event, Zone
from evaluate.summaries import plain
from model.breakout import GRID_COLUMNS, GRID_ROWS
from model.files import write_atomic, write_json

PLOTS: dict[str, Callable[[dict[str, Any], Pictures], Figure]] = {
    plot.__name__: plot
    for plot in (
        plots.accuracy_by_action, plots.distances_pooled, plots.histograms, plots.codebook_use, plots.reliability,
        plots.temperature, plots.by_event, plots.controllability, frames.accuracy_by_position,
        frames.distances_by_position, frames.futures,
    )
}  # fmt: skip
PLOTS |= {f"worst_{which}": partial(frames.worst, which=which) for which in ("of_each_event", "of_all")}


def draw_codes(report: dict[str, Any], examples: Examples) -> dict[str, bytes]:
    """What each code does, as PNGs: `code-117` where it shows best, and `code-117-cell-12` where the page shows it in
    that cell and there is an example."""
    chosen = {f"code-{code:03}": representative(of) for code, of in examples.items()}
    for cells in report["top_codes"].values():
        for cell, code in ((cell, entry["code"]) for cell, entries in enumerate(cells) for entry in entries):
            if here := [example for example in examples.get(code, []) if example.cell == cell]:
                chosen[f"code-{code:03}-cell-{cell:02}"] = representative(here)
    return {name: frames.before_after_difference(example.before, example.after) for name, example in chosen.items()}


def render(report: dict[str, Any], drawn: dict[str, bytes], codes: dict[str, bytes]) -> str:
    """The page's HTML."""

    def data(png: bytes) -> Markup:
        return Markup("data:image/png;base64," + base64.b64encode(png).decode())

    def picture_of(code: int, cell: int | None = None) -> bytes | None:
        """The code at this cell, or where it shows best; None for a code that was never seen."""
        return codes.get(f"code-{code:03}-cell-{cell:02}" if cell is not None else "", codes.get(f"code-{code:03}"))

    loader = FileSystemLoader(Path(__file__).resolve().parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"share": tables.share, "number": tables.number, "spans": tables.spans, "data": data}
    environment.filters["interval"] = tables.with_interval
    return environment.get_template("page.html").render(
        r=report,
        plots=drawn,
        picture_of=picture_of,
        labels=plots.LABELS,
        short=plots.SHORT,
        actions=ACTION_NAMES,
        events={event.name.lower(): event.label for event in Event},
        zones={zone.name.lower(): zone.label for zone in Zone},
        grid_rows=GRID_ROWS,
        grid_columns=GRID_COLUMNS,
        by_use=sorted(report["codes"], key=lambda code: -report["codes"][code]["seen"])[1:],
    )


def write_report(report: dict[str, Any], pictures: Pictures, out: Path, show: Show = quiet) -> Path:
    """Write all files into `out`, the page last. Returns its path."""
    drawn: dict[str, bytes] = {}
    for name, plot in PLOTS.items():
        show(len(drawn) / len(PLOTS), f"drawing {name.replace('_', ' ')}")
        drawn[name] = plots.to_png(plot, report, pictures)
    codes = draw_codes(report, pictures.examples)
    files = {f"plots/{name}.png": png for name, png in drawn.items()}
    files |= {f"codes/{name}.png": png for name, png in codes.items()}
    files["report.html"] = render(report, drawn, codes).encode()
    write_json(out / "report.json", plain(report))
    for name, content in files.items():
        write_atomic(out / name, lambda file, content=content: file.write(content))  # type: ignore[misc]
    return out / "report.html"
