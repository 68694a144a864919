"""What Apple's answers mean."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.push.apns.reasons import REASONS, Means, is_expired_token, meaning
from push_workloads.push.carrier import Answer, Dead, Later, Refused, Unknown

# "Handling notification responses from APNs", by status.
DOCUMENTED = {
    400: "BadCollapseId BadDeviceToken BadExpirationDate BadMessageId BadPriority BadTopic DeviceTokenNotForTopic "
    "DuplicateHeaders IdleTimeout InvalidPushType MissingDeviceToken MissingTopic PayloadEmpty TopicDisallowed",
    403: "BadCertificate BadCertificateEnvironment ExpiredProviderToken Forbidden InvalidProviderToken "
    "MissingProviderToken",
    404: "BadPath",
    405: "MethodNotAllowed",
    410: "Unregistered",
    413: "PayloadTooLarge",
    429: "TooManyProviderTokenUpdates TooManyRequests",
    500: "InternalServerError",
    503: "ServiceUnavailable Shutdown",
}
NEWER = {(403, "BadEnvironmentKeyIdInToken"), (403, "UnrelatedKeyIdInToken"), (410, "ExpiredToken")}
DEADLY = {"BadDeviceToken", "DeviceTokenNotForTopic", "Unregistered"}


def said(reason: object, **more: object) -> bytes:
    return json.dumps({"reason": reason, **more}).encode()


def test_all_29_reasons_and_the_newer_ones_are_in_the_table() -> None:
    documented = {(status, reason) for status, reasons in DOCUMENTED.items() for reason in reasons.split()}
    assert len(documented) == 29
    assert set(REASONS) == documented | NEWER


@pytest.mark.parametrize(
    ("status", "reason", "answer"),
    [
        (410, "Unregistered", Dead("Unregistered", 1_700_000_000_123)),
        (400, "BadDeviceToken", Dead("BadDeviceToken", 1_700_000_000_123)),
        (400, "DeviceTokenNotForTopic", Dead("DeviceTokenNotForTopic", 1_700_000_000_123)),
        (410, "ExpiredToken", Refused("ExpiredToken")),
        (413, "PayloadTooLarge", Refused("PayloadTooLarge")),
        (400, "BadCollapseId", Refused("BadCollapseId")),
        (429, "TooManyRequests", Later("TooManyRequests", 5.0)),
        (503, "Shutdown", Later("Shutdown", 5.0)),
        (403, "InvalidProviderToken", Later("InvalidProviderToken", 5.0, ours=True)),
        (403, "BadCertificate", Later("BadCertificate", 5.0, ours=True)),
        (400, "MissingTopic", Later("MissingTopic", 5.0, ours=True)),
        (400, "TopicDisallowed", Later("TopicDisallowed", 5.0, ours=True)),
        (429, "TooManyProviderTokenUpdates", Later("TooManyProviderTokenUpdates", 5.0, ours=True)),
        # Not in the table: what the status says, and never a device's end.
        (403, "SomethingNew", Later("SomethingNew", 5.0, ours=True)),
        (400, "SomethingNew", Refused("SomethingNew")),
        (502, "SomethingNew", Later("SomethingNew", 5.0)),
        (503, "Unregistered", Later("Unregistered", 5.0)),
        (403, "BadDeviceToken", Later("BadDeviceToken", 5.0, ours=True)),
        (429, "", Later("status 429", 5.0)),
        (302, "", Later("status 302", 5.0)),
    ],
)
def test_what_a_reason_means(status: int, reason: str, answer: Answer) -> None:
    assert meaning(status, said(reason, timestamp=1_700_000_000_123), 5.0) == answer


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"reason": 3}', b'"Unregistered"', b"\xff"])
def test_an_answer_that_is_not_apples_ends_no_device(body: bytes) -> None:
    assert meaning(410, body) == Refused("status 410")
    assert meaning(503, body) == Later("status 503")


def test_unregistered_without_a_time_ends_no_device() -> None:
    assert meaning(410, said("Unregistered")) == Refused("Unregistered")


def test_a_topic_that_we_have_guessed_ends_no_device() -> None:
    assert meaning(400, said("DeviceTokenNotForTopic"), guessed_topic=True) == Refused("DeviceTokenNotForTopic")
    assert meaning(400, said("BadDeviceToken"), guessed_topic=True) == Dead("BadDeviceToken")


@pytest.mark.parametrize("reason", ["BadDeviceToken", "DeviceTokenNotForTopic"])
def test_what_may_be_a_setting_of_ours_ends_no_device(reason: str) -> None:
    assert meaning(400, said(reason), doubted={reason}) == Later(reason, ours=True)
    assert meaning(403, said(reason), doubted={reason}) == Later(reason, ours=True)
    others = {"BadDeviceToken", "DeviceTokenNotForTopic"} - {reason}
    assert meaning(400, said(reason), doubted=others) == Dead(reason)


def test_a_topic_that_is_the_devices_own_word_is_no_setting_of_ours() -> None:
    wrong = said("DeviceTokenNotForTopic")
    assert meaning(400, wrong, own_topic=True, doubted={"DeviceTokenNotForTopic"}) == Dead("DeviceTokenNotForTopic")


@pytest.mark.parametrize("reason", ["BadTopic", "TopicDisallowed"])
def test_a_topic_that_the_device_has_named_is_no_fault_of_ours(reason: str) -> None:
    assert meaning(400, said(reason), own_topic=True) == Refused(reason)


@given(st.integers(100, 599), st.text() | st.sampled_from(sorted({reason for _, reason in REASONS})), st.integers())
def test_a_device_goes_for_three_reasons_only_and_reasons_are_labels(status: int, reason: str, timestamp: int) -> None:
    answer = meaning(status, said(reason, timestamp=timestamp))
    assert not isinstance(answer, Dead) or (answer.reason in DEADLY and (status == 410) == (reason == "Unregistered"))
    assert isinstance(answer, Dead | Refused | Later)
    assert answer.reason.replace(" ", "").isalnum() and len(answer.reason) <= 64
    assert not isinstance(answer, Unknown)
    assert (REASONS.get((status, reason)) is Means.OURS) <= (isinstance(answer, Later) and answer.ours)


def test_which_token_has_expired() -> None:
    assert is_expired_token(403, said("ExpiredProviderToken"))
    assert not is_expired_token(410, said("ExpiredToken"))
    assert not is_expired_token(403, b"")
