"""The page: one HTML file with every plot inside it, the PNGs beside it, and the JSON of every number.

OUT/report.html     opens by itself, without a network
OUT/report.json     what `analysis.analyse` found; every number of the page is in it
OUT/plots/*.png     the plots
OUT/codes/*.png     what each code does: before, after, difference
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evaluate.analysis import frames, plots
from evaluate.analysis.analysis import Pictures
from evaluate.analysis.events import Event, Place
from evaluate.analysis.gallery import Example, representative
from evaluate.analysis.pictures import before_after_difference
from evaluate.analysis.statistics import action_names
from evaluate.analysis.style import LABELS, SHORT
from evaluate.report import number, share, with_interval
from model.breakout import GRID_COLUMNS, GRID_ROWS
from model.files import write_atomic, write_json

Show = Callable[[float, str], None]
HTML, JSON = "report.html", "report.json"
_HERE = Path(__file__).resolve().parent


def draw_plots(report: dict[str, Any], pictures: Pictures, show: Show) -> dict[str, bytes]:
    """Every plot of the page as a PNG, by name."""
    jobs: dict[str, Callable[[], bytes]] = {
        "accuracy_by_action": lambda: plots.accuracy_by_action(report),
        "accuracy_by_position": lambda: plots.accuracy_by_position(report, pictures.frame),
        "distances_pooled": lambda: plots.distances_pooled(report),
        "distances_by_position": lambda: plots.distances_by_position(report, pictures.frame),
        "histograms": lambda: plots.histograms(report),
        "codebook_use": lambda: plots.codebook_use(report),
        "reliability": lambda: plots.reliability(report),
        "temperature": lambda: plots.temperature(report),
        "by_event": lambda: plots.by_event(report),
        "worst_of_each_event": lambda: frames.worst_steps(report, pictures, "of_each_event"),
        "worst_of_all": lambda: frames.worst_steps(report, pictures, "of_all"),
        "controllability": lambda: plots.controllability(report),
        "futures": lambda: frames.futures(report, pictures.futures),
    }
    drawn = {}
    for done, (name, plot) in enumerate(jobs.items()):
        show(done / len(jobs), f"drawing {name.replace('_', ' ')}")
        drawn[name] = plot()
    return drawn


def draw_codes(report: dict[str, Any], examples: list[Example]) -> dict[str, bytes]:
    """What each code does, as PNGs: `code-117` where it shows best, and `code-117-cell-12` where the page shows it in
    that cell and there is an example."""
    by_code: dict[int, list[Example]] = {}
    for example in examples:
        by_code.setdefault(example.code, []).append(example)
    chosen = {f"code-{code:03}": representative(found) for code, found in sorted(by_code.items())}
    for cells in report["top_codes"].values():
        for cell, entries in enumerate(cells):
            for code in (entry["code"] for entry in entries):
                if here := [example for example in by_code.get(code, []) if example.cell == cell]:
                    chosen[f"code-{code:03}-cell-{cell:02}"] = representative(here)
    return {name: before_after_difference(example.before, example.after) for name, example in chosen.items()}


def _data(png: bytes) -> Markup:
    return Markup("data:image/png;base64," + base64.b64encode(png).decode())


def render(report: dict[str, Any], drawn: dict[str, bytes], codes: dict[str, bytes]) -> str:
    """The page's HTML."""
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"share": share, "number": number, "interval": with_interval, "data": _data}

    def picture_of(code: int, cell: int | None = None) -> bytes | None:
        """The code at this cell, or where it shows best; None for a code that was never seen."""
        return codes.get(f"code-{code:03}-cell-{cell:02}" if cell is not None else "", codes.get(f"code-{code:03}"))

    return environment.get_template("page.html").render(
        r=report,
        plots=drawn,
        picture_of=picture_of,
        labels=LABELS,
        short=SHORT,
        actions=action_names(),
        events={event.name.lower(): event.label for event in Event},
        places={place.name.lower(): place.label for place in Place},
        grid_rows=GRID_ROWS,
        grid_columns=GRID_COLUMNS,
        by_use=sorted(report["codes"], key=lambda code: -report["codes"][code]["seen"])[1:],
    )


def write_report(report: dict[str, Any], pictures: Pictures, out: Path, show: Show = lambda share, text: None) -> Path:
    """Write all files into `out`, the page last. Returns its path."""
    drawn = draw_plots(report, pictures, show)
    codes = draw_codes(report, pictures.examples)
    write_json(out / JSON, report)
    for folder, pngs in (("plots", drawn), ("codes", codes)):
        for name, png in pngs.items():
            write_atomic(out / folder / f"{name}.png", lambda file, png=png: file.write(png))  # type: ignore[misc]
    page = render(report, drawn, codes).encode()
    write_atomic(out / HTML, lambda file: file.write(page))
    return out / HTML
