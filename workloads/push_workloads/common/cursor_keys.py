"""How far each device has received, in Redis: the contract between the gateways, which write it, and the push service,
which need not tell a device what it holds. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from push_workloads.common.subjects import token

_KEPT: Final = re.compile(r"(.{0,64}) (\d{1,19})", re.ASCII)


class Reached(NamedTuple):
    """Everything on the channel up to and including `seq`, of the log with this epoch."""

    epoch: str
    seq: int


def cursor_key(user_id: str, device_id: str) -> str:
    """The hash of one device: channel → "epoch seq"; and its newest connection and gateway (`gateway/devices.py`)."""
    return f"cursor:{token(user_id)}:{device_id}"


def parse_cursor(kept: bytes) -> Reached | None:
    """None when it is none."""
    found = _KEPT.fullmatch(kept.decode("utf-8", "replace"))
    return Reached(found[1], int(found[2])) if found else None
