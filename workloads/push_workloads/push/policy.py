"""What becomes of one message at one device: it is told, told silently, held until then, or cancelled. Pure.

The same rules hold when a job is decided on and when a send that waited is looked at again, so both are brought to a
`Matter` first.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from push_workloads.common.cursor_keys import Reached
from push_workloads.common.push_jobs import PushJob
from push_workloads.push.devices import Device
from push_workloads.push.notification import Show
from push_workloads.push.preferences import Preferences, is_muted, quiet_until
from push_workloads.push.sends import Send

DEFAULT_TTL_S: Final = 86_400
CALL_TTL_S: Final = 30  # of a call: later nobody is there to be answered
MAX_TTL_S: Final = 28 * 86_400  # FCM's and Web Push's; no provider keeps one for longer
# `ttl_s` 0 is "now or never", and now takes this long: the hold-off and the queue's own time are part of it, and two
# clocks.
NOW_S: Final = 10
BADGE_AGAIN_MS: Final = 5_000
BADGE_WAITS_MS: Final = 120_000


class Reason(StrEnum):
    """Why a device is not told, or not yet. Where several hold, the first of them in this order is given."""

    CALLS_ONLY = "calls_only"
    RINGS_ELSEWHERE = "rings_elsewhere"
    EXPIRED = "expired"
    RECEIVED = "received"
    READ = "read"
    MUTED = "muted"
    QUIET = "quiet"
    RATE = "rate"
    HOLD_OFF = "hold_off"
    CANCELLED = "cancelled"
    NO_DEVICE = "no_device"
    NO_SENDER = "no_sender"


class Matter(NamedTuple):
    """What is decided about. `noisy`: it comes to the user's notice; what is for the app alone has no quiet hours.
    `expires_ms`: nobody is to be told after that; Unix milliseconds. `call`: it rings."""

    channel: str
    epoch: str
    seq: int
    conversation: str
    noisy: bool
    expires_ms: int
    call: bool = False


class Facts(NamedTuple):
    """What is known when it is decided. `reached`: the device's cursor on the message's channel. `read`: by the user,
    anywhere. `over_rate`: this message would be one too many for the user."""

    reached: Reached | None = None
    read: bool = False
    over_rate: bool = False


class Tell(NamedTuple):
    """`silently`: nothing but the badge."""

    silently: bool = False


class Hold(NamedTuple):
    """To be decided again at `until_ms`."""

    until_ms: int
    reason: Reason


class Cancel(NamedTuple):
    reason: Reason


Decision = Tell | Hold | Cancel


def is_call(job: PushJob) -> bool:
    return job.hint is not None and job.hint.call


def unfit(job: PushJob, device: Device, devices: Iterable[Device]) -> Reason | None:
    """Why it is nothing for this one of a user's devices, whatever is known of the user. None: it may be told there.

    A phone with a token for calls has another one for all else, and must not be told twice of a call; which of them
    belong together nobody knows. So Apple's devices ring where the user has any that can, and else show an alert."""
    if not is_call(job):
        return Reason.CALLS_ONLY if device.calls_only else None
    return Reason.RINGS_ELSEWHERE if not device.rings and any(one.calls_only for one in devices) else None


def ttl_s(job: PushJob) -> int:
    """For how long after it was sent the message is worth telling."""
    asked = job.hint.ttl_s if job.hint is not None else None
    if asked is None:
        return CALL_TTL_S if is_call(job) else DEFAULT_TTL_S
    return min(max(asked, NOW_S), MAX_TTL_S)


def matter_of(job: PushJob) -> Matter:
    noisy = job.hint is None or not job.hint.silent
    expires_ms = job.sent_at + ttl_s(job) * 1000
    return Matter(job.channel, job.epoch, job.seq, job.conversation, noisy, expires_ms, is_call(job))


def matter_of_send(send: Send) -> Matter:
    told = send.notification
    call = told.show is Show.VOIP
    noisy = call or told.show is Show.ALERT
    return Matter(send.channel, send.epoch, send.seq, told.conversation or "", noisy, told.expires_at * 1000, call)


def hold_off_until(job: PushJob, *, online: bool, hold_off_ms: int, now_ms: int) -> int | None:
    """When a device with a socket has had its time to receive the message; None: there is nothing to wait for.

    At most half of the message's worth is waited away. A sender's clock that is ahead does not make it longer.
    """
    if job.held or not online or not job.channel:
        return None
    until = min(job.sent_at, now_ms) + min(hold_off_ms, ttl_s(job) * 500)
    return until if until > now_ms else None


def has_received(matter: Matter, reached: Reached | None) -> bool:
    """Cursors of another epoch say nothing: seqs end with their log."""
    return reached is not None and bool(matter.channel) and reached.epoch == matter.epoch and reached.seq >= matter.seq


def decide(matter: Matter, time_zone: str | None, preferences: Preferences, facts: Facts, now_ms: int) -> Decision:
    """`time_zone`: the device's. A Hold ends in the future and before the message expires."""
    if now_ms > matter.expires_ms:
        return Cancel(Reason.EXPIRED)
    if has_received(matter, facts.reached):
        return Cancel(Reason.RECEIVED)
    if facts.read:
        return Cancel(Reason.READ)
    if is_muted(preferences, matter.conversation, now_ms):
        return Cancel(Reason.MUTED)
    until = quiet_until(preferences.quiet, time_zone, now_ms) if matter.noisy else None
    if until is not None and preferences.quiet is not None and preferences.quiet.mode == "hold":
        return Hold(until, Reason.QUIET) if until <= matter.expires_ms else Cancel(Reason.QUIET)
    if until is not None and matter.call:  # of which no number at an icon is left
        return Cancel(Reason.QUIET)
    return Cancel(Reason.RATE) if facts.over_rate else Tell(silently=until is not None)


def decide_broadcast(send: Send, time_zone: str | None, preferences: Preferences, now_ms: int) -> Decision:
    """Of a broadcast's send: when its page is gone through, and when it waited. No facts are asked for: no message
    stands behind it, and no rate counts. In silent quiet hours it does not go: there is no badge that it could change,
    and it would be no news later.

    What is held does not go all at once when quiet hours end, but as if the broadcast began then: each in its turn. A
    page that is done again gives the same times. Whose turn comes too late is not told, as in a broadcast that is too
    slow to come to everybody.
    """
    matter = matter_of_send(send)
    decision = with_badge(decide(matter, time_zone, preferences, Facts(), now_ms), None, matter, send.sent_at, now_ms)
    if not isinstance(decision, Hold):
        return decision
    at_ms = decision.until_ms + (send.turn_ms or 0)
    return decision._replace(until_ms=at_ms) if at_ms <= matter.expires_ms else Cancel(decision.reason)


def with_badge(decision: Decision, unread: int | None, matter: Matter, sent_at: int, now_ms: int) -> Decision:
    """What is told silently is its badge alone: while nobody has counted what is unread it waits for that, up to
    BADGE_WAITS_MS after the message was sent, and then there is nothing to tell."""
    if not isinstance(decision, Tell) or not decision.silently or unread is not None:
        return decision
    until = now_ms + BADGE_AGAIN_MS
    can_wait = bool(matter.conversation) and until <= min(sent_at + BADGE_WAITS_MS, matter.expires_ms)
    return Hold(until, Reason.QUIET) if can_wait else Cancel(Reason.QUIET)
