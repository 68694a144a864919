"""How hard the clients press: when the gateway stops to read from those who send, and when it takes no more of them.
Pure; the shell (`ingress.py`) measures, and does what comes out.

While it is *pressed* a socket that goes on sending is not read until it has its turn again. The turns of a moment are
as many as the event loop gets done in time: more while it is early, fewer as soon as it is late. So what is too much
waits in the clients' own sockets, where it is nobody's message yet, and who sends now and then is served as if there
were no crowd; unless the crowd is made of those (*strict*): then everybody waits for a turn.
When turns come too late even so, the gateway is *overloaded*: to share what it can do among more sockets helps nobody.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import Final, NamedTuple

OVERLOADED_LAGS: Final = 5.0  # times the lag that presses
OVERLOADED_WAIT: Final = 1.0  # seconds for which a socket waits for its turn
RISE_SAMPLES: Final = (0, 2, 3)  # so many in a row: one late moment is a pause of the machine, not of ours
EASE_SECONDS: Final = 1.0  # at half of what raised it
EASY_WAIT: Final = 0.2  # seconds; every turn comes at once
FIRST_TURNS: Final = 32.0
LEAST_TURNS: Final = 8.0  # so few are not what makes it late
CROWD: Final = 100  # spared ones in a sample: these may be
IDLE: Final = 0.05  # of either bound
MORE: Final = 1.1
MANY_MORE: Final = 1.5
FEWER: Final = 0.8
MANY_FEWER: Final = 0.5


class Level(IntEnum):
    CALM = 0
    PRESSED = 1
    OVERLOADED = 2


class Sample(NamedTuple):
    """What was measured. `lag`: seconds by which the loop came late; `in_flight`: publishes without an answer; `held`:
    sockets that wait for their turn; `waited`: seconds, by the first of them; `spared`: sockets that sent without
    waiting for one since the last sample."""

    now: float
    lag: float
    in_flight: int = 0
    held: int = 0
    waited: float = 0.0
    spared: int = 0


class Worst:
    """The largest of the values of the last `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: deque[tuple[float, float]] = deque()  # when and what; each is less than the one before

    def add(self, now: float, value: float) -> None:
        while self._seen and self._seen[-1][1] <= value:
            self._seen.pop()
        self._seen.append((now, value))
        self.at(now)

    def at(self, now: float) -> float:
        """0 when there was none."""
        while self._seen and self._seen[0][0] < now - self._seconds:
            self._seen.popleft()
        return self._seen[0][1] if self._seen else 0.0


class Pressure:
    """`max_lag` (seconds) and `max_in_flight`: over one of them is pressed."""

    def __init__(self, max_lag: float, max_in_flight: int) -> None:
        self._max_lag = max_lag
        self._max_in_flight = max_in_flight
        self._called_for = [0, 0, 0]  # samples in a row that call for a level, or a higher one
        self._easy_since: float | None = None
        self._turns = FIRST_TURNS
        self._room = 1.0  # the share of the turns for which the log has room
        self.level = Level.CALM
        self.strict = False

    def sample(self, sample: Sample) -> int:
        """How many sockets have their turn now; all of them when it is calm."""
        self._rise(sample)
        self._ease(sample)
        if self.level is Level.CALM:
            self._turns, self._room, self.strict = FIRST_TURNS, 1.0, False
            return sample.held
        self._pace(sample)
        return min(sample.held, max(1, int(self._turns * self._room)))

    def _rise(self, sample: Sample) -> None:
        called = self._called(sample)
        for level in (Level.PRESSED, Level.OVERLOADED):
            self._called_for[level] = self._called_for[level] + 1 if called >= level else 0
            if self.level < level and self._called_for[level] >= RISE_SAMPLES[level]:
                self.level, self._easy_since = level, None
        if self.level is Level.CALM and sample.in_flight > self._max_in_flight:  # no accident of one moment
            self.level, self._easy_since = Level.PRESSED, None

    def _called(self, sample: Sample) -> Level:
        if sample.lag > OVERLOADED_LAGS * self._max_lag or sample.waited > OVERLOADED_WAIT:
            return Level.OVERLOADED
        late = sample.lag > self._max_lag or sample.in_flight > self._max_in_flight
        return Level.PRESSED if late else Level.CALM

    def _ease(self, sample: Sample) -> None:
        """One level at a time, and only after a while: what was let go may come back at once."""
        if self.level is Level.CALM:
            return
        if not self._easy(sample):
            self._easy_since = None
        elif self._easy_since is None:
            self._easy_since = sample.now
        elif sample.now - self._easy_since >= EASE_SECONDS:
            self.level, self._easy_since = Level(self.level - 1), None

    def _easy(self, sample: Sample) -> bool:
        if self.level is Level.OVERLOADED:
            return sample.lag <= OVERLOADED_LAGS * self._max_lag / 2 and sample.waited <= OVERLOADED_WAIT / 2
        few = sample.in_flight <= self._max_in_flight / 2
        return few and sample.lag <= self._max_lag / 2 and sample.waited <= EASY_WAIT

    def _pace(self, sample: Sample) -> None:
        """Somebody always has a turn. More only when all had theirs and were too few."""
        in_flight, late = sample.in_flight / self._max_in_flight, sample.lag > self._max_lag / 2
        had_room, self._room = self._room, min(1.0, max(0.0, 2 - 2 * in_flight))
        if late:
            fewer = self._turns * (MANY_FEWER if sample.lag > self._max_lag else FEWER)
            self._turns = max(LEAST_TURNS, fewer)
        elif in_flight > 1 and had_room:  # once: then it drains, however long that takes
            self._turns = max(LEAST_TURNS, self._turns / in_flight)
        elif sample.lag <= self._max_lag / 4 and had_room == self._room == 1 and sample.held > self._turns:
            idle = sample.lag <= self._max_lag * IDLE and in_flight <= IDLE
            self._turns = self._turns * (MANY_MORE if idle else MORE) + 1
        if late and self._turns <= LEAST_TURNS and sample.spared >= CROWD:
            self.strict = True
        elif self._turns >= FIRST_TURNS:
            self.strict = False
