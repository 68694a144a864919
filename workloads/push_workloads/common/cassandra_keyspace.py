"""The keyspace itself: made when it is not there, otherwise left as its administrator made it."""

from __future__ import annotations

from push_workloads.common.cassandra import Cassandra
from push_workloads.common.config import CassandraConfig
from push_workloads.common.errors import Unavailable


async def make_keyspace(cassandra: Cassandra, config: CassandraConfig) -> None:
    """Raises Unavailable while the datacenter has fewer nodes than the keyspace is to have copies."""
    found = await cassandra.rows("SELECT keyspace_name FROM system_schema.keyspaces")
    if config.keyspace in {row["keyspace_name"] for row in found}:
        return
    nodes = cassandra.nodes()
    if nodes < config.replication:
        raise Unavailable(
            f"datacenter {config.local_datacenter} has {nodes} nodes, and the keyspace needs {config.replication}"
        )
    await cassandra.change_schema(
        "CREATE KEYSPACE IF NOT EXISTS {ks} WITH replication = {'class': 'NetworkTopologyStrategy', "
        f"'{config.local_datacenter}': {config.replication}}}"
    )
