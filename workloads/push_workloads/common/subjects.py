"""Channels as NATS subjects. Pure.

Every id becomes exactly one subject token, injectively and without NATS' own signs: a user whose id was `*` would
otherwise read everyone's inbox.
"""

from __future__ import annotations

import re
import zlib

MAX_ID_BYTES = 128
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_ESCAPE = re.compile(rb"[^A-Za-z0-9_-]")
_UNESCAPE = re.compile(rb"=([0-9A-F]{2})")
_LETTERS = {"user": "u.", "group": "g.", "topic": "t."}
_KINDS = {letter: f"{kind}:" for kind, letter in _LETTERS.items()}


class BadId(ValueError):
    """The id is empty, too long, or not text that UTF-8 can hold."""


def token(identifier: str) -> str:
    """One subject token for one id: `[A-Za-z0-9_-]` stays, any other byte becomes `=XX`.

    Raises BadId when the id is empty, over 128 bytes of UTF-8, or holds a lone surrogate.
    """
    if _PLAIN.fullmatch(identifier):
        return identifier
    try:
        raw = identifier.encode()
    except UnicodeEncodeError as error:
        raise BadId("an id must be valid Unicode text") from error
    if not 1 <= len(raw) <= MAX_ID_BYTES:
        raise BadId(f"an id has 1 to {MAX_ID_BYTES} bytes")
    return _ESCAPE.sub(lambda found: b"=%02X" % found[0][0], raw).decode("ascii")


def identifier(subject_token: str) -> str:
    """The id that `token` made this token from."""
    return _UNESCAPE.sub(lambda found: bytes([int(found[1], 16)]), subject_token.encode("ascii")).decode()


def inbox(user_id: str) -> str:
    """The channel of a user's own inbox, as clients see it."""
    return f"user:{user_id}"


def inbox_subject(user_id: str) -> str:
    return "u." + token(user_id)


def group(group_id: str) -> str:
    """The channel of a group, as clients see it."""
    return f"group:{group_id}"


def channel_subject(channel: str) -> str:
    """The subject of a channel by the name that clients use: `user:<id>`, `group:<id>` or `topic:<name>`.

    Raises BadId when it is none of these, or the id is not well-formed.
    """
    kind, colon, identifier = channel.partition(":")
    if not colon or kind not in _LETTERS:
        raise BadId("a channel is user:ID, group:ID or topic:NAME")
    return _LETTERS[kind] + token(identifier)


def channel_name(subject: str) -> str:
    """The channel that `channel_subject` made this of."""
    return _KINDS[subject[:2]] + identifier(subject[2:])


def shard_of(channel_subject: str, shards: int) -> int:
    """Which log a channel lives in. The count is fixed for the life of a cluster: changing it would move channels."""
    return zlib.crc32(channel_subject.encode("ascii")) % shards if shards > 1 else 0


def stream_name(shard: int) -> str:
    return f"LOG_{shard}"


def log_subject(channel_subject: str, shards: int) -> str:
    return f"log.{shard_of(channel_subject, shards)}.{channel_subject}"


def logged_channel(subject: str) -> str:
    """The subject of the channel whose log this is a message of: what `log_subject` was made from."""
    return subject.split(".", 2)[2]


def delivery_subject(channel_subject: str) -> str:
    return "dlv." + channel_subject


def ephemeral_subject(channel_subject: str) -> str:
    """Where what is not stored is told to the readers of a channel: typing, receipts, presence. Each message there is a
    whole frame. Whoever reads a channel watches `*.<channel subject>`: one interest for what is logged and what is not.
    """
    return "eph." + channel_subject


def reading_subject(channel_subject: str) -> str:
    return "*." + channel_subject
