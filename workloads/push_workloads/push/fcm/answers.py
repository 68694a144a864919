"""What FCM's answer means, by https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode. Pure.

A device is dead by FCM's own word alone: a 404 without it is an address of ours that is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from push_workloads.push.carrier import Answer, Dead, Later, Refused, Sent
from push_workloads.push.retry_after import retry_after

OTHER_PROJECT: Final = "SENDER_ID_MISMATCH"
DEAD: Final = frozenset({"UNREGISTERED", OTHER_PROJECT})
OVER_QUOTA: Final = frozenset({"QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED"})
OVER_QUOTA_SECONDS: Final = 60.0  # what Google asks for where the answer names no time
DEVICE_QUOTA: Final = "device_quota"  # QUOTA_EXCEEDED of one device, as the violations say: all others can be sent to
_QUOTA_FAILURE: Final = "type.googleapis.com/google.rpc.QuotaFailure"
_DEVICE, _PROJECT = "device", "project"
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
    """`header`: of Retry-After; `now` in Unix seconds. `doubted`: our project may be the wrong one, until that is
    known."""
    if status == 200:
        return Sent(_name(body))
    error = _error(body)
    own, reason = _reason(status, error)
    wait = retry_after(header, now)
    if own and reason in DEAD:
        return Later(reason, wait, ours=True) if doubted and reason == OTHER_PROJECT else Dead(reason)
    if status == 429 or reason in OVER_QUOTA:
        if _is_of_a_device(error):
            return Later(DEVICE_QUOTA, wait)
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


def _error(body: bytes) -> _Error:
    """One that says nothing where the answer is none of Google's."""
    try:
        return msgspec.json.decode(body, type=_Failed).error
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _Error()


def _reason(status: int, error: _Error) -> tuple[bool, str]:
    """Google's word for it, and whether it is FCM's own. One of those that are known, or the status: it becomes a
    metric's label."""
    for detail in error.details:
        if detail.get("@type") == _FCM_ERROR and detail.get("errorCode") in _CODES:
            return True, str(detail["errorCode"])
    return False, error.status if error.status in _CODES else f"http_{status}"


def _is_of_a_device(error: _Error) -> bool:
    """Whether all quotas that were exceeded are those of the device. Google names them in words alone (ErrorCode,
    QUOTA_EXCEEDED): what does not speak of a device, or of a project too, may be the project's."""
    violations = [one for detail in error.details for one in _violations(detail)]
    told = [f"{one.get('subject')} {one.get('description')}".lower() for one in violations]
    return bool(told) and all(_DEVICE in one and _PROJECT not in one for one in told)


def _violations(detail: Mapping[str, Any]) -> list[dict[str, Any]]:
    held = detail.get("violations") if detail.get("@type") == _QUOTA_FAILURE else None
    return [one if isinstance(one, dict) else {} for one in held] if isinstance(held, list) else []
