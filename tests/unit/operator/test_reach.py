"""Whether servers are there: which are asked, when, and what is said; and the asking itself, on real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from tests.support.servers import free_port
from tests.support.services import listening
from tests.unit.operator.manifests import cluster

from push_operator.cluster.kubernetes.hosts import names_from
from push_operator.cluster.reach import NO_NAME, REFUSED, lost
from push_operator.plan.reach import Lost, Point, Target, is_due, targets, told

CASSANDRA = {"contactPoints": ["a", "b.example:9043", "[fd00::1]:9044"], "keyspace": "k", "localDatacenter": "d"}


def test_what_the_operator_runs_itself_is_not_asked_for() -> None:
    assert targets(cluster()) == ()


def test_the_servers_of_the_manifest_with_their_usual_ports() -> None:
    made = cluster(nats={"url": "nats://bus"}, redis={"url": "rediss://[fd00::1]:6380/1?x=y"}, cassandra=CASSANDRA)
    assert targets(made) == (
        Target("spec.nats.url", (Point("bus", 4222),)),
        Target("spec.redis.url", (Point("fd00::1", 6380),)),
        Target("spec.cassandra.contactPoints", (Point("a", 9042), Point("b.example", 9043), Point("fd00::1", 9044))),
    )


@pytest.mark.parametrize(
    ("generation", "observed", "stalled", "due"),
    [
        (1, None, None, True),
        (2, 1, None, True),
        (2, 2, None, False),
        (2, 2, ("True", "Unreachable"), True),
        (2, 2, ("True", "Rejected"), False),
        (2, 2, ("False", "Valid"), False),
    ],
)
def test_only_what_was_not_applied_yet_waits(
    generation: int, observed: int | None, stalled: tuple[str, str] | None, due: bool
) -> None:
    conditions = [{"type": "Stalled", "status": stalled[0], "reason": stalled[1]}] if stalled else []
    status: dict[str, Any] = {"conditions": conditions, **({"observedGeneration": observed} if observed else {})}
    assert is_due({"metadata": {"generation": generation}, "status": status}) is due


def test_what_is_lost_is_told_with_what_to_do() -> None:
    one = Lost(Target("spec.nats.url", (Point("fd00::1", 4222),)), ("refused",))
    many = Lost(Target("spec.cassandra.contactPoints", (Point("a", 9042), Point("b", 1))), ("no such name", "refused"))
    assert told([]) == ""
    assert (
        told([one]) == "spec.nats.url: [fd00::1]:4222 (refused) accepts no connection: start it or correct the address"
    )
    assert told([one, many], "do it").split("; ")[1] == (
        "spec.cassandra.contactPoints: none of a:9042 (no such name), b:1 (refused) accepts a connection: do it"
    )


def test_a_short_name_is_looked_up_where_the_workloads_are() -> None:
    assert names_from("apps", "redis") == ("redis.apps.svc", "redis")
    assert names_from("apps", "cassandra-0.cassandra") == ("cassandra-0.cassandra.apps.svc", "cassandra-0.cassandra")
    for host in ("redis.example.com", "10.0.0.1", "fd00::1"):
        assert names_from("apps", host) == (host,)


# Asking --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def there() -> Iterator[Point]:
    with closing(listening()) as server:
        yield Point("127.0.0.1", server.getsockname()[1])


@pytest.fixture
def refusing() -> Point:
    return Point("127.0.0.1", free_port())


@pytest.fixture
def silent() -> Iterator[Point]:
    """Its queue of connections is full, so that the kernel answers nobody."""
    with closing(socket.socket()) as server, closing(socket.socket()) as first, closing(socket.socket()) as second:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield Point("127.0.0.1", server.getsockname()[1])


async def test_one_point_that_answers_is_enough(there: Point, refusing: Point, silent: Point) -> None:
    assert await lost([Target("one", (there,)), Target("any", (silent, refusing, there))]) == ()


async def test_why_not_is_told_point_by_point(there: Point, refusing: Point, silent: Point) -> None:
    nobody = Point("no-such-host.invalid", 1)
    absurd = Point("a" * 64 + ".example", 1)
    asked = [Target("there", (there,)), Target("not", (refusing, silent, absurd)), Target("nobody", (nobody,))]
    first, second = await lost(asked)
    assert (first.target.field, first.reasons) == ("not", (REFUSED, "no answer in 2 s", NO_NAME))
    assert second.target.field == "nobody"
    assert "name" in second.reasons[0]  # what exactly depends on how names are looked up here


async def test_any_name_and_any_address_is_enough(there: Point, refusing: Point) -> None:
    asked = [Target("one", (Point("host", there.port),))]
    assert await lost(asked, lambda host: ("a" * 64, "127.0.0.1")) == ()
    assert await lost([Target("one", (Point("localhost", there.port),))]) == ()  # where ::1 refuses, 127.0.0.1 does not
    (missed,) = await lost([Target("one", (Point("host", refusing.port),))], lambda host: ("a" * 64, "127.0.0.1"))
    assert missed.reasons == (REFUSED,)
