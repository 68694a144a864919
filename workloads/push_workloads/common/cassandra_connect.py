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


async def connect(config: CassandraConfig) -> Cassandra:
    """One attempt, without a keyspace. Raises Unavailable."""
    try:
        cluster, session = await asyncio.to_thread(_connect, config)
    except (*FAILURES, OSError) as error:
        raise Unavailable(f"Cassandra cannot be reached: {_reason(error)}", retry_after_ms=RETRY_MS) from error
    return Cassandra(cluster, session, config)


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


def _reason(error: Exception) -> str:
    """Why, from the first node that was tried: the outer error only says that none was left."""
    causes = error.errors if isinstance(error, NoHostAvailable) else None
    inner = next(iter(causes.values()), error) if isinstance(causes, dict) else error
    if isinstance(inner, UnresolvableContactPoints):
        return "no contact point has an address"
    if isinstance(inner, AuthenticationFailed):
        return "it refuses the login" if "credentials" in str(inner) else "it wants a login"
    return f"{type(inner).__name__}: {inner}"[:300]
