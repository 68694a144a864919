"""The whole plan of one cluster."""

from __future__ import annotations

from push_operator.model import PushCluster
from push_operator.plan.backing import backing_workloads, generated_keys
from push_operator.plan.names import credentials_name
from push_operator.plan.services import service_workloads
from push_operator.plan.workload import GeneratedSecret, Plan


def build(cluster: PushCluster, origins: tuple[str, ...] = ()) -> Plan:
    """What must run for this cluster. `origins` are the cluster's own web pages, beside those that the manifest allows
    to call the services from a browser."""
    keys: tuple[str, ...] = ("JWT_SECRET",) if cluster.tokens.signing_keys_secret is None else ()
    keys += generated_keys(cluster)
    secrets = (GeneratedSecret(credentials_name(cluster.name), keys),) if keys else ()
    services = service_workloads(cluster, origins + cluster.allowed_origins)
    return Plan(workloads=backing_workloads(cluster) + services, secrets=secrets)
