"""What is printed of the keys that sign access tokens."""

from __future__ import annotations

from datetime import UTC, datetime

from push_operator.cli.tables import UNKNOWN, columns
from push_operator.cli.target import Platform
from push_operator.model import parse
from push_operator.tokens import PUBLISH_SECONDS, KeyTimes, schedule

HEAD = ("KEY", "MADE", "SIGNS FROM", "PUBLISHED UNTIL", "STATE")


def keys_told(platform: Platform, now: datetime) -> str:
    """The answer of `push keys list` as text, without the last newline. Raises SpecError."""
    tokens = parse(platform.body).tokens
    name = platform.body["metadata"]["name"]
    if tokens.private_keys_secret:
        return f"{name}: signed with the first key of Secret {tokens.private_keys_secret} (SIGNING_KEYS)"
    if tokens.signing_keys_secret:
        return f"{name}: signed with the shared secret in Secret {tokens.signing_keys_secret} (JWT_SECRET, HS256)"
    rows = schedule(tokens.key_times, tokens.access_token_ttl_seconds)
    seconds = int(now.timestamp())
    current = [row for row in rows if row.signs_from <= seconds][-1]
    lines = [(str(row.made), _at(row.made), _at(row.signs_from), _at(row.until), _state(row, current, seconds))
             for row in rows]  # fmt: skip
    return f"{name}: ES256\n\n{columns([HEAD, *lines])}"


def new_key(keys: str) -> str:
    """Of the keys that there are after a rotation."""
    *others, newest = keys.split(",")
    when = f"it signs in {PUBLISH_SECONDS // 60} minutes" if others else "it signs at once, and all others are void"
    return f"key {newest} is made: {when}"


def _at(seconds: int | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if seconds else UNKNOWN


def _state(row: KeyTimes, current: KeyTimes, now: int) -> str:
    if row is current:
        return "signs"
    if row.signs_from > now:
        return "published, does not sign yet"
    return "over" if row.until is not None and row.until <= now else "checks older tokens"
