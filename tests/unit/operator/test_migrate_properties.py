"""Whatever a stack says: a manifest that the model takes, or a refusal with its place; and no secret in the open."""

from __future__ import annotations

import datetime
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from push_operator.errors import SpecError
from push_operator.migrate.kinds import KINDS
from push_operator.migrate.report import lines
from push_operator.migrate.swarm import Migration, Wishes, migrated
from push_operator.model import parse

SECRET = "correct-horse-battery-staple-3141592653"
NAMES = ("gateway", "push-gateway", "auth", "message", "presence", "push", "nats", "redis", "cassandra", "web", "a.b")
VARIABLES = (
    "NATS_URL", "NATS_HOST", "NATS_PORT", "NATS_USER", "NATS_PASSWORD", "REDIS_URL", "REDIS_PASSWORD", "REDIS_PORT",
    "CASSANDRA_HOSTS", "CASSANDRA_PORT", "CASSANDRA_KEYSPACE", "CASSANDRA_DC", "CASSANDRA_REPLICATION",
    "CASSANDRA_USER", "CASSANDRA_PASSWORD", "JWT_SECRET", "JWT_SECRET_FILE", "JWT_EXPIRY_HOURS", "ALLOWED_ORIGINS",
    "RUST_LOG",
)  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(["", "5", "$", "${A}", "${B:-7}", "${B:?x}", "a.example", "a.example:1,b", "nats://n.example:4222",
                     "redis://u:p@r.example/3", "nats://nats", "https://a.example", "*", "512M", "0.5", "Host(`a.b`)",
                     "traefik.http.routers.a.rule=Host(`c.d`)", "A=b", "8080:80", "global", "replicated", "[::1]:9"]),
    st.text(max_size=20),
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.sampled_from([0, 1, 3]), st.floats(), TEXTS,
    st.just(datetime.date(2030, 1, 1)), st.binary(max_size=3),
)  # fmt: skip
JUNK = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.integers(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def _mapping(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def _stacks(leaf: st.SearchStrategy[Any], names: tuple[str, ...] = NAMES) -> st.SearchStrategy[dict[str, Any]]:
    """Stacks of the right shape with any values at the leaves."""
    amounts = _mapping(cpus=leaf, memory=leaf, pids=leaf)
    environment = st.dictionaries(st.sampled_from(VARIABLES), leaf, max_size=6)
    label = st.sampled_from(["traefik.http.routers.a.rule", "traefik.frontend.rule", "traefik.http.routers.a.tls", "x"])
    deploy = _mapping(
        mode=leaf, replicas=leaf, labels=st.dictionaries(label, leaf) | st.lists(leaf, max_size=2) | leaf,
        resources=_mapping(limits=amounts | leaf, reservations=amounts | leaf) | leaf, placement=leaf,
    )  # fmt: skip
    service = _mapping(
        image=leaf, environment=environment | st.lists(leaf, max_size=3) | leaf, env_file=leaf, deploy=deploy | leaf,
        ports=st.lists(leaf | _mapping(published=leaf, target=leaf), max_size=2) | leaf,
        secrets=st.lists(leaf | _mapping(source=leaf, target=leaf), max_size=2) | leaf,
        networks=st.dictionaries(TEXTS, _mapping(aliases=st.lists(leaf, max_size=2) | leaf) | leaf, max_size=2) | leaf,
        labels=st.dictionaries(label, leaf) | leaf, volumes=leaf,
    )  # fmt: skip
    services = st.dictionaries(st.sampled_from(names) | TEXTS, service | leaf, max_size=5)
    return _mapping(services=services | leaf, secrets=st.dictionaries(TEXTS, leaf, max_size=2) | leaf, volumes=leaf)


SHELLS = st.dictionaries(st.sampled_from(["A", "B", "JWT_SECRET", "NATS_URL"]), st.text(max_size=9))


@given(st.lists(_stacks(JUNK) | JUNK, min_size=1, max_size=2), SHELLS,
       st.dictionaries(st.sampled_from(KINDS), st.sampled_from(NAMES), max_size=2))  # fmt: skip
def test_any_stack_is_taken_or_refused_in_words(
    documents: list[Any], shell: dict[str, str], chosen: dict[str, str]
) -> None:
    try:
        made = migrated(documents, shell, Wishes(services=chosen))
    except SpecError as refused:
        assert refused.faults
        # Of the stack and of the command line, never of the manifest: that would be our own mistake.
        assert all(fault.path.startswith(("services", "--", "secrets", "volumes", "networks", "configs"))
                   for fault in refused.faults)  # fmt: skip
        assert all(fault.message for fault in refused.faults)
        return
    parse(made.body)
    assert _printed(made)


GOOD = st.fixed_dictionaries(
    {},
    optional={
        "environment": st.dictionaries(st.sampled_from(VARIABLES), st.sampled_from(
            ["", "nats", "n.example", "nats://n.example:4222", "redis://u:p@r.example/3", "x,y", "12", "*"])),
        "deploy": _mapping(
            replicas=st.integers(0, 1000), mode=st.sampled_from(["global", "replicated"]),
            resources=_mapping(limits=_mapping(
                cpus=st.floats(0, 99).map(str), memory=st.integers(0, 10**12).map(str)))),
        "ports": st.lists(st.sampled_from(["8080:80", "80", 80]), max_size=2),
    },
)  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(("auth", "message", "presence", "push", "nats", "redis", "cassandra")), GOOD), GOOD
)
def test_what_docker_takes_is_never_refused(services: dict[str, Any], gateway: dict[str, Any]) -> None:
    made = migrated([{"services": {**services, "gateway": gateway}}], {}, Wishes())
    replicas = gateway.get("deploy", {}).get("replicas", 1)
    if gateway.get("deploy", {}).get("mode") != "global" and replicas:
        assert made.body["spec"]["gateway"]["replicas"] == replicas
    assert _printed(made)


