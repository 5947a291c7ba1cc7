"""Testing and analysis on games that were never trained on. The metrics' definitions are in `model/metrics.py`.

heldout.py      fresh games, the moments to dream from, and by RAM what happened at each step and what is hidden
rollouts.py     the one loop: from real history, dreaming, with one half held perfect, left alone
possible.py     whether what a dream shows is possible
summaries.py    from what was predicted to the numbers of reports.py and bench.py, which tables.py prints
twin_env.py     dream and reality side by side as an environment
analysis/       `analyze`: analysis.py, statistics.py make the report, page.py and plots.py the page with page.html"""

from enum import StrEnum

Without = StrEnum(
    "Without",
    ["nothing", "memory", "actions", "expectation", "speed", "half_row", "half_column", "hits", "fast", "contact",
     "steep", "clock", "points_due", "life_due", "knob"],
)  # fmt: skip
"""What is taken from the twin, to see what it is worth: `memory`, so that before each step no variable is known; the
`actions` that led to frames, NOOP standing for all; `expectation`, so that the tracker finds ball and paddle by pixels
alone, also where a frame hides them; or one of `model.state.VARIABLES`, which is never known."""
