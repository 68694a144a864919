"""Cassandra, when the operator runs it: one node, and how the services log in to it.

One node talks to no other, so the port for that is on its loopback. Its identity in its own files is that address too,
and not a pod's, which is another after each restart.
"""

from __future__ import annotations

from typing import Final

from push_operator.model import PushCluster
from push_operator.plan.names import component_name, credentials_name, revision
from push_operator.plan.workload import Address, EnvValue, Port, SecretKey, Workload
from push_operator.stores import Managed

CASSANDRA_PORT: Final = 9042
KEYSPACE: Final = "pushcluster"
DATACENTER: Final = "datacenter1"  # what SimpleSnitch calls it
USER: Final = "push"
PASSWORD_KEY, ADMIN_PASSWORD_KEY = "CASSANDRA_PASSWORD", "CASSANDRA_ADMIN_PASSWORD"
STOP_SECONDS: Final = 60  # it writes what it has in memory to its tables; killed, it reads its commit log the next time

# No other node has a copy: a write is on this one's disk before it is acknowledged.
_CONFIG: Final = f"""\
cluster_name: pushcluster
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
num_tokens: 1
authenticator: PasswordAuthenticator
authorizer: CassandraAuthorizer
listen_address: 127.0.0.1
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: 127.0.0.1
start_native_transport: true
native_transport_port: {CASSANDRA_PORT}
rpc_address: 0.0.0.0
commitlog_sync: batch
hinted_handoff_enabled: false
dump_heap_on_uncaught_exception: false
"""


def cassandra_workload(cluster: PushCluster, managed: Managed) -> Workload:
    """The node. It needs no password of ours: the services that log in first set them."""
    return Workload(
        component="cassandra",
        name=component_name(cluster.name, "cassandra"),
        revision=revision("cassandra", _CONFIG),
        replicas=1,
        env={},
        ports=(Port("client", CASSANDRA_PORT),),
        stop_seconds=STOP_SECONDS,
        storage=managed.storage,
        retain=managed.retain,
        config=_CONFIG,
    )


def cassandra_env(cluster: PushCluster) -> dict[str, EnvValue]:
    """How a service finds the node and logs in; and the administrator's password, to make that login with."""
    secret = credentials_name(cluster.name)
    return {
        "CASSANDRA_CONTACT_POINTS": Address("cassandra", "client"),
        "CASSANDRA_KEYSPACE": KEYSPACE,
        "CASSANDRA_LOCAL_DATACENTER": DATACENTER,
        "CASSANDRA_REPLICATION": "1",
        "CASSANDRA_USER": USER,
        "CASSANDRA_PASSWORD": SecretKey(secret, PASSWORD_KEY),
        "CASSANDRA_ADMIN_PASSWORD": SecretKey(secret, ADMIN_PASSWORD_KEY),
    }
