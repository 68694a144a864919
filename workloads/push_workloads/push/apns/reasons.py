"""What each of Apple's answers means for the send and for the device. Pure.

A device goes for three reasons only; what is wrong with our key, our topic or our requests is tried again later and
counted as ours, however often Apple says it. Two of the three are also what Apple says to a wrong setting of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from enum import StrEnum
from typing import Final

import msgspec

from push_workloads.push.carrier import Answer, Dead, Later, Refused, Sent

OK: Final = 200
EXPIRED_TOKEN: Final = "ExpiredProviderToken"  # noqa: S105 - Apple's word for it
MAX_REASON: Final = 64
BAD_TOKEN: Final = "BadDeviceToken"  # noqa: S105 - or ours is the other environment
WRONG_TOPIC: Final = "DeviceTokenNotForTopic"


class Means(StrEnum):
    """DEAD: the address is nobody's. REFUSED: this notification never. LATER: Apple's trouble. OURS: a fault of ours,
    for whoever runs the platform to mend; tried again until then."""

    DEAD = "dead"
    REFUSED = "refused"
    LATER = "later"
    OURS = "ours"


# (HTTP status, reason) as in "Handling notification responses from APNs".
REASONS: Final[Mapping[tuple[int, str], Means]] = {
    (400, "BadCollapseId"): Means.REFUSED,
    (400, BAD_TOKEN): Means.DEAD,
    (400, "BadExpirationDate"): Means.REFUSED,
    (400, "BadMessageId"): Means.REFUSED,
    (400, "BadPriority"): Means.REFUSED,
    (400, "BadTopic"): Means.OURS,
    (400, WRONG_TOPIC): Means.DEAD,
    (400, "DuplicateHeaders"): Means.OURS,
    (400, "IdleTimeout"): Means.LATER,
    (400, "InvalidPushType"): Means.REFUSED,
    (400, "MissingDeviceToken"): Means.REFUSED,
    (400, "MissingTopic"): Means.OURS,
    (400, "PayloadEmpty"): Means.REFUSED,
    (400, "TopicDisallowed"): Means.OURS,
    (403, "BadCertificate"): Means.OURS,
    (403, "BadCertificateEnvironment"): Means.OURS,
    (403, EXPIRED_TOKEN): Means.OURS,
    (403, "Forbidden"): Means.OURS,
    (403, "InvalidProviderToken"): Means.OURS,
    (403, "MissingProviderToken"): Means.OURS,
    (404, "BadPath"): Means.OURS,
    (405, "MethodNotAllowed"): Means.OURS,
    (410, "Unregistered"): Means.DEAD,
    (413, "PayloadTooLarge"): Means.REFUSED,
    (429, "TooManyProviderTokenUpdates"): Means.OURS,
    (429, "TooManyRequests"): Means.LATER,
    (500, "InternalServerError"): Means.LATER,
    (503, "ServiceUnavailable"): Means.LATER,
    (503, "Shutdown"): Means.LATER,
    # Newer than those: seen with keys that are bound to an environment, and with tokens that have run out.
    (403, "BadEnvironmentKeyIdInToken"): Means.OURS,
    (403, "UnrelatedKeyIdInToken"): Means.OURS,
    (410, "ExpiredToken"): Means.REFUSED,
}
# The topic is the device's own word: it may be wrong for that device, and says nothing of our configuration.
_FOR_ITS_TOPIC: Final = frozenset({"BadTopic", "TopicDisallowed"})
_NO_DOUBT: Final[frozenset[str]] = frozenset()


class _Body(msgspec.Struct):
    reason: str = ""
    timestamp: int | None = None


def meaning(
    status: int,
    body: bytes,
    after_s: float | None = None,
    *,
    guessed_topic: bool = False,
    own_topic: bool = False,
    doubted: Set[str] = _NO_DOUBT,
) -> Answer:
    """What this answer with an error status means. `after_s`: of its Retry-After. `guessed_topic`: the topic was made
    by us for this kind of notification and may never have been the token's. `own_topic`: it was the device's word.
    `doubted`: reasons that may be our own setting's fault, until that is known."""
    said = _said(body)
    reason = _label(said.reason) or f"status {status}"
    means = REASONS.get((status, said.reason)) or _by_status(status)
    if means is Means.DEAD and said.reason == WRONG_TOPIC and guessed_topic:
        means = Means.REFUSED
    if means is Means.DEAD and said.reason in (doubted - {WRONG_TOPIC} if own_topic else doubted):
        means = Means.OURS
    if said.reason in _FOR_ITS_TOPIC and own_topic:
        means = Means.REFUSED
    if means is Means.DEAD and status == 410 and said.timestamp is None:
        means = Means.REFUSED  # since when? The registration may be newer than that
    match means:
        case Means.DEAD:
            return Dead(reason, said.timestamp)
        case Means.REFUSED:
            return Refused(reason)
        case _:
            return Later(reason, after_s, ours=means is Means.OURS)


def taken(apns_id: str | None) -> Answer:
    return Sent(apns_id)


def is_expired_token(status: int, body: bytes) -> bool:
    """Whether the provider token, and not the device's, is too old."""
    return status == 403 and _said(body).reason == EXPIRED_TOKEN


def _by_status(status: int) -> Means:
    """For a reason that is not in the table. Something between Apple and us may have answered, so nothing is dead."""
    if status in (403, 404, 405, 407):
        return Means.OURS
    return Means.REFUSED if 400 <= status < 500 and status not in (408, 429) else Means.LATER


def _said(body: bytes) -> _Body:
    try:
        return msgspec.json.decode(body, type=_Body)
    except msgspec.DecodeError:
        return _Body()


def _label(reason: str) -> str:
    """Fit for a metric's label, whoever wrote it."""
    return reason if len(reason) <= MAX_REASON and reason.isascii() and reason.isalnum() else ""
