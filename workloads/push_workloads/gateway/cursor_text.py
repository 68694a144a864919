"""All the cursors of a client in one line: the `id` of a Server-Sent Event, which comes back as `Last-Event-ID`. Pure.

`1;EPOCH,EPOCH…;u=0.SEQ;g.ROOM=0.SEQ…`: the version, the epochs, and for each channel's subject the number of its epoch
and the seq; `u` alone is the client's own inbox.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from push_workloads.common.subjects import BadId, channel_name, channel_subject
from push_workloads.gateway.frames import Place

VERSION: Final = "1"
INBOX: Final = "u"
MAX_CHARS: Final = 32_768
_EPOCHS = re.compile(r"[A-Za-z0-9]{1,64}(,[A-Za-z0-9]{1,64})*", re.ASCII)
_PLACE = re.compile(r"(u|[gt]\.[A-Za-z0-9_=-]{1,400})=([0-9]{1,4})\.([0-9]{1,19})", re.ASCII)


def format_cursors(inbox: str, places: Mapping[str, Place]) -> str:
    """`inbox`: the channel that is the client's own; `places` by channel."""
    epochs = list(dict.fromkeys(place.epoch for place in places.values()))
    parts = [VERSION, ",".join(epochs)]
    for channel, place in places.items():
        subject = INBOX if channel == inbox else channel_subject(channel)
        parts.append(f"{subject}={epochs.index(place.epoch)}.{place.seq}")
    return ";".join(parts)


def parse_cursors(inbox: str, text: str) -> dict[str, Place]:
    """Raises ValueError when it is none that `format_cursors` made."""
    version, _, rest = text.partition(";")
    known, *lines = rest.split(";")
    if len(text) > MAX_CHARS or version != VERSION or not _EPOCHS.fullmatch(known):
        raise ValueError("not a Last-Event-ID of this server")
    epochs = known.split(",")
    return dict(_place(inbox, epochs, line) for line in lines)


def _place(inbox: str, epochs: list[str], line: str) -> tuple[str, Place]:
    found = _PLACE.fullmatch(line)
    if found is None or int(found[2]) >= len(epochs):
        raise ValueError("not a Last-Event-ID of this server")
    channel = inbox if found[1] == INBOX else _channel(found[1])
    return channel, Place(epochs[int(found[2])], int(found[3]))


def _channel(subject: str) -> str:
    try:
        channel = channel_name(subject)
        if channel_subject(channel) == subject:
            return channel
    except (BadId, ValueError):
        pass
    raise ValueError("not a Last-Event-ID of this server")
