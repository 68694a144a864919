"""Answers of providers that are a fault of ours: counted, and told when they begin and when they are over, so that a
wrong key does not look like a provider that is busy."""

from __future__ import annotations

import logging
from typing import Final

from push_workloads.push.carrier import Answer, Later, Sent
from push_workloads.push.devices import Platform
from push_workloads.push.measures import PushMetrics

# A fault that has not come for so long is over with the next notification that is taken: some are taken in between
# where a quota is used up, or where one push service of several refuses us, and each would end it.
OVER_MS: Final = 60_000
_log = logging.getLogger(__name__)


class Faults:
    def __init__(self, metrics: PushMetrics) -> None:
        self._metrics = metrics
        self._last: dict[tuple[Platform, str], int] = {}  # when it came

    def saw(self, platform: Platform, answer: Answer, now_ms: int) -> None:
        if isinstance(answer, Later) and answer.ours:
            self._metrics.answered(platform, ours=True)
            self._came(platform, answer.reason, now_ms)
            return
        self._metrics.answered(platform, ours=False)
        if isinstance(answer, Sent) and self._last:
            self._is_taken(platform, now_ms)

    def _came(self, platform: Platform, reason: str, now_ms: int) -> None:
        if (platform, reason) not in self._last:
            _log.warning("sends fail for a fault of ours", extra={"platform": platform, "reason": reason})
        self._last[platform, reason] = now_ms

    def _is_taken(self, platform: Platform, now_ms: int) -> None:
        for (of, reason), last in [*self._last.items()]:
            if of == platform and now_ms - last >= OVER_MS:
                del self._last[of, reason]
                _log.warning("a fault of ours is over", extra={"platform": of, "reason": reason})
