"""What a process remembers of revoked tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common.config import TokenConfig
from push_workloads.common.errors import Unauthorized, Unavailable
from push_workloads.common.revocations import Revocation, Revocations, Unrevoked
from push_workloads.common.tokens import SERVICE, Tokens

KEY = b"s" * 32
TOKENS = Tokens(TokenConfig(b"k" * 32, 10**9, "pushcluster", KEY))
NOW = 1_700_000_000

_some = st.builds(
    Revocation, st.sampled_from("ab"), st.sampled_from(["1", "2", None]), until=st.integers(1, 9),
    before=st.integers(0, 9),
)  # fmt: skip


@given(st.lists(_some), st.integers(0, 10), st.sampled_from("ab"), st.sampled_from(["1", "2", None]), st.integers(0, 9))
def test_one_is_held_as_long_as_some_revocation_counts(
    given_: list[Revocation], now: int, user: str, session: str | None, issued: int
) -> None:
    held = Revocations()
    for one in given_:
        held.add(one)
    of_session = any(one.session_id is not None and one.session_id == session for one in given_)
    of_user = any(one.session_id is None and one.user_id == user and issued <= one.before for one in given_)
    assert held.hold(user, session, issued) == (of_session or of_user)
    held.sweep(now)
    # What still counts is never forgotten; what is forgotten counts no more.
    counting = [one for one in given_ if one.until > now]
    needed = any(one.session_id is not None and one.session_id == session for one in counting) or any(
        one.session_id is None and one.user_id == user and issued <= one.before for one in counting
    )
    assert held.hold(user, session, issued) >= needed
    held.sweep(10)
    assert len(held) == 0


def test_what_is_known_is_not_new() -> None:
    held = Revocations()
    one, all_of_them = Revocation("ada", "1", 10), Revocation("ada", None, 10, before=5)
    assert [held.add(one), held.add(one), held.add(all_of_them), held.add(all_of_them)] == [True, False, True, False]
    assert held.add(Revocation("ada", None, 10, before=6))


def test_a_revoked_token_is_as_good_as_none() -> None:
    held = Revocations()
    verifier = Unrevoked(TOKENS, held)
    phone, laptop, foreign = (TOKENS.issue("ada", NOW, "t", name) for name in ("phone", "laptop", None))
    with pytest.raises(Unavailable):
        verifier.verify(phone)
    held.complete = True
    held.add(Revocation("ada", "phone", NOW + 10))
    with pytest.raises(Unauthorized):
        verifier.verify(phone)
    assert verifier.verify(laptop).session_id == "laptop"
    held.add(Revocation("ada", None, NOW + 10, before=NOW))
    for text in (laptop, foreign):
        with pytest.raises(Unauthorized):
            verifier.verify(text)
    assert verifier.verify(TOKENS.issue("ada", NOW + 1, "t")).user_id == "ada"
    assert verifier.verify(KEY.decode()).user_id == SERVICE
