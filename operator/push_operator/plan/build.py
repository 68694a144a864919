"""The whole plan of one cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from push_operator.model import PushCluster
from push_operator.plan.backing import backing_workloads, generated_keys
from push_operator.plan.names import credentials_name, revision
from push_operator.plan.services import service_workloads
from push_operator.plan.workload import GeneratedSecret, Plan, SecretKey, Workload


def build(
    cluster: PushCluster, origins: tuple[str, ...] = (), digests: Mapping[str, str] = MappingProxyType({})
) -> Plan:
    """What must run for this cluster. `origins` are the cluster's own web pages, beside those that the manifest allows
    to call the services from a browser. `digests` of Secret values, as `Observed` has them: another value is another
    revision of each workload that uses it."""
    keys: tuple[str, ...] = ("JWT_SECRET",) if cluster.tokens.signing_keys_secret is None else ()
    keys += generated_keys(cluster)
    services = service_workloads(cluster, origins + cluster.allowed_origins)
    workloads = tuple(_with_values(workload, digests) for workload in backing_workloads(cluster) + services)
    retain = any(one.retain for one in workloads if one.storage)
    secrets = (GeneratedSecret(credentials_name(cluster.name), keys, retain),) if keys else ()
    return Plan(workloads, secrets, cluster.version, cluster.image, cluster.expose)


def _with_values(workload: Workload, digests: Mapping[str, str]) -> Workload:
    """The workload with the values of its own Secret keys, as far as they are known, in its revision."""
    paths = {value.path for value in workload.env.values() if isinstance(value, SecretKey)}
    own = {path: digests[path] for path in paths if path in digests}
    return replace(workload, revision=revision(workload.revision, own)) if own else workload
