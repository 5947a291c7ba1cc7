"""Watches over a long training run: what goes wrong slowly is said early, once, in one line and in the log.

- The codebook collapses: almost all cells get the same few codes, and training goes on happily without the rest.
- The loader starves: more than half of a step's time goes into making its batch, and the device waits.

A loss that is not a number stops training at once (`train.loop`), before it touches the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

LEAST_PERPLEXITY = 16.0
"""Codes in use, as the exponential of their entropy. A healthy codebook has 80 to 100 in a batch of 160 cells, and 165
over thousands; the collapsed one of a first trial had 4."""
SAMPLES_A_CODE = 5
"""A batch smaller than this many samples for each of `LEAST_PERPLEXITY` codes cannot be expected to show them all."""
MOST_DATA = 0.5
LEAST_SECONDS = 0.001
"""Data that takes less time than this, a step, is nothing to wait for."""


class Alarm(NamedTuple):
    """`kind` is one word for the log, `text` the line."""

    kind: str
    text: str


class Watch:
    """Hears every step and every validation of a run with batches of `batch` samples; gives the warnings that are new.

    A warning is given once, and again only after all was well in between. `data_seconds` is the time that went into
    making data since the last `window`.
    """

    def __init__(self, batch: int) -> None:
        self._least = min(LEAST_PERPLEXITY, batch / SAMPLES_A_CODE)
        self._standing: set[str] = set()
        self._quantised: bool | None = None  # None: the steps do not say
        self._clear()

    def _clear(self) -> None:
        self._steps, self.data_seconds, self._whole = 0, 0.0, 0.0
        self._perplexities: list[float] = []

    def step(self, log: Mapping[str, Any], data: float, whole: float) -> None:
        """A step took `whole` seconds, `data` of them to make its batch. `log` are its figures; `perplexity`, if it is
        among them, is that of the batch's codes, 0 while nothing is quantised yet."""
        self._steps += 1
        self.data_seconds, self._whole = self.data_seconds + data, self._whole + whole
        if "perplexity" in log:
            self._quantised = log["perplexity"] > 0
            if self._quantised:
                self._perplexities.append(log["perplexity"])

    def window(self) -> list[Alarm]:
        """What is new since the last call; begins a new stretch of steps."""
        share, steps = self.data_seconds / max(self._whole, 1e-9), self._steps
        found = self._judge(
            "loader",
            share > MOST_DATA and self.data_seconds > LEAST_SECONDS * steps,
            f"training waits for data: {share:.0%} of the time of the last {steps} steps went into making batches; "
            "do other programs take the processor?",
        )
        if self._perplexities:
            found += self._codebook(sum(self._perplexities) / len(self._perplexities), f"the last {steps} steps")
        self._clear()
        return found

    def validated(self, figures: dict[str, Any]) -> list[Alarm]:
        """The same for a validation's figures; heeded unless the steps say that nothing is quantised yet."""
        perplexity = figures.get("perplexity")
        if self._quantised is False or not isinstance(perplexity, (int, float)):
            return []
        return self._codebook(float(perplexity), "the validation")

    def _codebook(self, perplexity: float, where: str) -> list[Alarm]:
        return self._judge(
            "codebook",
            perplexity < self._least,
            f"the codebook collapses: {perplexity:.1f} codes in use (perplexity) in {where}, fewer than "
            f"{self._least:g}; train anew with a lower --rate",
        )

    def _judge(self, kind: str, bad: bool, text: str) -> list[Alarm]:
        if not bad:
            self._standing.discard(kind)
            return []
        if kind in self._standing:
            return []
        self._standing.add(kind)
        return [Alarm(kind, text)]
