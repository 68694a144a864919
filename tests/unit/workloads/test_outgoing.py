"""What of a message is taken, beyond what the types say."""

from __future__ import annotations

import pytest
from msgspec import Raw

from push_workloads.common.outgoing import Outgoing, PushHint, unusable
from push_workloads.common.tokens import SERVICE


@pytest.mark.parametrize(
    ("hint", "user_id", "words"),
    [
        (PushHint(call=True), "ann", "push.call: phones ring for your own servers alone"),
        (PushHint(call=True, silent=True), SERVICE, "say either `call` or `silent`"),
        (PushHint(call=True), SERVICE, None),
        (PushHint(silent=True), "ann", None),
        (None, "ann", None),
    ],
)
def test_who_may_have_phones_ring(hint: PushHint | None, user_id: str, words: str | None) -> None:
    refusal = unusable(Outgoing(recipient_id="bob", content=Raw(b"1"), push=hint), user_id)
    assert refusal is None if words is None else words in (refusal or "")
