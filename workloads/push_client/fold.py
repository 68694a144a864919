"""What a conversation shows, from all its messages. Pure; `fold` in the JavaScript client is its twin, and both pass
the same table (tests/unit/client/folds.json).

Edits, deletions and reactions are messages of their own that name another one in `ref`. Clients judge them, because a
server that did would have to read every message before it takes the next:

* an edit or a deletion counts only when it is `from` the author of its `ref`; the newest edit wins, a deletion ends it;
* a reaction is anyone's, one of each emoji per user; `"remove": true` takes it back, the newest word counts;
* what names an unknown message waits for it; what is not well-formed, or of an unknown kind, is not shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from push_client.events import Message

MAX_EMOJI: Final = 32  # characters: some are made of many
SHOWN_KINDS: Final = frozenset({"text", "system"})


@dataclass(slots=True)
class Shown:
    """`content` None and no reactions once it is `deleted`. `reactions`: for each emoji who reacted with it, in order
    of time."""

    message: Message
    content: Any
    edited: bool = False
    deleted: bool = False
    reactions: dict[str, list[str]] = field(default_factory=dict)


def fold(messages: Iterable[Message]) -> list[Shown]:
    """All that is to be shown, by (sent_at, message_id). The messages may come in any order, and more than once."""
    known = {message.message_id: message for message in messages}
    ordered = sorted(known.values(), key=lambda message: (message.sent_at, message.message_id))
    shown = {one.message_id: Shown(one, one.content) for one in ordered if one.kind in SHOWN_KINDS}
    for message in ordered:
        about = shown.get(message.ref or "")
        if about is not None and not about.deleted:
            _apply(about, message)
    return list(shown.values())


def _apply(about: Shown, message: Message) -> None:
    own = message.sender == about.message.sender
    if message.kind == "edit" and own:
        about.content, about.edited = message.content, True
    elif message.kind == "delete" and own:
        about.content, about.deleted, about.reactions = None, True, {}
    elif message.kind == "reaction":
        _react(about.reactions, message)


def _react(reactions: dict[str, list[str]], message: Message) -> None:
    content = message.content if isinstance(message.content, dict) else {}
    emoji = content.get("emoji")
    if not isinstance(emoji, str) or not 1 <= len(emoji) <= MAX_EMOJI:
        return
    users = reactions.get(emoji, [])
    if content.get("remove") is True:
        users = [user for user in users if user != message.sender]
    elif message.sender not in users:
        users = [*users, message.sender]
    if users:
        reactions[emoji] = users
    else:
        reactions.pop(emoji, None)
