"""The whole plan of one cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from push_operator.model import PushCluster
from push_operator.plan.backing import backing_workloads, generated_keys
from push_operator.plan.names import (
    ADMIN_KEY,
    REFRESH_KEY,
    REVISION_KEY,
    VAPID_SEED,
    credentials_name,
    revision,
    signing_key_names,
)
from push_operator.plan.secrets import Secrets, digests
from push_operator.plan.services import service_workloads
from push_operator.plan.workload import GeneratedSecret, Plan, SecretKey, Workload


def build(cluster: PushCluster, origins: tuple[str, ...] = ()) -> Plan:
    """What must run for this cluster. `origins` are the cluster's own web pages, beside those that the manifest allows
    to call the services from a browser."""
    service_key = ("SERVICE_KEY",) if cluster.service_key_secret is None else ()
    vapid = (VAPID_SEED,) if cluster.notifications.web_push.vapid_secret is None else ()
    own = (*service_key, ADMIN_KEY, REFRESH_KEY, *vapid)
    keys = (*signing_key_names(cluster.tokens), *own, *generated_keys(cluster))
    workloads = backing_workloads(cluster) + service_workloads(cluster, origins + cluster.allowed_origins)
    retain = any(one.retain for one in workloads if one.storage)

    def plan(keys: tuple[str, ...]) -> Plan:
        secret = GeneratedSecret(credentials_name(cluster.name), keys, retain)
        return Plan(workloads, (secret,), cluster.version, cluster.image, cluster.expose, cluster.monitoring)

    made = plan(keys)
    return plan((*keys, REVISION_KEY)) if made.given_keys() else made


def with_secrets(plan: Plan, found: Secrets) -> Plan:
    """The plan with the values of the user's Secrets in it: another value is another revision of each workload that
    uses it."""
    known = digests(plan.given_keys(), found)
    return replace(plan, workloads=tuple(_with_values(workload, known) for workload in plan.workloads))


def _with_values(workload: Workload, known: Mapping[str, str]) -> Workload:
    paths = {value.path for value in workload.env.values() if isinstance(value, SecretKey)}
    own = {path: known[path] for path in paths if path in known}
    return replace(workload, revision=revision(workload.revision, own)) if own else workload
