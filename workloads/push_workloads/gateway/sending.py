"""The ack of a send. Pure; what leads up to it is `common/sending.py`."""

from __future__ import annotations

from push_workloads.common.sending import Send
from push_workloads.gateway.frames import encode


def ack_frame(send: Send, channel: str, epoch: str, seq: int) -> bytes:
    frame: dict[str, object] = {"type": "ack"}
    if send.frame.id is not None:
        frame["id"] = send.frame.id
    frame["message_id"] = send.message_id
    if send.frame.dedup_id is not None:
        frame["dedup_id"] = send.frame.dedup_id
    frame.update(channel=channel, epoch=epoch, seq=seq, sent_at=send.sent_at)
    if send.duplicate:
        frame["duplicate"] = True
    return encode(frame)
