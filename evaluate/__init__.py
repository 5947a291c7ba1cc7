"""Testing and analysis on games that were never trained on. The metrics' definitions are in `model/metrics.py`.

heldout.py      fresh games with RAM, the moments to dream from, what happened at each step
rollouts.py     one step from real history; dreams, whole and with one half held perfect
possible.py     dreams left alone, and whether what they show is possible
memory.py       what the twin remembers beside what RAM says
summaries.py, evaluate.py, live.py, match.py, bench.py, tables.py, commands.py    reports, and how they are asked for
analysis/       `analyze`: one page of plots
"""
