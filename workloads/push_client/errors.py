"""What can go wrong, as the application sees it. One family: `except PushClientError` catches all of it."""

from __future__ import annotations


class PushClientError(Exception):
    """Everything that this package raises on purpose."""


class Refused(PushClientError):
    """The platform does not take it, and the same again would be refused again. `code` as in docs/clients.md."""

    def __init__(self, code: str, message: str, channel: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.channel = channel


class Unconfirmed(PushClientError):
    """The deadline passed without an answer. Was it written before (`sent`), the message may have arrived: look into
    the history before sending anew."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("sent, but not confirmed in time" if sent else "not sent in time: there was no connection")
        self.sent = sent


class Stopped(PushClientError):
    """The client has ended and will not connect again. Raised as it is when it was closed by the application."""


class Displaced(Stopped):
    """Close 4409: the same device connected elsewhere. Two programs that share a `device_id` would take turns for
    ever; give each its own."""


class Ended(Stopped):
    """Close 4403: the user ended this session from another device. Ask who is here to sign in."""


class Unauthorized(Stopped):
    """The token is not accepted, and there is no newer one."""


class Misused(Stopped):
    """Close 4400, or a handshake refused with 400 or 403: connecting again would be refused again."""


class ApiError(PushClientError):
    """An HTTP answer that is an error. `status` 0: there was no answer. `retry_after` is in seconds."""

    def __init__(self, status: int, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
