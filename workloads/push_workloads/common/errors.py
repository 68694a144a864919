"""One error family. An error knows its wire code and its HTTP status, so every edge translates it the same way."""

from __future__ import annotations

from typing import ClassVar


class PushError(Exception):
    """Base of all errors that a client may be told about. `message` is for people and never holds a secret."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_ms = retry_after_ms


class BadRequest(PushError):
    """The request cannot be understood; the message names the field."""

    code = "bad_request"
    status = 400


class Unauthorized(PushError):
    """No token, or one that is not valid; deliberately says no more than that."""

    code = "unauthorized"
    status = 401


class Forbidden(PushError):
    """Known, and not allowed."""

    code = "forbidden"
    status = 403


class NotFound(PushError):
    code = "not_found"
    status = 404


class Conflict(PushError):
    """The thing exists already, with other content."""

    code = "conflict"
    status = 409


class TooLarge(PushError):
    code = "too_large"
    status = 413


class RateLimited(PushError):
    """Carries `retry_after_ms`; HTTP turns it into `Retry-After` in whole seconds, rounded up."""

    code = "rate_limited"
    status = 429


class Unavailable(PushError):
    """A peer (bus, cache, store) is away: the same request may be sent again later."""

    code = "unavailable"
    status = 503
