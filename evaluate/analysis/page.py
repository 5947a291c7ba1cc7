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

from evaluate.analysis import frames, plots
from evaluate.analysis.analysis import Pictures
from evaluate.analysis.gallery import Example, by_code, representative
from evaluate.analysis.statistics import ACTION_NAMES
from evaluate.heldout import Event, Zone
from evaluate.summaries import plain
from evaluate.tables import number, share, spans, with_interval
from model.breakout import GRID_COLUMNS, GRID_ROWS
from model.files import write_atomic, write_json

Show = Callable[[float, str], None]
HTML, JSON = "report.html", "report.json"
_HERE = Path(__file__).resolve().parent


def draw_plots(report: dict[str, Any], pictures: Pictures, show: Show) -> dict[str, bytes]:
    """Every plot of the page as a PNG, by name."""
    numbers = (
        plots.accuracy_by_action, plots.distances_pooled, plots.histograms, plots.codebook_use, plots.reliability,
        plots.temperature, plots.by_event, plots.controllability,
    )  # fmt: skip
    jobs: dict[str, Callable[[], Figure]] = {plot.__name__: partial(plot, report) for plot in numbers}
    for over_frame in (frames.accuracy_by_position, frames.distances_by_position):
        jobs[over_frame.__name__] = partial(over_frame, report, pictures.frame)
    for which in ("of_each_event", "of_all"):
        jobs[f"worst_{which}"] = partial(frames.worst_steps, report, pictures, which)
    jobs["futures"] = partial(frames.futures, report, pictures)
    drawn = {}
    for done, (name, plot) in enumerate(jobs.items()):
        show(done / len(jobs), f"drawing {name.replace('_', ' ')}")
        drawn[name] = plots.to_png(plot)
    return drawn


def draw_codes(report: dict[str, Any], examples: list[Example]) -> dict[str, bytes]:
    """What each code does, as PNGs: `code-117` where it shows best, and `code-117-cell-12` where the page shows it in
    that cell and there is an example."""
    of_code = by_code(examples)
    chosen = {f"code-{code:03}": representative(found) for code, found in of_code.items()}
    for cells in report["top_codes"].values():
        for cell, entries in enumerate(cells):
            for code in (entry["code"] for entry in entries):
                if here := [example for example in of_code.get(code, []) if example.cell == cell]:
                    chosen[f"code-{code:03}-cell-{cell:02}"] = representative(here)
    return {name: frames.before_after_difference(example.before, example.after) for name, example in chosen.items()}


def _data(png: bytes) -> Markup:
    return Markup("data:image/png;base64," + base64.b64encode(png).decode())


def render(report: dict[str, Any], drawn: dict[str, bytes], codes: dict[str, bytes]) -> str:
    """The page's HTML."""
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"share": share, "number": number, "interval": with_interval, "spans": spans}
    environment.filters["data"] = _data

    def picture_of(code: int, cell: int | None = None) -> bytes | None:
        """The code at this cell, or where it shows best; None for a code that was never seen."""
        return codes.get(f"code-{code:03}-cell-{cell:02}" if cell is not None else "", codes.get(f"code-{code:03}"))

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


def write_report(report: dict[str, Any], pictures: Pictures, out: Path, show: Show = lambda share, text: None) -> Path:
    """Write all files into `out`, the page last. Returns its path."""
    drawn = draw_plots(report, pictures, show)
    codes = draw_codes(report, pictures.examples)
    write_json(out / JSON, plain(report))
    for folder, pngs in (("plots", drawn), ("codes", codes)):
        for name, png in pngs.items():
            write_atomic(out / folder / f"{name}.png", lambda file, png=png: file.write(png))  # type: ignore[misc]
    page = render(report, drawn, codes).encode()
    write_atomic(out / HTML, lambda file: file.write(page))
    return out / HTML
