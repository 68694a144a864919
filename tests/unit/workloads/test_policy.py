"""What becomes of a message at a device."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common.cursor_keys import Reached
from push_workloads.common.push_jobs import Hint, PushJob
from push_workloads.push.devices import Device, Platform
from push_workloads.push.notification import Notification, Show
from push_workloads.push.policy import (
    BADGE_AGAIN_MS,
    BADGE_WAITS_MS,
    CALL_TTL_S,
    DEFAULT_TTL_S,
    MAX_TTL_S,
    NOW_S,
    Cancel,
    Decision,
    Facts,
    Hold,
    Matter,
    Reason,
    Tell,
    decide,
    decide_broadcast,
    hold_off_until,
    matter_of,
    matter_of_send,
    ttl_s,
    unfit,
    with_badge,
)
from push_workloads.push.preferences import ALL, FOR_EVER, Preferences, QuietHours, is_muted, quiet_until
from push_workloads.push.sends import Send

HOUR = 3_600_000
NIGHT = 2 * HOUR  # 02:00 UTC on the first day of 1970
NOON = 12 * HOUR
MORNING = 7 * HOUR
WORTH = 24 * HOUR
MATTER = Matter("user:ann", "e1", 7, "user:bob", noisy=True, expires_ms=NOON + WORTH)
SILENT = QuietHours("22:00", "07:00", "UTC")
HELD = QuietHours("22:00", "07:00", "UTC", mode="hold")


@pytest.mark.parametrize(
    ("matter", "preferences", "facts", "now_ms", "decision"),
    [
        (MATTER, Preferences(), Facts(), NOON, Tell()),
        (MATTER, Preferences(), Facts(), MATTER.expires_ms, Tell()),
        (MATTER, Preferences(), Facts(), MATTER.expires_ms + 1, Cancel(Reason.EXPIRED)),
        (MATTER, Preferences(), Facts(Reached("e1", 6)), NOON, Tell()),
        (MATTER, Preferences(), Facts(Reached("e1", 7)), NOON, Cancel(Reason.RECEIVED)),
        (MATTER, Preferences(), Facts(Reached("e0", 99)), NOON, Tell()),
        (MATTER._replace(channel=""), Preferences(), Facts(Reached("e1", 7)), NOON, Tell()),
        (MATTER, Preferences(), Facts(read=True), NOON, Cancel(Reason.READ)),
        (MATTER, Preferences(mutes={"user:bob": FOR_EVER}), Facts(), NOON, Cancel(Reason.MUTED)),
        (MATTER, Preferences(mutes={"user:eve": FOR_EVER}), Facts(), NOON, Tell()),
        (MATTER, Preferences(mutes={"user:bob": NOON}), Facts(), NOON, Tell()),
        (MATTER, Preferences(mutes={ALL: NOON + 1}), Facts(), NOON, Cancel(Reason.MUTED)),
        (MATTER, Preferences(SILENT), Facts(), NIGHT, Tell(silently=True)),
        (MATTER, Preferences(SILENT), Facts(), NOON, Tell()),
        (MATTER._replace(noisy=False), Preferences(SILENT), Facts(), NIGHT, Tell()),
        (MATTER, Preferences(HELD), Facts(), NIGHT, Hold(MORNING, Reason.QUIET)),
        (MATTER._replace(expires_ms=MORNING - 1), Preferences(HELD), Facts(), NIGHT, Cancel(Reason.QUIET)),
        (MATTER._replace(noisy=False), Preferences(HELD), Facts(), NIGHT, Tell()),
        (MATTER._replace(call=True), Preferences(SILENT), Facts(), NOON, Tell()),
        (MATTER._replace(call=True), Preferences(SILENT), Facts(), NIGHT, Cancel(Reason.QUIET)),
        (MATTER._replace(call=True), Preferences(HELD), Facts(), NIGHT, Hold(MORNING, Reason.QUIET)),
        (MATTER._replace(call=True), Preferences(mutes={ALL: FOR_EVER}), Facts(), NOON, Cancel(Reason.MUTED)),
        (MATTER._replace(call=True), Preferences(), Facts(over_rate=True), NOON, Cancel(Reason.RATE)),
        (MATTER, Preferences(), Facts(over_rate=True), NOON, Cancel(Reason.RATE)),
        (MATTER, Preferences(SILENT), Facts(over_rate=True), NIGHT, Cancel(Reason.RATE)),
    ],
)
def test_one_rule_at_a_time(
    matter: Matter, preferences: Preferences, facts: Facts, now_ms: int, decision: Decision
) -> None:
    assert decide(matter, "UTC", preferences, facts, now_ms) == decision


@pytest.mark.parametrize(
    ("decision", "unread", "matter", "now_ms", "becomes"),
    [
        (Tell(silently=True), 3, MATTER, NOON, Tell(silently=True)),
        (Tell(silently=True), 0, MATTER, NOON, Tell(silently=True)),
        (Tell(), None, MATTER, NOON, Tell()),
        (Cancel(Reason.READ), None, MATTER, NOON, Cancel(Reason.READ)),
        (Tell(silently=True), None, MATTER, NOON, Hold(NOON + BADGE_AGAIN_MS, Reason.QUIET)),
        (Tell(silently=True), None, MATTER, NOON + BADGE_WAITS_MS, Cancel(Reason.QUIET)),
        (Tell(silently=True), None, MATTER._replace(conversation=""), NOON, Cancel(Reason.QUIET)),
        (Tell(silently=True), None, MATTER._replace(expires_ms=NOON + 1), NOON, Cancel(Reason.QUIET)),
    ],
)
def test_a_badge_waits_to_be_counted(
    decision: Decision, unread: int | None, matter: Matter, now_ms: int, becomes: Decision
) -> None:
    assert with_badge(decision, unread, matter, NOON, now_ms) == becomes


def test_quiet_hours_are_by_the_clock_of_the_device() -> None:
    quiet = Preferences(QuietHours("22:00", "07:00"))
    assert decide(MATTER, "UTC", quiet, Facts(), NOON) == Tell()
    assert decide(MATTER, "Pacific/Auckland", quiet, Facts(), NOON) == Tell(silently=True)


times = st.integers(0, 3 * 24 * HOUR)
clock_times = st.sampled_from(["00:00", "06:30", "07:00", "12:00", "22:00", "23:59"])
quiet_hours = st.builds(
    QuietHours,
    clock_times,
    clock_times,
    st.sampled_from([None, "UTC", "Europe/Berlin", "Pacific/Auckland"]),
    st.sampled_from(["silent", "hold"]),
)
all_preferences = st.builds(
    Preferences,
    st.none() | quiet_hours,
    st.dictionaries(st.sampled_from([ALL, "user:bob", "user:eve"]), st.just(FOR_EVER) | times, max_size=2),
)
all_facts = st.builds(
    Facts,
    st.none() | st.builds(Reached, st.sampled_from(["e0", "e1"]), st.integers(0, 9)),
    st.booleans(),
    st.booleans(),
)
matters = st.builds(
    Matter,
    st.sampled_from(["", "user:ann"]),
    st.just("e1"),
    st.integers(1, 9),
    st.sampled_from(["", "user:bob"]),
    st.booleans(),
    times,
)
zones = st.sampled_from([None, "UTC", "America/New_York", "nowhere"])


def _forbids(
    matter: Matter, zone: str | None, preferences: Preferences, facts: Facts, now_ms: int
) -> dict[Reason, bool]:
    """Each rule by itself, in the order of reasons."""
    reached = facts.reached
    quiet = quiet_until(preferences.quiet, zone, now_ms) if matter.noisy else None
    return {
        Reason.EXPIRED: now_ms > matter.expires_ms,
        Reason.RECEIVED: bool(matter.channel)
        and reached is not None
        and (reached.epoch == matter.epoch and reached.seq >= matter.seq),
        Reason.READ: facts.read,
        Reason.MUTED: is_muted(preferences, matter.conversation, now_ms),
        Reason.QUIET: quiet is not None and preferences.quiet is not None and preferences.quiet.mode == "hold",
        Reason.RATE: facts.over_rate,
    }


@given(matters, zones, all_preferences, all_facts, times)
def test_nothing_is_told_that_one_rule_forbids_and_the_first_of_them_is_the_reason(
    matter: Matter, zone: str | None, preferences: Preferences, facts: Facts, now_ms: int
) -> None:
    decision = decide(matter, zone, preferences, facts, now_ms)
    forbidden = [reason for reason, holds in _forbids(matter, zone, preferences, facts, now_ms).items() if holds]
    if isinstance(decision, Tell):
        assert not forbidden
    else:
        assert decision.reason == forbidden[0]


@given(matters, zones, all_preferences, all_facts, times)
def test_a_hold_ends_while_it_is_worth_it_and_then_nothing_is_held_for_the_same(
    matter: Matter, zone: str | None, preferences: Preferences, facts: Facts, now_ms: int
) -> None:
    decision = decide(matter, zone, preferences, facts, now_ms)
    if isinstance(decision, Hold):
        assert now_ms < decision.until_ms <= matter.expires_ms
        assert decide(matter, zone, preferences, facts, decision.until_ms) != decision


@given(matters, zones, all_preferences, all_facts, times)
def test_it_comes_to_an_end(
    matter: Matter, zone: str | None, preferences: Preferences, facts: Facts, now_ms: int
) -> None:
    """However often it is looked at: each hold is later, and none is behind the expiry."""
    for _ in range(20):
        decision = decide(matter, zone, preferences, facts, now_ms)
        if not isinstance(decision, Hold):
            return
        now_ms = decision.until_ms
    raise AssertionError("held for ever")


def _job(hint: Hint | None = None, *, held: bool = False, channel: str = "user:ann") -> PushJob:
    return PushJob("j", "ann", "m", channel, 7, "bob", NOON, None, hint, "e1", "user:bob", held=held)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [(None, DEFAULT_TTL_S), (0, NOW_S), (-5, NOW_S), (9, NOW_S), (60, 60), (10**9, MAX_TTL_S)],
)
def test_how_long_a_message_is_worth_it(asked: int | None, seconds: int) -> None:
    assert ttl_s(_job(Hint(ttl_s=asked))) == seconds
    assert matter_of(_job(Hint(ttl_s=asked))).expires_ms == NOON + seconds * 1000
    assert ttl_s(_job()) == DEFAULT_TTL_S


def test_nobody_answers_a_call_of_a_while_ago() -> None:
    assert ttl_s(_job(Hint(call=True))) == CALL_TTL_S
    assert ttl_s(_job(Hint(call=True, ttl_s=60))) == 60


def _device(platform: Platform, app: str | None = None) -> Device:
    return Device("ann", f"{platform}-{app}", platform, f"{platform}-{app}", None, None, app, 0, 0)


PHONE, RINGING = _device("apns", "com.example.chat"), _device("apns", "com.example.chat.voip")
UNNAMED, ANDROID, BROWSER = _device("apns"), _device("fcm", "com.example.voip"), _device("webpush")


@pytest.mark.parametrize(
    ("call", "devices", "unfit_for"),
    [
        (False, (PHONE, RINGING, ANDROID, BROWSER), {RINGING: Reason.CALLS_ONLY}),
        (False, (PHONE,), {}),
        (True, (PHONE, UNNAMED, RINGING, ANDROID, BROWSER),
         {PHONE: Reason.RINGS_ELSEWHERE, UNNAMED: Reason.RINGS_ELSEWHERE}),
        (True, (PHONE, UNNAMED, ANDROID), {}),
        (True, (RINGING,), {}),
    ],
)  # fmt: skip
def test_which_devices_ring(call: bool, devices: tuple[Device, ...], unfit_for: dict[Device, Reason]) -> None:
    found = {device: unfit(_job(Hint(call=call)), device, devices) for device in devices}
    assert {device: reason for device, reason in found.items() if reason is not None} == unfit_for
    if not call:
        assert unfit(_job(), devices[0], devices) is None


@pytest.mark.parametrize(
    ("job", "online", "now_ms", "until"),
    [
        (_job(), True, NOON, NOON + 3000),
        (_job(), True, NOON + 2999, NOON + 3000),
        (_job(), True, NOON + 3000, None),
        (_job(), False, NOON, None),
        (_job(held=True), True, NOON, None),
        (_job(channel=""), True, NOON, None),
        (_job(), True, NOON - HOUR, NOON - HOUR + 3000),  # the sender's clock is ahead
    ],
)
def test_the_hold_off(job: PushJob, online: bool, now_ms: int, until: int | None) -> None:
    assert hold_off_until(job, online=online, hold_off_ms=3000, now_ms=now_ms) == until


def test_the_hold_off_never_outlasts_the_message() -> None:
    job = _job(Hint(ttl_s=0))
    assert hold_off_until(job, online=True, hold_off_ms=60_000, now_ms=NOON) == NOON + NOW_S * 500


def test_a_send_is_judged_as_its_job() -> None:
    notification = Notification("m", Show.ALERT, (NOON + WORTH) // 1000, conversation="user:bob")
    send = Send("ann", "phone", "fcm", notification, channel="user:ann", epoch="e1", seq=7, sent_at=NOON)
    assert matter_of_send(send) == matter_of(_job())
    assert not matter_of(_job(Hint(silent=True))).noisy


# A broadcast ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preferences", "show", "turn_ms", "now_ms", "decision"),
    [
        (Preferences(), Show.ALERT, 5000, NIGHT, Tell()),
        (Preferences(), Show.ALERT, 0, NIGHT + WORTH + 1, Cancel(Reason.EXPIRED)),
        (Preferences(mutes={ALL: FOR_EVER}), Show.ALERT, 0, NIGHT, Cancel(Reason.MUTED)),
        (Preferences(mutes={ALL: NIGHT}), Show.ALERT, 0, NIGHT, Tell()),
        (Preferences(mutes={"user:bob": FOR_EVER}), Show.ALERT, 0, NIGHT, Tell()),
        (Preferences(HELD), Show.ALERT, 0, NIGHT, Hold(MORNING, Reason.QUIET)),
        (Preferences(HELD), Show.ALERT, 5000, NIGHT, Hold(MORNING + 5000, Reason.QUIET)),
        (Preferences(HELD), Show.ALERT, 19 * HOUR, NIGHT, Hold(NIGHT + WORTH, Reason.QUIET)),
        (Preferences(HELD), Show.ALERT, 19 * HOUR + 1, NIGHT, Cancel(Reason.QUIET)),
        (Preferences(HELD), Show.ALERT, 5000, MORNING, Tell()),
        (Preferences(HELD), Show.BACKGROUND, 5000, NIGHT, Tell()),
        (Preferences(QuietHours("22:00", "03:00", None, "hold")), Show.ALERT, 0, NIGHT, Tell()),
        (Preferences(SILENT), Show.ALERT, 0, NIGHT, Cancel(Reason.QUIET)),
        (Preferences(SILENT), Show.BACKGROUND, 0, NIGHT, Tell()),
        (Preferences(HELD, {ALL: FOR_EVER}), Show.ALERT, 0, NIGHT, Cancel(Reason.MUTED)),
    ],
)
def test_what_becomes_of_a_broadcast(
    preferences: Preferences, show: Show, turn_ms: int, now_ms: int, decision: Decision
) -> None:
    told = Notification("b1.7", show, (NIGHT + WORTH) // 1000)
    send = Send("ann", "phone", "fcm", told, turn_ms=turn_ms)
    assert decide_broadcast(send, "Europe/Zurich", preferences, now_ms) == decision
