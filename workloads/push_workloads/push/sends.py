"""A send: one notification for one device, on the queue of that device's provider. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from push_workloads.common.subjects import token
from push_workloads.push.devices import Platform
from push_workloads.push.notification import Notification

ALL: Final = "push.send.{platform}.>"
CONSUMER: Final = "push-{platform}"


class Send(msgspec.Struct, frozen=True, omit_defaults=True):
    """`platform` chooses the queue. No address: the device is looked up when it is sent, since it may have a new one by
    then, or be gone. `user_id` and `device_id` with the notification's `message_id` name it: one claim, one send.
    `attempt`: how often it was tried before; `kept_back`: how often it came up and the provider was not even asked.
    `rechecked`: whether what was decided is looked at again before it goes (a message may have been read elsewhere
    meanwhile); a send of a broadcast is only when it waited for a time. `turn_ms`: of a broadcast's alone, how long
    after the broadcast's begin its turn comes, at the pace that was asked for; what is held for quiet hours comes so
    long after their end.

    For that look: the message's place (`channel`, `epoch`, `seq`, as in PushJob), when it was sent and when it was
    decided on, Unix milliseconds; 0 when it waited since."""

    user_id: str
    device_id: str
    platform: Platform
    notification: Notification
    attempt: int = 0
    rechecked: bool = True
    turn_ms: int | None = None
    channel: str = ""
    epoch: str = ""
    seq: int = 0
    sent_at: int = 0
    decided_at: int = 0
    kept_back: int = 0


def subject(send: Send) -> str:
    return f"push.send.{send.platform}.{token(send.user_id)}"


def send_id(send: Send) -> str:
    """Its `Nats-Msg-Id`: the same for the same notification, device and attempt."""
    return f"{send.notification.message_id}:{token(send.user_id)}:{send.device_id}:{send.attempt}"


encode = msgspec.json.encode
_decoder = msgspec.json.Decoder(Send)


def decode(raw: bytes) -> Send:
    """Raises msgspec.DecodeError (or its ValidationError) when this is no send."""
    return _decoder.decode(raw)
