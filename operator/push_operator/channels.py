"""What the manifest says of channels: who may use which topics, and how long messages are kept, as values. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from push_operator.fields import Node

RIGHTS: Final = ("everyone", "service")
_RIGHT: Final = " or ".join(RIGHTS)
MAX_TOPICS: Final = 200
MAX_USERS: Final = 50  # of one list; a longer one is set over the message service's API
# Of all prefixes and users together: with 4 bytes a character, quotes and field names they still make one environment
# variable, which has less than 128 KiB on Linux.
MAX_CHARACTERS: Final = 16_384
MAX_DAYS: Final = 7300  # 20 years: no longer can Cassandra count down to the end of a row
# No control characters, and no half of a character, which no JSON can carry.
_ID: Final = r"[^\x00-\x1f\x7f\ud800-\udfff]{1,128}"
_ID_MEANS: Final = "1 to 128 characters, none of them a control character"


@dataclass(frozen=True, slots=True)
class TopicPolicy:
    """Who may read and write the topics whose names begin with `prefix`: everyone who is signed in, or only the holder
    of the service credential; besides these the users who are listed. The longest prefix of a name decides."""

    prefix: str
    read: str
    write: str
    readers: tuple[str, ...]
    writers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HistoryDays:
    """For how many days messages are kept, by the kind of their channel; 0 is for ever."""

    direct: int
    group: int
    topic: int


def topics_of(spec: Node) -> tuple[TopicPolicy, ...]:
    """What `spec.topics` says, in the order of the prefixes."""
    made = tuple(_topic(one) for one in spec.children("topics", MAX_TOPICS))
    if len({one.prefix for one in made}) != len(made):
        spec.fault("topics", "must not name one prefix twice")
    if sum(len(text) for one in made for text in (one.prefix, *one.readers, *one.writers)) > MAX_CHARACTERS:
        spec.fault("topics", f"has over {MAX_CHARACTERS} characters of prefixes and users: long lists go to the API")
    return tuple(sorted(made, key=lambda one: one.prefix))


def _topic(node: Node) -> TopicPolicy:
    made = TopicPolicy(
        prefix=node.text("prefix", "", _ID, _ID_MEANS),
        read=node.choice("read", "service", RIGHTS),
        write=node.choice("write", "service", RIGHTS),
        readers=_users(node, "readers"),
        writers=_users(node, "writers"),
    )
    for name, means in (("prefix", "what the topics' names begin with"), ("read", _RIGHT), ("write", _RIGHT)):
        if not node.has(name):
            node.fault(name, f"required: {means}")
    node.done()
    return made


def _users(node: Node, name: str) -> tuple[str, ...]:
    users = node.texts(name, _ID, f"a user's id: {_ID_MEANS}", MAX_USERS)
    if len(set(users)) != len(users):
        node.fault(name, "must not name one twice")
    return tuple(sorted(users))


def policies_text(policies: Sequence[TopicPolicy]) -> str:
    """As the message service reads them; equal policies are equal texts."""
    listed = [
        {
            "prefix": one.prefix,
            "read": one.read,
            "write": one.write,
            **({"readers": one.readers} if one.readers else {}),
            **({"writers": one.writers} if one.writers else {}),
        }
        for one in policies
    ]
    return json.dumps(listed, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def history_of(node: Node) -> HistoryDays:
    """What `spec.history` says."""
    made = HistoryDays(
        direct=node.integer("directDays", 0, 0, MAX_DAYS),
        group=node.integer("groupDays", 0, 0, MAX_DAYS),
        topic=node.integer("topicDays", 30, 0, MAX_DAYS),
    )
    node.done()
    return made
