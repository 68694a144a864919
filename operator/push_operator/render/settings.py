"""Configuration files, and the generated Secret."""

from __future__ import annotations

from collections.abc import Mapping

from push_operator.plan.workload import GeneratedSecret, Plan
from push_operator.render.cassandra import LOGBACK
from push_operator.render.objects import Object, Owner, made, metadata
from push_operator.render.workloads import config_name

_BESIDE = {"cassandra": {"logback.xml": LOGBACK}}  # what a server reads besides its configuration


def config_objects(owner: Owner, plan: Plan) -> list[Object]:
    return [
        made(owner, "v1", "ConfigMap", config_name(one), one.component,
             data={f"{one.component}.conf": one.config, **_BESIDE.get(one.component, {})})
        for one in plan.workloads
        if one.config is not None
    ]  # fmt: skip


def generated_secret(owner: Owner, secret: GeneratedSecret, values: Mapping[str, str]) -> Object:
    """The only object with secret values in it: made by whoever has the randomness, never planned anew."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": metadata(owner, secret.name, None, owned=not secret.retain),
        "stringData": dict(values),
    }
