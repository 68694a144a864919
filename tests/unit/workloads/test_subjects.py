"""Ids as subject tokens: no id may reach another's subject, nor a wildcard."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common import subjects
from push_workloads.common.subjects import BadId, identifier, token

ids = st.text(min_size=1, max_size=128).filter(lambda text: _fits(text))


def _fits(text: str) -> bool:
    try:
        return len(text.encode()) <= subjects.MAX_ID_BYTES
    except UnicodeEncodeError:
        return False


@given(ids)
def test_a_token_holds_nothing_that_nats_reads(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_=-]+", token(text))


@given(ids)
def test_round_trip(text: str) -> None:
    assert identifier(token(text)) == text


@given(ids, ids)
def test_two_ids_have_two_tokens(one: str, other: str) -> None:
    assert (token(one) == token(other)) == (one == other)


@pytest.mark.parametrize(
    "text", ["", "a" * 129, "é" * 65, "\ud800"], ids=["empty", "long", "long in UTF-8", "lone surrogate"]
)
def test_refused(text: str) -> None:
    with pytest.raises(BadId):
        token(text)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("*", "=2A"),
        (">", "=3E"),
        ("a.b", "a=2Eb"),
        ("a b", "a=20b"),
        ("=2A", "=3D2A"),
        ("é", "=C3=A9"),
        ("A_-9", "A_-9"),
    ],
)
def test_table(text: str, made: str) -> None:
    assert token(text) == made


@given(ids, st.integers(1, 256))
def test_a_channel_has_one_shard(text: str, shards: int) -> None:
    subject = subjects.inbox_subject(text)
    shard = subjects.shard_of(subject, shards)
    assert 0 <= shard < shards
    assert subjects.log_subject(subject, shards) == f"log.{shard}.{subject}"
