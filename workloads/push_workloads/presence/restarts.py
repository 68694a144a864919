"""Has Redis just come back? Then leases are missing because of it, and not because gateways are gone. Pure."""

from __future__ import annotations

from typing import Final

SETTLE_SECONDS: Final = 30  # two leases: every gateway that lives has registered again by then


class RestartGuard:
    """Told at each look which server answers; says how long to leave everything alone."""

    def __init__(self, settle_seconds: float = SETTLE_SECONDS) -> None:
        self._settle = settle_seconds
        self._run_id = ""
        self._settled_at = 0.0

    def hold(self, run_id: str, uptime: float, now: float) -> float:
        """Seconds still to wait, 0 for none. A new run id with a long uptime is a replica that took over."""
        if run_id != self._run_id:
            since = 0.0 if self._run_id else uptime  # at our own start only the uptime tells
            self._settled_at = now + max(0.0, self._settle - since)
            self._run_id = run_id
        return max(0.0, self._settled_at - now)
