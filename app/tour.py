"""The first run: ten seconds of play that show what one step, a dream and a parting are. Any key ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.clock import Clock
from app.keys import KeyMap
from app.loop import Loop
from app.players import Autopilot
from app.session import Session
from app.view import key_names

if TYPE_CHECKING:
    from app.window import NoWindow

CARDS = (
    (
        3.5,
        "one step",
        "Left, the real game. Right, its twin: a neural network.\nIt is shown every frame and predicts the next.",
    ),
    (3.5, "a dream", "{dream}: now it sees nothing any more.\nIt plays on in its head, under the same keys."),
    (
        3.0,
        "parting",
        "Sooner or later the two games part, and it says so.\n{dream} or {resync} puts it back on reality.",
    ),
)
"""Seconds, head and lines of each card."""


class Tour(Loop):
    """A loop over a session of its own, which the autopilot plays; `run` returns when it is over or skipped."""

    def __init__(self, session: Session, screen: NoWindow, keys: KeyMap, clock: Clock | None = None) -> None:
        total = session.steps(sum(seconds for seconds, _, _ in CARDS))
        clock = clock or Clock(session.steps_per_second)
        super().__init__(session, screen, clock, keys, Autopilot("follow", 1), total)
        self._cards = {}
        begin = 0.0
        for seconds, head, line in CARDS:
            names = {name: key_names(keys, name).split(" or ")[0] for name in ("dream", "resync")}
            self._cards[session.steps(begin) if begin else 0] = head, line.format(**names)
            begin += seconds
        self._pressed = screen.pressed

    def step(self) -> bool:
        """See `Loop.step`; the next card when it is due."""
        if self.screen.pressed != self._pressed:
            return False
        card = self._cards.get(self.session.taken)
        if card is not None:
            self.caption = card
            if card[0] == "a dream":
                self.session.do("dream")
        return super().step()

    def obey(self, command: str) -> None:
        """Every key only ends it."""
