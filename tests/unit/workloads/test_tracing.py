"""Whose message is traced, and what is read of a header; the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from aiohttp import ClientSession
from hypothesis import given
from hypothesis import strategies as st
from tests.support.collector import collecting, decoded

from push_workloads.common import collector as collector_module
from push_workloads.common.collector import SpanKeeper, tracing
from push_workloads.common.config import ConfigError, Env
from push_workloads.common.ids import uuid7
from push_workloads.common.otlp import Ended, request
from push_workloads.common.sending import SEND_SECONDS, Publish, headers
from push_workloads.common.tracing import Kind, Parent, TracingConfig, parent_of
from push_workloads.gateway.traces import MAX_OPEN, Traces

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ALL = TracingConfig("http://collector:4318", 1.0)


def test_a_header_is_read_as_the_standard_has_it() -> None:
    assert parent_of(f"00-{TRACE}-{SPAN}-01") == Parent(TRACE, SPAN)


@given(st.text() | st.from_regex(r"0[0-9]-[0-9a-f]{31,33}-[0-9a-f]{15,17}-[0-9]{2}") | st.none())
def test_what_is_none_is_none(text: str | None) -> None:
    found = parent_of(text)
    assert found is None or (text is not None and text.startswith(f"00-{found.trace}-{found.span}-"))


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.5, 1.0])
def test_the_share_that_is_asked_for_is_taken(ratio: float) -> None:
    ids = [uuid7(1_764_000_000_000 + number, number.to_bytes(10, "big")) for number in range(20_000)]
    taken = sum(TracingConfig("http://c", ratio).takes(one) for one in ids)
    assert abs(taken / len(ids) - ratio) < 0.005


def _read(**values: str) -> TracingConfig:
    env = Env(values)
    made = TracingConfig.read(env)
    env.check()
    return made


def test_it_is_off_unless_there_is_a_collector() -> None:
    assert _read() == _read(TRACING_RATIO="1") == TracingConfig(None, 0.0)
    assert not TracingConfig().takes("any")
    assert _read(TRACING_ENDPOINT="http://collector:4318/") == TracingConfig("http://collector:4318", 0.01)
    assert _read(TRACING_ENDPOINT="https://c/otlp", TRACING_RATIO="0.5") == TracingConfig("https://c/otlp", 0.5)


@pytest.mark.parametrize("values", [
    {"TRACING_ENDPOINT": "collector:4318"},
    {"TRACING_ENDPOINT": "http://c", "TRACING_RATIO": "1.1"},
    {"TRACING_ENDPOINT": "http://c", "TRACING_RATIO": "-0.1"},
    {"TRACING_ENDPOINT": "http://c", "TRACING_RATIO": "nan"},
    {"TRACING_ENDPOINT": "http://c", "TRACING_RATIO": "some"},
])  # fmt: skip
def test_what_is_wrong_is_named(values: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=list(values)[-1]):
        _read(**values)


# What is sent ---------------------------------------------------------------------------------------------------------

_names = st.text(min_size=1, max_size=20)
_ended = st.builds(
    Ended, st.binary(min_size=16, max_size=16).map(bytes.hex), st.binary(min_size=8, max_size=8).map(bytes.hex),
    st.just("") | st.binary(min_size=8, max_size=8).map(bytes.hex), _names, st.sampled_from(Kind),
    st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1),
    st.dictionaries(_names, _names | st.integers(-(2**63), 2**63 - 1), max_size=3), st.just("") | _names,
)  # fmt: skip


@given(st.lists(_ended, max_size=3))
def test_a_request_is_what_opentelemetry_says_it_is(spans: list[Ended]) -> None:
    told = decoded(request("gateway", "one", spans)).resource_spans[0]
    assert {one.key: one.value.string_value for one in told.resource.attributes} == {
        "service.name": "push-gateway", "service.instance.id": "one",
    }  # fmt: skip
    assert [
        Ended(
            one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex(), one.name, Kind(one.kind),
            one.start_time_unix_nano, one.end_time_unix_nano,
            {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in one.attributes},
            one.status.message if one.status.code == 2 else "",
        )
        for one in told.scope_spans[0].spans
    ] == spans  # fmt: skip


async def test_spans_go_out_together_and_are_lost_when_nobody_takes_them(caplog: pytest.LogCaptureFixture) -> None:
    async with collecting() as collector, ClientSession() as session:
        keeper = SpanKeeper(session, collector.url, "gateway", "one")
        first = keeper.begin("send", Kind.SERVER, None)
        keeper.begin("log publish", Kind.PRODUCER, first.traceparent, attributes={"n": 1}).end("no")
        first.end()
        await keeper.flush()
        below, above = collector.spans
        assert (below.parent, below.trace, below.failure, below.attributes) == (
            above.span,
            above.trace,
            "no",
            {"n": "1"},
        )
        collector.refusals = 2
        for _ in range(3):
            keeper.begin("send", Kind.SERVER, None).end()
            await keeper.flush()
        assert len(collector.spans) == 3
        records = [record for record in caplog.records if record.name == collector_module.__name__]
        told = [record.getMessage().partition(":")[0] for record in records]
        assert told == ["the collector of traces takes nothing", "spans were lost"]
        assert records[-1].__dict__["spans"] == 2


async def test_no_more_wait_than_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector_module, "MAX_WAITING", 3)
    async with collecting() as collector, ClientSession() as session:
        keeper = SpanKeeper(session, collector.url, "gateway", "one")
        for _ in range(5):
            keeper.begin("send", Kind.SERVER, None).end()
        await keeper.flush()
        assert len(collector.spans) == 3


async def test_what_has_ended_is_sent_on_the_way_out() -> None:
    async with collecting() as collector:
        async with tracing(TracingConfig(collector.url, 1.0), "gateway", "one") as tracer:
            assert tracer is not None
            tracer.begin("send", Kind.SERVER, None).end()
        assert len(collector.spans) == 1
    async with tracing(TracingConfig(), "gateway", "one") as off:
        assert off is None


# What is open ---------------------------------------------------------------------------------------------------------


@dataclass
class MemorySpan:
    name: str
    traceparent: str
    parent: str | None
    ends: list[str | None] = field(default_factory=list)

    def end(self, failure: str | None = None) -> None:
        self.ends.append(failure)


class MemoryTracer:
    def __init__(self) -> None:
        self.spans: list[MemorySpan] = []

    def begin(
        self, name: str, kind: Kind, parent: str | None, *, start_ns: int | None = None,
        attributes: Mapping[str, str | int] | None = None,
    ) -> MemorySpan:  # fmt: skip
        self.spans.append(MemorySpan(name, f"span {len(self.spans)}", parent))
        return self.spans[-1]

    @property
    def ends(self) -> list[list[str | None]]:
        return [one.ends for one in self.spans]


def _copy(message_id: str = "m", subject: str = "u.ann") -> Publish:
    return Publish(message_id, subject, b'{"sent_at":1764000000000}')


@pytest.mark.parametrize("ack_first", [False, True])
def test_a_message_ends_with_its_ack_and_each_copy_with_its_answer(ack_first: bool) -> None:
    tracer = MemoryTracer()
    traces = Traces(tracer, ALL)
    first, second = _copy(subject="u.bob"), _copy()
    traces.publishing(first, 0.0)
    traces.answered(first, None)
    traces.publishing(second, 0.1)
    if ack_first:
        traces.acknowledged("m")
    traces.answered(second, None)
    traces.acknowledged("m")
    assert [one.name for one in tracer.spans] == ["send", "log publish", "log publish"]
    assert [one.parent for one in tracer.spans] == [None, "span 0", "span 0"]
    assert headers(first)["traceparent"] == "span 1"
    assert tracer.ends == [[None]] * 3
    traces.acknowledged("m")  # nothing is left that could end twice
    traces.answered(second, None)
    traces.sweep(1000.0)
    assert tracer.ends == [[None]] * 3


def test_what_the_log_refuses_ends_the_message() -> None:
    tracer = MemoryTracer()
    traces = Traces(tracer, ALL)
    copy = _copy()
    traces.publishing(copy, 0.0)
    traces.answered(copy, "the log is away")
    assert tracer.ends == [["the log is away"]] * 2


def test_what_is_never_answered_is_given_up_after_the_time_that_a_send_has() -> None:
    tracer = MemoryTracer()
    traces = Traces(tracer, ALL)
    traces.publishing(_copy("old"), 0.0)
    traces.publishing(_copy("new"), 10.0)
    traces.sweep(SEND_SECONDS - 0.1)
    assert tracer.ends == [[], [], [], []]
    traces.sweep(SEND_SECONDS)
    assert tracer.ends == [["not acknowledged"], ["not acknowledged"], [], []]


def test_no_more_are_open_than_may_be() -> None:
    tracer = MemoryTracer()
    traces = Traces(tracer, ALL)
    for number in range(MAX_OPEN + 5):
        traces.publishing(_copy(str(number)), 0.0)
    assert sum(not ends for ends in tracer.ends) == 2 * MAX_OPEN


def test_what_is_not_among_the_share_has_no_span_and_no_header() -> None:
    tracer = MemoryTracer()
    traces = Traces(tracer, TracingConfig("http://c", 0.0))
    copy = _copy()
    traces.publishing(copy, 0.0)
    traces.answered(copy, None)
    traces.acknowledged("m")
    assert tracer.spans == []
    assert "traceparent" not in headers(copy)
