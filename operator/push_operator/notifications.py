"""How notifications reach devices: by FCM, APNs and Web Push, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from push_operator.fields import Node

# The same expressions as in crds/pushcluster.yaml.
_APPLE_ID: Final = "[A-Z0-9]{10}"
_TOPIC: Final = "[A-Za-z0-9.-]{1,255}"
_SUBJECT: Final = r"mailto:[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,253}|(?=.{1,512}$)https://[A-Za-z0-9.-]+(/[!-~]*)?"
_SUBJECT_MEANS: Final = "an address such as mailto:push@example.com or https://example.com"
# Enough for every push service but Apple's, which wants one that could be real.
DEFAULT_SUBJECT: Final = "mailto:push@localhost"


@dataclass(frozen=True, slots=True)
class Apns:
    """The Secret has the key `APNS_KEY`: the text of the .p8 file. `topic`: the bundle id of devices that name none."""

    key_secret: str
    key_id: str
    team_id: str
    topic: str
    sandbox: bool


@dataclass(frozen=True, slots=True)
class WebPush:
    """`vapid_secret`: has the key `VAPID_PRIVATE_KEY`; None: a key is generated and kept. `subject`: whom the operators
    of push services may write to."""

    vapid_secret: str | None = None
    subject: str = DEFAULT_SUBJECT


@dataclass(frozen=True, slots=True)
class Notifications:
    """`fcm_secret`: has the key `FCM_SERVICE_ACCOUNT`, None: nothing goes by FCM. `hold_off_seconds`: how long devices
    that are online may take to receive a message before others are told of it."""

    fcm_secret: str | None = None
    apns: Apns | None = None
    web_push: WebPush = field(default_factory=WebPush)
    hold_off_seconds: int = 3
    per_user_per_minute: int = 60


def notifications_of(node: Node) -> Notifications:
    """What `spec.notifications` says. Web Push needs nothing, so it is always there."""
    made = Notifications(
        fcm_secret=_fcm(node.child("fcm")),
        apns=_apns(node.child("apns")),
        web_push=_web_push(node.child("webPush")),
        hold_off_seconds=node.integer("holdOffSeconds", 3, 0, 60),
        per_user_per_minute=node.integer("perUserPerMinute", 60, 1, 100_000),
    )
    node.done()
    return made


def _fcm(node: Node) -> str | None:
    made = node.name_of("serviceAccountSecret")
    _whole(node, {"serviceAccountSecret": "the Secret with the JSON key of a service account"})
    return made


def _apns(node: Node) -> Apns | None:
    made = Apns(
        key_secret=node.name_of("keySecret") or "",
        key_id=node.text("keyId", "", _APPLE_ID, "the 10 characters that Apple names the key by"),
        team_id=node.text("teamId", "", _APPLE_ID, "the 10 characters of your team's id at Apple"),
        topic=node.text("topic", "", _TOPIC, "the bundle id of your app, such as com.example.chat"),
        sandbox=node.boolean("sandbox", False),
    )
    _whole(
        node,
        {
            "keySecret": "the Secret with the text of the .p8 file",
            "keyId": "what Apple names the key by",
            "teamId": "your team's id at Apple",
            "topic": "the bundle id of your app",
        },
    )
    return made if node.given else None


def _web_push(node: Node) -> WebPush:
    made = WebPush(node.name_of("vapidSecret"), node.text("subject", DEFAULT_SUBJECT, _SUBJECT, _SUBJECT_MEANS))
    _whole(node, {"subject": _SUBJECT_MEANS})
    return made


def _whole(node: Node, needed: dict[str, str]) -> None:
    for name, means in needed.items():
        if node.given and not node.has(name):
            node.fault(name, f"required: {means}")
    node.done()
