"""When the next step is due, and how fast the game really runs."""

import time
from collections import deque
from collections.abc import Callable
from statistics import median

SLOWEST, FASTEST = 0.25, 4.0
_MEASURED_SECONDS, _PATIENCE_SECONDS = 2.0, 3.0
_SLOW_BELOW, _WELL_ABOVE = 50 / 60, 56 / 60


class Clock:
    """When the next step is due, at `rate` steps a second times `speed` (0.25..4), and how fast the game really runs.

    Times are seconds of `now`. A machine that is too slow makes the game slower, never later: a step that was missed is
    dropped from the plan, so the picture always answers the newest key. Not `paced`, every step is due at once."""

    def __init__(
        self, rate: float, speed: float = 1.0, now: Callable[[], float] = time.perf_counter, paced: bool = True
    ) -> None:
        self._rate, self._now, self._paced = rate, now, paced
        self._ends, self._costs = deque[float](), deque[float](maxlen=60)
        self.slow = False  # whether the machine has missed the pace clearly, below 50 steps of 60, for three seconds
        self.set_speed(speed)
        self.start()

    def set_speed(self, speed: float) -> None:
        """Go on at so many times true pace."""
        self.speed, self.target = speed, self._rate * speed
        self._ends.clear()

    def start(self) -> None:
        """Begin, or go on after a pause: the next step is due now, and the pause is not measured."""
        self._due = self._began = self._now()
        self._ends.clear()
        self._turned: float | None = None

    def wait_time(self) -> float:
        """Seconds until the next step is due; 0 if it is due."""
        return max(0.0, self._due - self._now()) if self._paced else 0.0

    def begin(self) -> None:
        """A step begins now."""
        self._began = self._now()
        if self._began - self._due > 1 / self.target:  # more than a whole step late: go on from here
            self._due = self._began
        self._due += 1 / self.target

    def end(self) -> None:
        """The step that began is done and shown."""
        now = self._now()
        self._costs.append(now - self._began)
        self._ends.append(now)
        while now - self._ends[0] > _MEASURED_SECONDS:
            self._ends.popleft()
        # `slow` changes only when the pace has been otherwise for some seconds: no notice flickers.
        share = self.measured / self.target
        if not self._paced or now - self._ends[0] <= _MEASURED_SECONDS / 2:
            return
        if (share <= _WELL_ABOVE) if self.slow else (share >= _SLOW_BELOW):
            self._turned = None
        elif self._turned is None:
            self._turned = now
        elif now - self._turned >= _PATIENCE_SECONDS:
            self.slow, self._turned = not self.slow, None

    @property
    def measured(self) -> float:
        """Steps a second over the last two seconds; 0 before there are two steps."""
        return 0.0 if len(self._ends) < 2 else (len(self._ends) - 1) / (self._ends[-1] - self._ends[0])

    @property
    def cost(self) -> float:
        """Median seconds that a step takes, drawing included; 0 before the first."""
        return median(self._costs) if self._costs else 0.0