PLACES = st.sampled_from(
    ["JWT_SECRET", "NATS_PASSWORD", "REDIS_PASSWORD", "CASSANDRA_PASSWORD", "FCM_KEY", "NATS_USER", "JWT_EXPIRY_HOURS"]
)
ADDRESSES = st.sampled_from(["NATS_URL", "NATS_SERVERS", "REDIS_URL", "CASSANDRA_HOSTS", "SCYLLA_URL", "NATS_HOST"])
PASSWORDS = st.tuples(st.text("a1/?#@:,%$[] ", max_size=4), st.text("a1/?#@:,% ", max_size=4)).map(
    lambda around: around[0].replace("$", "$$") + SECRET + around[1]
)
LOGINS = st.tuples(st.sampled_from(["nats://", "redis://", ""]), st.sampled_from(["", "u", "u.example", "u:12"]),
                   PASSWORDS, st.sampled_from(["h.example", "h.example:1,h2", "nats:4222"])).map(
    lambda parts: f"{parts[0]}{parts[1]}:{parts[2]}@{parts[3]}"
)  # fmt: skip


@given(st.dictionaries(PLACES, PASSWORDS), st.dictionaries(ADDRESSES, LOGINS), st.booleans())
def test_no_part_of_a_secret_is_ever_printed(
    secrets: dict[str, str], addresses: dict[str, str], in_the_shell: bool
) -> None:
    environment = {**secrets, **addresses}
    variables = {name: f"${{{name}}}" for name in environment} if in_the_shell else environment
    made = migrated([{"services": {"gateway": {"environment": variables}}}],
                    environment if in_the_shell else {}, Wishes())  # fmt: skip
    assert not [word for word in SECRET.split("-") if word in _printed(made)]


def _printed(made: Migration) -> str:
    """All that leaves the program."""
    return yaml.safe_dump(dict(made.body)) + "\n".join(lines(made.notes))
