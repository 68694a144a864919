"""`podTemplate`: what a manifest lays over the pods of one service. Pure: it is taken whole, or every fault is told.

`pod_fields` says which fields there are; here is what they may not touch: by what the operator finds and empties pods,
and what the service's own container is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from push_operator.errors import Fault
from push_operator.pod_containers import EXTRA, INIT, OWN
from push_operator.pod_fields import METADATA, SPEC
from push_operator.shapes import Each, Fields, Leaf, read

Overlay = Mapping[str, Any]
Found = list[Fault]

# Of every service, whether this manifest makes it or not: what is free today must not be taken by a change elsewhere.
OWN_VARIABLES: Final = frozenset({
    "ACCESS_TOKEN_TTL_SECONDS", "ADMIN_TOKEN", "ALLOWED_ORIGINS", "APNS_KEY", "APNS_KEY_ID", "APNS_SANDBOX",
    "APNS_TEAM_ID", "APNS_TOPIC", "AUTH_URL", "CASSANDRA_ADMIN_PASSWORD", "CASSANDRA_CONTACT_POINTS",
    "CASSANDRA_KEYSPACE", "CASSANDRA_LOCAL_DATACENTER", "CASSANDRA_PASSWORD", "CASSANDRA_REPLICATION",
    "CASSANDRA_USER", "DRAIN_RATE", "DRAIN_SECONDS", "FCM_SERVICE_ACCOUNT", "HISTORY_DAYS_DIRECT",
    "HISTORY_DAYS_GROUP", "HISTORY_DAYS_TOPIC", "INSTANCE", "JWT_SECRET", "LOG_MAX_AGE_HOURS", "LOG_MAX_BYTES",
    "LOG_SHARDS", "NATS_PASSWORD", "NATS_URL", "NATS_USER", "PRESENCE_GRACE_SECONDS", "PRESENCE_VISIBLE_TO",
    "PUSH_HOLD_OFF_SECONDS", "PUSH_PER_USER_PER_MINUTE", "REDIS_PASSWORD", "REDIS_URL", "REDIS_USER",
    "REFRESH_SECRET", "REGISTRATIONS_PER_HOUR", "SERVICE_KEY", "SIGNING_KEYS", "SQLITE_PATH", "STOP_SECONDS",
    "TOPIC_POLICIES", "TRUSTED_ISSUERS", "VAPID_PRIVATE_KEY", "VAPID_SEED", "VAPID_SUBJECT",
})  # fmt: skip
OWN_BEGINNINGS: Final = ("SIGNING_KEY_", "OAUTH_")  # and when the key was made, and what a provider is called
OWN_VOLUMES: Final = ("scratch", "data", "config")
OWN_PATHS: Final = ("/tmp", "/data", "/etc/pushcluster")  # noqa: S108 - where the volumes of the pod itself are
_OWN_KEYS: Final = frozenset({
    "app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component",
    "app.kubernetes.io/managed-by", "pod-template-hash", "controller.kubernetes.io/pod-deletion-cost",
})  # fmt: skip
_OWN_PREFIX: Final = "pushcluster.io/"
_LOOSENS: Final = "container.apparmor.security.beta.kubernetes.io/"
_CONTAINER: Final = Leaf("a container: a mapping with its name", lambda value: isinstance(value, Mapping))
_TEMPLATE: Final = Fields(
    {
        "metadata": METADATA,
        "spec": Fields(
            {**SPEC.fields, "initContainers": Each(INIT), "containers": Each(_CONTAINER)}, refused=SPEC.refused
        ),
    }
)


def overlay_of(given: Any, service: str) -> tuple[Overlay, list[Fault]]:
    """What is laid over, with the faults in it; their paths begin at `podTemplate`. Nothing given is an empty one."""
    if given is None:
        return {}, []
    faults: Found = []
    made = read(given, _TEMPLATE, "podTemplate", faults)
    spec = made.get("spec", {})
    spec |= {"containers": _containers(spec["containers"], service, faults)} if "containers" in spec else {}
    if not faults:
        faults += [*_keys(made.get("metadata", {})), *_names(spec, service), *_volumes(spec), *_uses(spec, service)]
    return {name: part for name, part in made.items() if part}, faults


def _containers(given: list[Any], service: str, faults: Found) -> list[Any]:
    return [
        read(one, OWN if isinstance(one, Mapping) and one.get("name") == service else EXTRA, path, faults)
        for path, one in _at("containers", given)
    ]


def _at(name: str, items: list[Any]) -> Iterator[tuple[str, Any]]:
    return ((f"podTemplate.spec.{name}[{at}]", one) for at, one in enumerate(items))


def _keys(metadata: Mapping[str, Any]) -> Iterator[Fault]:
    for part, keys in metadata.items():
        for key in keys:
            path = f"podTemplate.metadata.{part}.{key}"
            if key in _OWN_KEYS or key.startswith(_OWN_PREFIX):
                yield Fault(path, "must not be given: the operator finds its pods by it")
            elif key.startswith(_LOOSENS):
                yield Fault(path, "must not be given: it may loosen what a container is held to")


def _names(spec: Mapping[str, Any], service: str) -> Iterator[Fault]:
    """Of containers: each one's own, whatever it is for. The service's own is among `containers` alone."""
    yield from _taken(spec, "initContainers", {service: "the service's own container is among containers"})
    inits = {one["name"] for one in spec.get("initContainers", [])}
    yield from _taken(spec, "containers", dict.fromkeys(inits, "must be another one: an initContainer has it"))


def _taken(spec: Mapping[str, Any], part: str, taken: dict[str, str]) -> Iterator[Fault]:
    """Names that stand there already. `taken`: by others, and why not."""
    seen = dict(taken)
    for path, one in _at(part, spec.get(part, [])):
        if one["name"] in seen:
            yield Fault(f"{path}.name", seen[one["name"]])
        seen[one["name"]] = f"must be another one: {one['name']} is there already"


def _volumes(spec: Mapping[str, Any]) -> Iterator[Fault]:
    own = f"must be another one: {', '.join(OWN_VOLUMES)} are the service's own"
    yield from _taken(spec, "volumes", dict.fromkeys(OWN_VOLUMES, own))
    if spec.get("dnsPolicy") == "None" and not spec.get("dnsConfig", {}).get("nameservers"):
        yield Fault("podTemplate.spec.dnsConfig.nameservers", "required with dnsPolicy None")


def _uses(spec: Mapping[str, Any], service: str) -> Iterator[Fault]:
    """Of volumes and variables."""
    volumes = [one["name"] for one in spec.get("volumes", [])]
    for name in ("initContainers", "containers"):
        for path, one in _at(name, spec.get(name, [])):
            own = one["name"] == service
            yield from _mounts(path, one.get("volumeMounts", []), volumes, OWN_PATHS if own else ())
            yield from _variables(path, one.get("env", []), OWN_VARIABLES if own else frozenset())


def _mounts(path: str, mounts: list[Any], volumes: list[str], taken: tuple[str, ...]) -> Iterator[Fault]:
    seen: set[str] = set()
    for at, one in enumerate(mounts):
        here, place = f"{path}.volumeMounts[{at}]", one["mountPath"].rstrip("/") or "/"
        if one["name"] not in volumes:
            known = f"those are {', '.join(volumes)}" if volumes else "there are none"
            yield Fault(f"{here}.name", f"must be one of podTemplate.spec.volumes: {known}")
        if place == "/" or any(_touches(place, own) for own in taken):
            yield Fault(f"{here}.mountPath", f"must be elsewhere: not /, {', '.join(OWN_PATHS)} or inside of these")
        elif place in seen:
            yield Fault(f"{here}.mountPath", "must be another one: something is mounted there already")
        seen.add(place)


def _touches(place: str, own: str) -> bool:
    """One is in the other."""
    return f"{place}/".startswith(f"{own}/") or f"{own}/".startswith(f"{place}/")


def _variables(path: str, env: list[Any], taken: frozenset[str]) -> Iterator[Fault]:
    seen: set[str] = set()
    for at, one in enumerate(env):
        if one["name"] in taken or (taken and one["name"].startswith(OWN_BEGINNINGS)):
            yield Fault(
                f"{path}.env[{at}].name", f"must be another one: {one['name']} follows from the rest of the spec"
            )
        elif one["name"] in seen:
            yield Fault(f"{path}.env[{at}].name", f"must be another one: {one['name']} is said twice")
        if "value" in one and "valueFrom" in one:
            yield Fault(f"{path}.env[{at}]", "give one of value and valueFrom, not both")
        seen.add(one["name"])
