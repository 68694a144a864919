"""Secrets: generated ones are made once and never planned anew, users' ones are only read, by name."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Mapping

from push_operator.cluster.kubernetes.api import Api
from push_operator.cluster.kubernetes.kinds import SECRETS
from push_operator.cluster.kubernetes.owned import is_ours
from push_operator.errors import Rejected
from push_operator.plan.names import ADMIN_KEY, REVISION_KEY, credentials_name
from push_operator.plan.secrets import Secrets, known
from push_operator.plan.workload import GeneratedSecret, Plan
from push_operator.render.objects import Owner
from push_operator.render.settings import generated_secret

VALUE_BYTES = 32


async def read_given(api: Api, owner: Owner, plan: Plan, key: str) -> Secrets:
    """What is known of the user's Secrets that the plan refers to; their digests are keyed with `key`."""
    found = {}
    for name in sorted({one.secret for one in plan.given_keys()}):
        live = await api.get(SECRETS, owner.namespace, name)
        if live is not None:
            data = live.get("data") or {}
            found[name] = {entry: known(base64.b64decode(value), key.encode()) for entry, value in data.items()}
    return found


async def revision_key(api: Api, owner: Owner, plan: Plan) -> str:
    """The key for those digests: what is kept, or a new one that `ensure_generated` may be given to keep."""
    for secret in plan.secrets:
        kept = await _kept(api, owner, secret.name, REVISION_KEY) if REVISION_KEY in secret.keys else ""
        if kept:
            return kept
    return _new_value()


async def admin_token(api: Api, owner: Owner) -> str:
    """What makes orders to the gateways good; empty as long as there is none. Read each time: a Secret that was lost,
    and made again, holds another one."""
    return await _kept(api, owner, credentials_name(owner.name), ADMIN_KEY)


async def _kept(api: Api, owner: Owner, name: str, key: str) -> str:
    """A generated value; empty when it is not there."""
    live = await api.get(SECRETS, owner.namespace, name)
    return base64.b64decode(((live or {}).get("data") or {}).get(key, "")).decode()


async def ensure_generated(api: Api, owner: Owner, wanted: GeneratedSecret, drawn: Mapping[str, str]) -> None:
    """Makes the keys that are not there yet, of the values that are `drawn` already or at random; a value, once made,
    never changes."""
    found = await api.get(SECRETS, owner.namespace, wanted.name)
    if found is None:
        await api.create(SECRETS, generated_secret(owner, wanted, _values(wanted.keys, drawn)))
        return
    if not is_ours(owner, found):
        raise Rejected(
            f"Secret {wanted.name} is not this PushCluster's: remove it or give the PushCluster another name"
        )
    missing = [key for key in wanted.keys if key not in (found.get("data") or {})]
    planned = generated_secret(owner, wanted, _values(missing, drawn))
    owners = planned["metadata"].get("ownerReferences", [])
    if missing or owners != (found["metadata"].get("ownerReferences") or []):
        meta = {"namespace": owner.namespace, "name": wanted.name, "ownerReferences": owners,
                "resourceVersion": found["metadata"]["resourceVersion"]}  # fmt: skip
        await api.merge(SECRETS, {"metadata": meta, "stringData": planned["stringData"]})


def _values(keys: Iterable[str], drawn: Mapping[str, str]) -> dict[str, str]:
    return {key: drawn.get(key) or _new_value() for key in keys}


def _new_value() -> str:
    # The letter in front keeps the NATS configuration from reading an all-digit value as a number.
    return "s" + secrets.token_hex(VALUE_BYTES)
