"""The whole plan of one cluster."""

from __future__ import annotations

from push_operator.model import PushCluster
from push_operator.plan.backing import backing_workloads, generated_keys
from push_operator.plan.names import credentials_name
from push_operator.plan.services import service_workloads
from push_operator.plan.workload import GeneratedSecret, Plan


def build(cluster: PushCluster, origins: tuple[str, ...] = ()) -> Plan:
    """What must run for this cluster. `origins` are the web pages that browsers may call the services from."""
    keys: tuple[str, ...] = ("JWT_SECRET",) if cluster.tokens.signing_keys_secret is None else ()
    keys += generated_keys(cluster)
    workloads = backing_workloads(cluster) + service_workloads(cluster, origins)
    retain = any(one.retain for one in workloads if one.storage)
    secrets = (GeneratedSecret(credentials_name(cluster.name), keys, retain),) if keys else ()
    return Plan(workloads, secrets, cluster.version, cluster.image)
