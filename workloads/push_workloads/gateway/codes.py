"""Every code on the wire, with what the client should do."""

from __future__ import annotations

from typing import Final

# Error frames: they answer one frame and leave the socket open.
BAD_FRAME: Final = "bad_frame"  # not JSON, not an object, or a wrong field: mend the client
UNKNOWN_TYPE: Final = "unknown_type"  # this server does not know the type: mend or update
CONFLICT: Final = "conflict"  # the dedup_id was used for other content: take a new one
TOO_LARGE: Final = "too_large"  # over max_frame_bytes: send less
NOT_FOUND: Final = "not_found"  # no such channel on this socket
FORBIDDEN: Final = "forbidden"  # the channel is somebody else's: tell the user
UNAUTHORIZED: Final = "unauthorized"  # the token of a `refresh` is not valid: get another one
RATE_LIMITED: Final = "rate_limited"  # send again after retry_after_ms
UNAVAILABLE: Final = "unavailable"  # send again, with the same dedup_id, after retry_after_ms

# Close codes.
PROTOCOL_ERROR: Final = 1002  # broken WebSocket framing (RFC 6455 §7.4.1): mend the client
NOT_UTF8: Final = 1007  # a text frame that is not UTF-8 (RFC 6455 §8.1)
TOO_BIG: Final = 1009  # over twice max_frame_bytes
INTERNAL: Final = 1011  # a fault on our side, logged: come back
RESTART: Final = 1012  # a `reconnect` frame came first: come back after after_ms and resume
OVERLOADED: Final = 1013  # come back with backoff and jitter
ABUSE: Final = 4400  # too many bad frames: mend the client
TOKEN_EXPIRED: Final = 4401  # get a new token first
ENDED: Final = 4403  # by the user, from elsewhere: do not come back by yourself, ask who is here to sign in
HEARTBEAT_MISSED: Final = 4408  # come back and resume
DISPLACED: Final = 4409  # the same device connected elsewhere: do not come back, you would take turns for ever
FELL_BEHIND: Final = 4410  # read too slowly: come back and resume
