"""Identifiers."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common.ids import message_id_of, ms_of, uuid7

times = st.integers(0, 2**48 - 1)
entropies = st.binary(min_size=10, max_size=16)


@given(times, entropies)
def test_uuid7_tells_its_time(now: int, entropy: bytes) -> None:
    assert ms_of(uuid7(now, entropy)) == now


@given(times, entropies)
def test_uuid7_is_a_uuid_of_version_7(now: int, entropy: bytes) -> None:
    made = uuid.UUID(uuid7(now, entropy))
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == now


@given(times, times, entropies, entropies)
def test_uuid7_sorts_by_time(one: int, other: int, first: bytes, second: bytes) -> None:
    if one != other:
        assert (uuid7(one, first) < uuid7(other, second)) == (one < other)


@given(entropies, entropies)
def test_uuid7_keeps_74_random_bits(first: bytes, second: bytes) -> None:
    same = int.from_bytes(first[:10], "big") & ~(0b111111 << 12) == int.from_bytes(second[:10], "big") & ~(
        0b111111 << 12
    )
    assert (uuid7(1, first) == uuid7(1, second)) == same


@given(st.tuples(st.text(), st.text(), st.text()), st.tuples(st.text(), st.text(), st.text()))
def test_message_ids_are_equal_for_equal_keys_only(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    made = message_id_of(*one)
    assert uuid.UUID(made).version == 8
    assert uuid.UUID(made).variant == uuid.RFC_4122
    assert (made == message_id_of(*other)) == (one == other)


def test_parts_of_a_key_do_not_run_into_each_other() -> None:
    assert message_id_of("ab", "c", "d") != message_id_of("a", "bc", "d")
