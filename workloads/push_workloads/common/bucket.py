"""The token bucket by which a user's sends are limited, through whichever door. Pure."""

from __future__ import annotations

from typing import Final

BYTES_PER_TOKEN: Final = 4096  # a message costs one token, and one more for each 4 KiB of it


def drawn(tokens: float, elapsed: float, wanted: int, *, rate: float, burst: int) -> tuple[float, int]:
    """What is left of a bucket after `wanted` tokens were asked of it, and 0; when it has not that many, all that it
    has, and in how many milliseconds a quarter of the burst, or as many as were wanted, will be there.

    `elapsed` seconds ago it had `tokens`; `rate` tokens a second come in, up to `burst`. More than `burst` costs all.
    """
    tokens = min(burst, tokens + elapsed * rate)
    if tokens < min(wanted, burst):
        return tokens, 1 + int((max(wanted, burst / 4) - tokens) * 1000 / rate)
    return max(0.0, tokens - wanted), 0
