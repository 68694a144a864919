"""How a session with Cassandra comes about, and in words why it does not."""

from __future__ import annotations

import asyncio
from typing import Final

from cassandra import (  # type: ignore[import-untyped]
    AuthenticationFailed,
    ConsistencyLevel,
    UnresolvableContactPoints,
)
from cassandra.auth import PlainTextAuthProvider  # type: ignore[import-untyped]
from cassandra.cluster import (  # type: ignore[import-untyped]
    EXEC_PROFILE_DEFAULT,
    Cluster,
    ExecutionProfile,
    NoHostAvailable,
    Session,
)
from cassandra.policies import (  # type: ignore[import-untyped]
    DCAwareRoundRobinPolicy,
    ExponentialReconnectionPolicy,
    TokenAwarePolicy,
)
from cassandra.query import dict_factory  # type: ignore[import-untyped]

from push_workloads.common.cassandra import CALL_SECONDS, FAILURES, RETRY_MS, Cassandra
from push_workloads.common.config import CassandraConfig
from push_workloads.common.errors import Unavailable

CONNECT_SECONDS: Final = 5.0
PROTOCOL: Final = 4  # the newest that ScyllaDB speaks too


class LoginRefused(Unavailable):
    """Cassandra is there and does not know this user with this password, or does not know them yet."""


async def connect(config: CassandraConfig) -> Cassandra:
    """One attempt, without a keyspace. Raises Unavailable; LoginRefused where that is the reason."""
    return Cassandra(*await _connected(config), config)


async def reconnect(cassandra: Cassandra, config: CassandraConfig) -> None:
    """One attempt at a session anew, under the addresses that the contact points have by now. What was prepared goes
    on to work. Raises Unavailable, and then the old session stays."""
    await cassandra.go_on_with(*await _connected(config))


async def _connected(config: CassandraConfig) -> tuple[Cluster, Session]:
    try:
        return await asyncio.to_thread(_connect, config)
    except (*FAILURES, OSError) as error:
        cause = _cause(error)
        kind = LoginRefused if _is_refused(cause) else Unavailable
        raise kind(f"Cassandra cannot be reached: {_reason(cause)}", retry_after_ms=RETRY_MS) from error


def _connect(config: CassandraConfig) -> tuple[Cluster, Session]:
    cluster = Cluster(
        contact_points=list(config.contact_points),
        port=config.contact_points[0][1],  # of the nodes that it discovers
        auth_provider=PlainTextAuthProvider(config.user, config.password) if config.user else None,
        execution_profiles={EXEC_PROFILE_DEFAULT: _profile(config.local_datacenter)},
        reconnection_policy=ExponentialReconnectionPolicy(0.5, 10.0),
        protocol_version=PROTOCOL,
        connect_timeout=CONNECT_SECONDS,
        control_connection_timeout=CONNECT_SECONDS,
        idle_heartbeat_interval=5,
        idle_heartbeat_timeout=5,
        monitor_reporting_enabled=False,
    )
    try:
        return cluster, cluster.connect()
    except BaseException:
        cluster.shutdown()
        _check_datacenter(cluster, config.local_datacenter)
        raise


def _check_datacenter(cluster: Cluster, wanted: str) -> None:
    """The driver only says that no host is available when the datacenter has another name."""
    there = sorted({host.datacenter for host in cluster.metadata.all_hosts() if host.datacenter})
    if there and wanted not in there:
        raise Unavailable(f"Cassandra has no node in datacenter {wanted}; there is {', '.join(there)}")


def _profile(datacenter: str) -> ExecutionProfile:
    """Requests go to a replica of the data in this datacenter; another datacenter is never asked."""
    return ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=datacenter)),
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
        request_timeout=CALL_SECONDS,
        row_factory=dict_factory,
    )


def _cause(error: Exception) -> Exception:
    """From the first node that was tried: the outer error only says that none was left."""
    causes = error.errors if isinstance(error, NoHostAvailable) else None
    return next(iter(causes.values()), error) if isinstance(causes, dict) else error


def _is_refused(cause: Exception) -> bool:
    return isinstance(cause, AuthenticationFailed) and "credentials" in str(cause)


def _reason(cause: Exception) -> str:
    if isinstance(cause, UnresolvableContactPoints):
        return "no contact point has an address"
    if isinstance(cause, AuthenticationFailed):
        return "it refuses the login" if _is_refused(cause) else "it wants a login"
    return f"{type(cause).__name__}: {cause}"[:300]
