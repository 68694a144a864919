"""Cursors in one line: what is written is read, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common.subjects import BadId, token
from push_workloads.gateway.cursor_text import format_cursors, parse_cursors
from push_workloads.gateway.frames import Place


def usable(name: str) -> bool:
    try:
        token(name)
    except BadId:
        return False
    return True


EPOCHS = st.text("0123456789abcdef", min_size=1, max_size=12)
CHANNELS = st.just("user:ann") | st.builds(
    lambda kind, name: f"{kind}:{name}", st.sampled_from(["group", "topic"]), st.text(min_size=1).filter(usable)
)


@given(st.dictionaries(CHANNELS, st.builds(Place, EPOCHS, st.integers(0, 2**62)), min_size=1))
def test_what_is_written_is_read(places: dict[str, Place]) -> None:
    text = format_cursors("user:ann", places)
    assert text.isascii() and text.isprintable()
    assert parse_cursors("user:ann", text) == places


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "1;", "2;e;u=0.1", "1;e;u=1.1", "1;e;u=0.-1", "1;e;u.bob=0.1", "1;e;g.=0.1", "1;e;g.a=ZZ=0.1",
        "1;e;g.a=0.1;", "1;e f;u=0.1", "1;e;t.a>=0.1", "1;e;u=0." + "9" * 20, "1;" + "e" * 40_000,
    ],
)  # fmt: skip
def test_what_is_not_one_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Last-Event-ID"):
        parse_cursors("user:ann", text)


@given(st.text())
def test_nothing_else_is_raised(text: str) -> None:
    for attempt in (text, f"1;e;{text}", f"1;e;g.{text}=0.1"):
        try:
            parse_cursors("user:ann", attempt)
        except ValueError:
            continue
