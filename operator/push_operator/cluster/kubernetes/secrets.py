"""Secrets: generated ones are made once and never planned anew, users' ones are only read, by name."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable

from push_operator.cluster.kubernetes.api import Api
from push_operator.cluster.kubernetes.kinds import SECRETS
from push_operator.errors import ClusterError, Rejected
from push_operator.plan.workload import GeneratedSecret, Plan, SecretKey
from push_operator.render.objects import INSTANCE, MANAGED_BY, OPERATOR, Object, Owner
from push_operator.render.settings import generated_secret

VALUE_BYTES = 32


async def check_references(api: Api, owner: Owner, plan: Plan) -> None:
    """Raises Rejected when a workload needs a key that is neither generated nor in a Secret of the user's, or one whose
    value is too short to be of use."""
    generated = {secret.name for secret in plan.secrets}
    for name, keys in sorted(_needed(plan).items()):
        if name in generated:
            continue
        found = await api.get(SECRETS, owner.namespace, name)
        if found is None:
            raise Rejected(f"Secret {name} is not there: make one with the key {', '.join(sorted(keys))}")
        data = found.get("data") or {}
        missing = sorted(keys.keys() - data.keys())
        if missing:
            raise Rejected(f"Secret {name} has no key {', '.join(missing)}: add it")
        for key, least in keys.items():
            size = len(base64.b64decode(data[key]))
            if size < least:
                raise Rejected(f"Secret {name}: {key} has {size} bytes and needs at least {least}")


def _needed(plan: Plan) -> dict[str, dict[str, int]]:
    """Secret → key → the least number of bytes of its value."""
    needed: dict[str, dict[str, int]] = {}
    for workload in plan.workloads:
        for value in workload.env.values():
            if isinstance(value, SecretKey) and not value.optional:
                needed.setdefault(value.secret, {})[value.key] = value.min_bytes
    return needed


async def ensure_generated(api: Api, owner: Owner, wanted: GeneratedSecret) -> None:
    """Makes the keys that are not there yet; a value, once made, never changes."""
    found = await api.get(SECRETS, owner.namespace, wanted.name)
    if found is None:
        await api.create(SECRETS, generated_secret(owner, wanted, _values(wanted.keys)))
        return
    if not is_ours(owner, found):
        raise Rejected(
            f"Secret {wanted.name} is not this PushCluster's: remove it or give the PushCluster another name"
        )
    missing = [key for key in wanted.keys if key not in (found.get("data") or {})]
    planned = generated_secret(owner, wanted, _values(missing))
    owners = planned["metadata"].get("ownerReferences", [])
    if missing or owners != (found["metadata"].get("ownerReferences") or []):
        meta = {"namespace": owner.namespace, "name": wanted.name, "ownerReferences": owners,
                "resourceVersion": found["metadata"]["resourceVersion"]}  # fmt: skip
        await api.merge(SECRETS, {"metadata": meta, "stringData": planned["stringData"]})


def is_ours(owner: Owner, live: Object) -> bool:
    """Made by an operator for a PushCluster of this name; of this very one, or retained from an earlier one.

    Raises ClusterError while the garbage collector has not yet taken away what belonged to an earlier one.
    """
    labels = live["metadata"].get("labels") or {}
    if (labels.get(MANAGED_BY), labels.get(INSTANCE)) != (OPERATOR, owner.name):
        return False
    owners = [one["uid"] for one in live["metadata"].get("ownerReferences") or ()]
    if owners and owner.uid not in owners:
        raise ClusterError(f"{live['kind']} {live['metadata']['name']} of the deleted {owner.name} is still there")
    return True


def _values(keys: Iterable[str]) -> dict[str, str]:
    # The letter in front keeps the NATS configuration from reading an all-digit value as a number.
    return {key: "s" + secrets.token_hex(VALUE_BYTES) for key in keys}
