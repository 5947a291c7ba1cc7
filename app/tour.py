"""The first run: ten seconds of play that show what one step, a dream and a parting are. Any key ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.clock import Clock
from app.keys import KeyMap
from app.loop import Loop
from app.players import Autopilot
from app.session import Session
from app.view import first_key

if TYPE_CHECKING:
    from app.window import NoWindow

_SECONDS = 10.0
CARDS = {
    0.0: (
        "one step",
        "Left, the real game. Right, its twin: a neural network.\nIt is shown every frame and predicts the next.",
    ),
    3.5: ("a dream", "{dream}: now it sees nothing any more.\nIt plays on in its head, under the same keys."),
    7.0: (
        "parting",
        "Sooner or later the two games part, and it says so.\n{dream} or {resync} puts it back on reality.",
    ),
}
"""Seconds at which a card comes -> its head and lines."""


class Tour(Loop):
    """A loop over a session of its own, which the autopilot plays; `run` returns when it is over or skipped."""

    def __init__(self, session: Session, screen: NoWindow, keys: KeyMap, paced: bool = True) -> None:
        clock = Clock(session.steps_per_second, paced=paced)
        super().__init__(session, screen, clock, keys, Autopilot("follow", 1), session.steps(_SECONDS))
        self._cards = {round(begin * session.steps_per_second): card for begin, card in CARDS.items()}
        self._pressed = screen.pressed

    def step(self) -> bool:
        """See `Loop.step`; the next card when it is due."""
        if self.screen.pressed != self._pressed:
            return False
        if self.session.taken in self._cards:
            head, lines = self._cards[self.session.taken]
            names = {name: first_key(self.keys, name) for name in ("dream", "resync")}
            self.caption = head, lines.format(**names)
            if head == "a dream":
                self.session.do("dream")
        return super().step()

    def obey(self, command: str) -> None:
        """Every key only ends it."""
