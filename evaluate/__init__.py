"""Testing and analysis on games that were never trained on. The metrics' definitions are in `model/metrics.py`.

heldout.py      fresh games with RAM, the moments to dream from; what happened at each step, and what is hidden, by RAM
rollouts.py     the one loop: from real history, dreaming, with one half held perfect, left alone
possible.py     whether what a dream shows is possible
summaries.py    from what was predicted to the numbers of a report
reports.py      `evaluate`, `evaluate --live`, `match`; bench.py, player.py: the other reports; tables.py prints them
twin_env.py     dream and reality side by side as an environment
analysis/       `analyze`: analysis.py makes the report with statistics.py and gallery.py (what each code does), page.py
                makes the page from page.html, with the figures of plots.py and frames.py
"""

from enum import StrEnum

from console import Show


class Without(StrEnum):
    """What is taken from the twin, to see what it is worth."""

    nothing = "nothing"
    memory = "memory"  # nothing is remembered: before each step every variable is not known
    actions = "actions"  # frames are given without the actions that led to them: NOOP stands for all
    expectation = "expectation"  # the tracker finds ball and paddle by pixels alone, also where a frame hides them
    # One variable of the memory, `model.state.VARIABLES`, is never known.
    speed = "speed"
    half_row = "half_row"
    half_column = "half_column"
    hits = "hits"
    fast = "fast"
    contact = "contact"
    steep = "steep"
    clock = "clock"
    points_due = "points_due"
    life_due = "life_due"
    knob = "knob"


def quiet(share: float, text: str) -> None:
    """Progress that nobody is told of."""


def within(show: Show, low: float, high: float, before: str = "") -> Show:
    """Tells `show` of a part of the work, from share `low` to `high` of the whole; `before` stands before its texts."""
    return lambda share, text: show(low + (high - low) * share, before + text)
