"""What FCM's answer means, by https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode. Pure.

A device is dead by FCM's own word alone: a 404 without it is an address of ours that is wrong.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from push_workloads.push.carrier import Answer, Dead, Later, Refused, Sent
from push_workloads.push.retry_after import retry_after

OTHER_PROJECT: Final = "SENDER_ID_MISMATCH"
DEAD: Final = frozenset({"UNREGISTERED", OTHER_PROJECT})
OVER_QUOTA: Final = frozenset({"QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED"})
OVER_QUOTA_SECONDS: Final = 60.0  # what Google asks for where the answer names no time
_FCM_ERROR: Final = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_CODES: Final = frozenset(
    {
        "UNSPECIFIED_ERROR",
        "INVALID_ARGUMENT",
        "UNREGISTERED",
        "SENDER_ID_MISMATCH",
        "QUOTA_EXCEEDED",
        "UNAVAILABLE",
        "INTERNAL",
        "THIRD_PARTY_AUTH_ERROR",
        # google.rpc.Code, where an answer has no error of FCM's own
        "NOT_FOUND",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "DEADLINE_EXCEEDED",
    }
)


class _Error(msgspec.Struct):
    status: str = ""
    details: list[dict[str, Any]] = []


class _Failed(msgspec.Struct):
    error: _Error


class _Taken(msgspec.Struct):
    name: str


def answer_of(status: int, body: bytes, header: str | None, now: float, *, doubted: bool = False) -> Answer:
    """`header`: of Retry-After; `now` in Unix seconds. `doubted`: our project may be the wrong one, so that it ends no
    device to be another's."""
    if status == 200:
        return Sent(_name(body))
    own, reason = _reason(status, body)
    if own and reason in DEAD:
        return Refused(reason) if doubted and reason == OTHER_PROJECT else Dead(reason)
    wait = retry_after(header, now)
    if status == 429 or reason in OVER_QUOTA:
        return Later(reason, OVER_QUOTA_SECONDS if wait is None else wait, ours=True)
    if status >= 500:
        return Later(reason, wait)
    if status == 400 or status == 413:
        return Refused(reason)
    return Later(reason, wait, ours=True)  # credentials, the project, the address


def _name(body: bytes) -> str | None:
    try:
        return msgspec.json.decode(body, type=_Taken).name[:200]
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _reason(status: int, body: bytes) -> tuple[bool, str]:
    """Google's word for it, and whether it is FCM's own. One of those that are known, or the status: it becomes a
    metric's label."""
    try:
        error = msgspec.json.decode(body, type=_Failed).error
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False, f"http_{status}"
    for detail in error.details:
        if detail.get("@type") == _FCM_ERROR and detail.get("errorCode") in _CODES:
            return True, str(detail["errorCode"])
    return False, error.status if error.status in _CODES else f"http_{status}"
