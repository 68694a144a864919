"""What NATS servers say at their monitoring ports, as one Bus. Pure.

In a cluster each server speaks for itself: of a consumer's numbers only those of its leader are true (a follower says
that nothing waits, whatever waits), and slow consumers and connections are those of one server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from push_operator.admin.stats import Nonsense, count
from push_operator.fleet.values import Bus

GATEWAY: Final = "gateway"  # its connection's name is this, a slash and the unit's; of an earlier version this alone
HISTORY: Final = "history"  # the consumer of each shard of the log
PUSH_STREAM, PUSH_CONSUMER = "PUSH", "push"
MAX_TEXT: Final = 256
Said = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Server:
    """One server's answers. `lags`: messages that wait, by (stream, consumer), of the consumers that it leads.
    `pending` has one (unit, address, bytes) for each gateway's connection."""

    id: str
    name: str
    started: str
    slow_consumers: int
    lags: Mapping[tuple[str, str], int] = field(default_factory=dict)
    pending: tuple[tuple[str, str, int], ...] = ()


def parse_server(varz: Said) -> Server:
    """Who answers. Raises Nonsense."""
    return Server(
        _text(varz, "server_id"), _text(varz, "server_name"), _text(varz, "start"), count(varz, "slow_consumers")
    )


def parse_lags(name: str, jsz: Said) -> Mapping[tuple[str, str], int]:
    """Of the consumers that the server called `name` leads; a server that is no part of a cluster leads its own. Who
    has the name twice, in two accounts, is left out: which of them is ours cannot be told. Raises Nonsense."""
    led = [
        ((_text(stream, "name"), _text(consumer, "name")), _waiting(consumer))
        for account in _objects(jsz, "account_details")
        for stream in _objects(account, "stream_detail")
        for consumer in _objects(stream, "consumer_detail")
        if _leads(name, consumer)
    ]
    seen = Counter(key for key, _ in led)
    return {key: waiting for key, waiting in led if seen[key] == 1}


def parse_pending(connz: Said) -> tuple[tuple[str, str, int], ...]:
    """Of the gateways' connections on one page. Raises Nonsense."""
    return tuple(
        (unit, f"{one.get('ip')}:{one.get('port')}", count(one, "pending_bytes"))
        for one in _objects(connz, "connections")
        if (unit := _gateway(one.get("name"))) is not None
    )


def bus_of(servers: Iterable[Server], shards: int, at: float) -> Bus:
    """Of the servers that answered, each once however often it did. There is at least one."""
    apart = sorted({server.id: server for server in servers}.values(), key=lambda server: server.id)
    return Bus(
        at=at,
        started=" ".join(f"{server.id}@{server.started}" for server in apart),
        slow_consumers=sum(server.slow_consumers for server in apart),
        pending_bytes=_by_name([one for server in apart for one in server.pending]),
        lags=_by_service([server.lags for server in apart], shards),
    )


def _by_name(pending: Sequence[tuple[str, str, int]]) -> dict[str, int]:
    """Where several connections have one name the address is added, so that they can be counted."""
    seen = Counter(name for name, _, _ in pending)
    return {name if seen[name] == 1 else f"{name} {address}": waiting for name, address, waiting in pending}


def _by_service(lags: Sequence[Mapping[tuple[str, str], int]], shards: int) -> dict[str, int]:
    """A service is left out when one of its consumers is not known: a part of a lag looks like a small one."""
    read = {
        "message": [(f"LOG_{shard}", HISTORY) for shard in range(shards)],
        "push": [(PUSH_STREAM, PUSH_CONSUMER)],
    }
    # Two leaders at once, during an election: nobody falls behind what the one that is behind more says.
    known: dict[tuple[str, str], int] = {}
    for server in lags:
        for key, waiting in server.items():
            known[key] = max(waiting, known.get(key, 0))
    return {
        service: sum(known[consumer] for consumer in consumers)
        for service, consumers in read.items()
        if all(consumer in known for consumer in consumers)
    }


def _leads(name: str, consumer: Said) -> bool:
    cluster = consumer.get("cluster")
    if cluster is None:
        return True
    return isinstance(cluster, dict) and cluster.get("leader") == name


def _waiting(consumer: Said) -> int:
    """What was not delivered yet, and what was and is not acknowledged."""
    return count(consumer, "num_pending") + count(consumer, "num_ack_pending")


def _gateway(name: Any) -> str | None:
    """Whose connection this is; None when it is no gateway's."""
    if not isinstance(name, str):
        return None
    service, _, unit = name.partition("/")
    return (unit or service) if service == GATEWAY else None


def _objects(said: Said, name: str) -> Iterator[Said]:
    """What is not there is empty: a server leaves out its empty lists."""
    listed = said.get(name) or []
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise Nonsense(f"`{name}` is no list of objects")
    return iter(listed)


def _text(said: Said, name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise Nonsense(f"`{name}` is not a text of 1 to {MAX_TEXT} characters")
    return value
