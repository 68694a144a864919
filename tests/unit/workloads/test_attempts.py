"""How long the next attempt at a password has to wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.auth.accounts import BadCredentials
from push_workloads.auth.attempts import ACCOUNT, ADDRESS, Attempts, MemoryCounts, Policy, network_of, wait_after
from push_workloads.common.errors import RateLimited, Unavailable

ADA, HOME, ELSEWHERE = "ada@example.com", "192.0.2.1", "198.51.100.7"


@pytest.mark.parametrize(
    ("attempts", "wait_ms"), [(0, 0), (4, 0), (5, 1000), (6, 2000), (10, 32_000), (14, 300_000), (10**9, 300_000)]
)
def test_the_wait_doubles_up_to_its_most(attempts: int, wait_ms: int) -> None:
    assert wait_after(attempts, ACCOUNT) == wait_ms


@given(st.integers(0, 10**6), st.sampled_from([ACCOUNT, ADDRESS]))
def test_more_attempts_never_wait_less(attempts: int, policy: Policy) -> None:
    assert wait_after(attempts, policy) <= wait_after(attempts + 1, policy) <= policy.most_ms


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_an_address_counts_as_its_customers(address: str, network: str) -> None:
    assert network_of(address) == network


class Guesser:
    """Attempts with a clock that is turned by hand."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.attempts = Attempts(MemoryCounts(lambda: self.now_ms), MemoryCounts(lambda: self.now_ms))

    async def try_(self, *, right: bool = False, email: str = ADA, address: str = ELSEWHERE) -> int | None:
        """The wait that it is told in ms, 0 when it was wrong, None when it was right."""

        async def whether() -> bool:
            return right

        try:
            await self.attempts.check(email, address, whether)
        except RateLimited as error:
            return error.retry_after_ms
        except BadCredentials:
            return 0
        return None


async def test_each_wrong_one_makes_the_next_wait_longer() -> None:
    guesser = Guesser()
    assert [await guesser.try_() for _ in range(7)] == [0] * 5 + [1000, 1000]  # in the wait nothing is counted
    for wait in (2000, 4000, 8000):
        guesser.now_ms += wait // 2
        assert await guesser.try_() == 0
        assert await guesser.try_() == wait
    guesser.now_ms += ACCOUNT.window_ms
    assert await guesser.try_() == 0
    assert await guesser.try_() == 0


async def test_an_account_that_is_not_there_waits_the_same() -> None:
    guesser = Guesser()
    assert [await guesser.try_(email="nobody@example.com") for _ in range(6)] == [0] * 5 + [1000]


async def test_an_owner_gets_in_from_where_they_were_before() -> None:
    guesser = Guesser()
    assert await guesser.try_(right=True, address=HOME) is None
    for _ in range(40):
        await guesser.try_()
        guesser.now_ms += ACCOUNT.most_ms
    assert await guesser.try_() == 0
    assert await guesser.try_() == ACCOUNT.most_ms
    assert await guesser.try_(right=True, address=HOME) is None
    assert await guesser.try_() == ACCOUNT.most_ms  # which is no help to the one elsewhere
    assert [await guesser.try_(address=HOME) for _ in range(6)] == [0] * 5 + [1000]  # nor is home a place to guess from


async def test_nobody_waits_longer_than_the_most() -> None:
    guesser = Guesser()
    for _ in range(200):
        await guesser.try_()
        guesser.now_ms += 1000
    guesser.now_ms += ACCOUNT.most_ms
    assert await guesser.try_(right=True) is None
    assert await guesser.try_() == 0


async def test_an_address_that_guesses_at_many_waits_too_and_a_good_login_in_between_is_no_help() -> None:
    guesser = Guesser()
    for number in range(ADDRESS.free):
        assert await guesser.try_(email=f"user{number}@example.com") == 0
        if number % 3 == 1:
            assert await guesser.try_(right=True, email="eve@example.com") is None
    assert await guesser.try_(email="one-more@example.com") == 1000
    assert await guesser.try_(email="one-more@example.com", address=HOME) == 0


async def test_what_was_not_found_out_does_not_count() -> None:
    guesser = Guesser()

    async def busy() -> bool:
        raise Unavailable("too many")

    for _ in range(50):
        with pytest.raises(Unavailable):
            await guesser.attempts.check(ADA, ELSEWHERE, busy)
    assert await guesser.try_() == 0


async def test_counts_in_memory_are_bounded() -> None:
    counts = MemoryCounts(lambda: 0, remembered=10)
    for number in range(100):
        await counts.end(await counts.begin(f"user{number}", f"192.0.2.{number}"), good=number % 2 == 0)
    assert len(counts._counts) <= 10
    assert len(counts._known) <= 10
