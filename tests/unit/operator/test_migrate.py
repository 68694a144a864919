"""`push migrate swarm`: what of a stack becomes what of a manifest, and what is said about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from push_operator.cli.files import documents_in
from push_operator.errors import SpecError
from push_operator.migrate.report import Kind, lines, together
from push_operator.migrate.sizes import LEAST_MEMORY
from push_operator.migrate.swarm import Migration, Wishes, migrated
from push_operator.model import SERVICES, parse
from push_operator.render.containers import _LIGHT, _RESOURCES

EXAMPLE = Path(__file__).parents[3] / "examples" / "docker-stack.yml"
SECRET = "k" * 40
Stack = dict[str, Any]


def stack(gateway: Any = None, **services: Any) -> Stack:
    return {"services": {"gateway": gateway or {}, **services}}


def told(stack: Stack, environment: dict[str, str] | None = None, **wishes: Any) -> tuple[dict[str, Any], str]:
    """The spec, and the report as text."""
    made = migrated([stack], environment or {}, Wishes(**wishes))
    return dict(made.body["spec"]), "\n".join(lines(made.notes))


def env(**variables: Any) -> Stack:
    return stack({"environment": variables})


def refusal(stack: Any, environment: dict[str, str] | None = None, **wishes: Any) -> list[str]:
    with pytest.raises(SpecError) as refused:
        migrated([stack], environment or {}, Wishes(**wishes))
    return [str(fault) for fault in refused.value.faults]


# The example ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def example() -> Migration:
    return migrated(documents_in(EXAMPLE.read_text(), "docker-stack.yml"), {}, Wishes(namespace="chat"))


def test_the_example_becomes_what_ran(example: Migration) -> None:
    spec = example.body["spec"]
    assert {kind: spec[kind]["replicas"] for kind in SERVICES} == {
        "gateway": 5, "auth": 2, "message": 3, "presence": 2, "push": 2,
    }  # fmt: skip
    assert spec["gateway"]["scaling"] == {"mode": "Fixed"}
    assert spec["gateway"]["resources"] == {
        "requests": {"cpu": "250m", "memory": "256Mi"},
        "limits": {"cpu": "1", "memory": "512Mi"},
    }
    assert [spec[one] for one in ("nats", "redis", "cassandra")] == [{"managed": {}}] * 3
    assert spec["tokens"] == {"signingKeysSecret": "chat-tokens", "accessTokenTtlSeconds": 86_400}
    assert spec["expose"] == {"ingress": {"host": "chat.example.com", "tlsSecret": "chat-tls"}}
    assert "version" not in spec and "image" not in spec
    assert parse(example.body).namespace == "chat"


def test_the_report_names_every_part_of_the_example(example: Migration) -> None:
    """Whatever a service, a volume, a network or a secret says is somewhere in the report."""
    document = yaml.safe_load(EXAMPLE.read_text())
    paths = [note.path for note in example.notes]
    for name, service in document["services"].items():
        for field in service if name in SERVICES else ():
            inner = [f"deploy.{one}" for one in service["deploy"]] if field == "deploy" else [field]
            for one in set(inner) - {"deploy.labels", "secrets"}:  # their own paths are longer, or elsewhere
                start = f"services.{name}.{one}"
                assert any(path.startswith(start) or start.startswith(path + ".") for path in paths if path), start
        assert any(path.startswith(f"services.{name}") for path in paths)
    for part in ("volumes", "networks"):
        for name in document[part]:
            assert f"{part}.{name}" in paths
    assert any(path.endswith("secrets.jwt_secret") for path in paths)
    assert "secrets.fcm_key" in paths


def test_the_report_has_the_command_for_each_secret(example: Migration) -> None:
    text = "\n".join(lines(example.notes))
    assert "kubectl -n chat create secret generic chat-tokens --from-file=JWT_SECRET=<(old_file gateway " in text
    assert text.count("old_file() {") == 1
    assert "old_variable() {" not in text


# Numbers and amounts --------------------------------------------------------------------------------------------------


def test_the_least_memory_is_what_the_operator_asks_for_by_itself() -> None:
    assert {
        kind: _RESOURCES.get(kind, _LIGHT)["requests"]["memory"] for kind in SERVICES
    } == dict(LEAST_MEMORY)  # fmt: skip


@pytest.mark.parametrize(
    ("deploy", "replicas", "says"),
    [
        ({}, 1, "spec.gateway.replicas is 1"),
        ({"replicas": 7}, 7, "spec.gateway.replicas is 7"),
        ({"replicas": "${N:-3}"}, 3, "spec.gateway.replicas is 3"),
        ({"replicas": 0}, 1, "was switched off by 0"),
        ({"mode": "global"}, 2, "choose the number of nodes that there were"),
        ({"mode": "global", "replicas": 9}, 2, "choose the number of nodes"),
    ],
)
def test_how_many(deploy: Stack, replicas: int, says: str) -> None:
    spec, report = told(stack({"deploy": deploy}))
    assert spec["gateway"]["replicas"] == replicas
    assert says in report


def test_services_that_the_stack_has_not_are_said() -> None:
    spec, report = told(stack(auth={"deploy": {"replicas": 1}}))
    assert "presence" not in spec
    assert "the stack has no presence: 1 of it" in report
    assert "the stack has no auth" not in report


def test_a_limit_that_would_kill_ours_is_left_out() -> None:
    amounts = {"limits": {"memory": "128M", "cpus": 0.5}, "reservations": {"memory": "64M"}}
    spec, report = told(stack({"deploy": {"resources": amounts}}))
    assert spec["gateway"]["resources"] == {"limits": {"cpu": "500m"}}
    assert "128Mi of memory was enough for the old program; ours asks for 256Mi" in report
    spec, report = told(stack({"deploy": {"resources": {"limits": {"memory": "256M"}, "reservations": {}}}}))
    assert spec["gateway"]["resources"] == {"limits": {"memory": "256Mi"}}


def test_what_has_no_place_is_told_with_its_reason() -> None:
    service = {"deploy": {"resources": {"limits": {"pids": 9}}, "placement": {}, "strange": 1}, "healthcheck": {}}
    _, report = told(stack(service | {"x-mine": 1, "image": "r/gateway:1"}))
    for line in (
        "services.gateway.deploy.strange, services.gateway.deploy.resources.limits.pids: has no place in a PushCluster",
        "services.gateway.deploy.placement: nodes are chosen by Kubernetes",
        "services.gateway.healthcheck: the operator makes probes of its own",
        "services.gateway.image: is the old program",
    ):
        assert any(one.strip().startswith(line) for one in report.splitlines()), line
    assert "x-mine" not in report


# Servers --------------------------------------------------------------------------------------------------------------

NATS, REDIS = "nats.example.com", "cache.example.com"


@pytest.mark.parametrize(
    ("kind", "variables", "wanted"),
    [
        ("nats", {}, {"managed": {}}),
        ("nats", {"NATS_URL": "nats://nats:4222"}, {"managed": {}}),
        ("nats", {"NATS_URL": "nats://tasks.nats"}, {"managed": {}}),
        ("nats", {"NATS_URL": "nats://push_nats:4222"}, {"managed": {}}),
        ("nats", {"NATS_URL": "nats://bus:4222"}, {"managed": {}}),
        ("nats", {"NATS_URL": "localhost:4222"}, {"managed": {}}),
        ("nats", {"NATS_URL": f"nats://{NATS}:4222"}, {"url": f"nats://{NATS}:4222"}),
        ("nats", {"NATS_URL": f"{NATS}:4222, nats://b:1"}, {"url": f"nats://{NATS}:4222"}),
        ("nats", {"NATS_SERVERS": f"tls://{NATS}"}, {"url": f"tls://{NATS}"}),
        ("nats", {"NATS_HOST": NATS, "NATS_PORT": 4223}, {"url": f"nats://{NATS}:4223"}),
        ("nats", {"NATS_URL": f"nats://u:p@{NATS}"}, {"url": f"nats://{NATS}", "credentialsSecret": "chat-nats"}),
        ("nats", {"NATS_URL": f"nats://token@{NATS}"}, {"url": f"nats://{NATS}"}),
        ("nats", {"NATS_URL": f"nats://{NATS}", "NATS_PASSWORD_FILE": "/run/secrets/n"},
         {"url": f"nats://{NATS}", "credentialsSecret": "chat-nats"}),
        ("redis", {"REDIS_URL": "redis://redis:6379/0"}, {"managed": {}}),
        ("redis", {"REDIS_URL": f"redis://{REDIS}:6379/2?x=y"}, {"url": f"redis://{REDIS}:6379/2"}),
        ("redis", {"VALKEY_URL": f"valkeys://{REDIS}"}, {"url": f"rediss://{REDIS}"}),
        ("redis", {"REDIS_HOST": "10.0.0.7"}, {"url": "redis://10.0.0.7"}),
        ("redis", {"REDIS_URL": "redis://[2001:db8::1]:6379"}, {"url": "redis://[2001:db8::1]:6379"}),
        ("redis", {"REDIS_URL": f"redis://{REDIS}", "REDIS_PASSWORD": "p"},
         {"url": f"redis://{REDIS}", "credentialsSecret": "chat-redis"}),
    ],
)  # fmt: skip
def test_servers(kind: str, variables: Stack, wanted: Stack) -> None:
    aliased = {"image": "nats:2", "networks": {"net": {"aliases": ["bus"]}}}
    spec, report = told(stack({"environment": variables}, nats=aliased, redis={}))
    assert spec[kind] == wanted
    assert ("must be reachable from pods" in report) == ("url" in wanted)
    assert "is no address" not in report


@pytest.mark.parametrize(
    "url",
    ["http://elsewhere", "nats://", "", "nats://a_b:1", "nats://h:99999", "nats://u:pa/ss@h", "nats://u:12,ss@h",
     "nats://u:1?ss@h", "nats://u:1#ss@h", "nats://[::1", None],
)  # fmt: skip
def test_an_address_that_cannot_be_told_is_not_guessed(url: str | None) -> None:
    spec, report = told(env(NATS_URL=url))
    assert spec["nats"] == {"managed": {}}
    assert "services.gateway.environment.NATS_URL: is no address that spec.nats.url can hold" in report
    assert "ss@" not in report


def test_characters_in_a_url_that_are_written_as_numbers_are_told() -> None:
    assert "has %XX in its login" in told(env(NATS_URL="nats://u:a%20b@nats.example.com"))[1]
    assert "has %XX in its login" not in told(env(NATS_URL="nats://u:a-b@nats.example.com"))[1]


def test_services_that_contradict_each_other_are_told() -> None:
    one, other = ({"environment": {"NATS_URL": f"nats://{host}"}} for host in ("a.example", "b.example"))
    spec, report = told(stack(one, push=other))
    assert spec["nats"] == {"url": "nats://a.example"}
    assert "do not all have the same address" in report
    keys = ({"environment": {"JWT_SECRET": key * 40}} for key in "ab")
    _, report = told(stack(next(keys), auth=next(keys)))
    assert "do not all have the same key" in report


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"CASSANDRA_CONTACT_POINTS": "cassandra:9042"}, {"managed": {}}),
        ({"CASSANDRA_HOSTS": "c1.example,cassandra"}, {"managed": {}}),
        ({"CASSANDRA_HOSTS": "push_cassandra"}, {"managed": {}}),
        ({"CASSANDRA_HOSTS": "u:p@c1.example"}, {"managed": {}}),
        ({"SCYLLA_NODES": "c1.example:9043, c2.example"},
         {"contactPoints": ["c1.example:9043", "c2.example"], "keyspace": "chat_pushcluster",
          "localDatacenter": "datacenter1"}),
        ({"CASSANDRA_HOST": "c1.example", "CASSANDRA_PORT": 9142, "CASSANDRA_KEYSPACE": "push", "CASSANDRA_DC": "eu",
          "CASSANDRA_REPLICATION_FACTOR": "2", "CASSANDRA_USER": "u", "CASSANDRA_PASSWORD": "p"},
         {"contactPoints": ["c1.example:9142"], "keyspace": "chat", "localDatacenter": "eu", "replication": 2,
          "credentialsSecret": "chat-cassandra"}),
        ({"CASSANDRA_HOST": "c1.example", "CASSANDRA_PORT": "9042", "CASSANDRA_KEYSPACE": "chat"},
         {"contactPoints": ["c1.example"], "keyspace": "chat_pushcluster", "localDatacenter": "datacenter1"}),
    ],
)  # fmt: skip
def test_cassandra(variables: Stack, wanted: Stack) -> None:
    assert told(stack({"environment": variables}, cassandra={}))[0]["cassandra"] == wanted


def test_many_contact_points_are_enough_with_some() -> None:
    spec, report = told(env(CASSANDRA_HOSTS=",".join(f"c{at}.example" for at in range(20))))
    assert len(spec["cassandra"]["contactPoints"]) == 16
    assert "names 20 servers: the first 16" in report


def test_without_a_cassandra_several_replicas_need_one() -> None:
    assert told(stack(auth={}))[0]["cassandra"] == {"embedded": {}}
    spec, report = told(stack(auth={"deploy": {"replicas": 2}}))
    assert spec["cassandra"] == {"managed": {}}
    assert "no Cassandra was found, and auth run more than once" in report


# Secrets --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "secrets", "words"),
    [
        ({"environment": [f"JWT_SECRET={SECRET}"]}, {}, "old_variable gateway JWT_SECRET"),
        ({"environment": {"JWT_SECRET": "${UNSET}"}}, {}, "old_variable gateway JWT_SECRET"),
        ({"environment": ["JWT_SECRET"]}, {}, "old_variable gateway JWT_SECRET"),
        ({"environment": {"JWT_SECRET_FILE": "/etc/key"}}, {}, "old_file gateway /etc/key"),
        ({"environment": {"JWT_SECRET_FILE": "/run/secrets/v2"}, "secrets": ["jwt_secret", "v2"]},
         {"v2": {"external": True}}, "old_file gateway /run/secrets/v2"),
        ({"secrets": ["jwt-secret"]}, {"jwt-secret": {"file": "./the key.txt"}}, "tr -d '\\n' < './the key.txt'"),
        ({"secrets": [{"source": "a", "target": "JWT_SECRET"}]}, {}, "old_file gateway /run/secrets/JWT_SECRET"),
    ],
)  # fmt: skip
def test_where_the_signing_key_comes_from(service: Stack, secrets: Stack, words: str) -> None:
    spec, report = told(stack(service) | {"secrets": secrets}, name="talk")
    assert spec["tokens"] == {"signingKeysSecret": "talk-tokens"}
    assert f"kubectl create secret generic talk-tokens --from-file=JWT_SECRET=<({words})" in report
    assert SECRET not in report


def test_a_key_that_is_too_short_is_left_behind() -> None:
    spec, report = told(env(JWT_SECRET="hushhush"))
    assert "tokens" not in spec
    assert "has 8 bytes, and a signing key needs 32" in report
    assert "hush" not in report
    assert "no JWT_SECRET was found" in told(stack())[1]


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [({"JWT_EXPIRY_HOURS": 12}, 43_200), ({"ACCESS_TOKEN_TTL_SECONDS": "900"}, 900),
     ({"JWT_EXPIRY_HOURS": "24h"}, None), ({"JWT_EXPIRY_HOURS": 99_999}, None), ({"JWT_EXPIRY_HOURS": "0"}, None),
     ({}, None)],
)  # fmt: skip
def test_how_long_tokens_live(variables: Stack, seconds: int | None) -> None:
    spec, report = told(env(**variables))
    assert spec.get("tokens", {}).get("accessTokenTtlSeconds") == seconds
    assert ("tokens live for a day" in report) == (bool(variables) and seconds is None)


@pytest.mark.parametrize("name", ["FCM_API_KEY", "FCM_API_KEY_FILE"])
def test_the_old_key_of_fcm_is_told_what_takes_its_place(name: str) -> None:
    _, report = told(env(**{name: "hush"}))
    assert f"{name}: is a key of FCM's legacy API" in report
    assert "spec.notifications.fcm.serviceAccountSecret" in report and "HTTP v1" in report
    assert f"{name}: not settings of ours" not in report
    assert "hush" not in report


def test_secrets_and_variables_of_no_use_are_named_without_their_values() -> None:
    service = {"environment": {"FCM_KEY": "hush"}, "secrets": ["apns"], "env_file": "more.env"}
    _, report = told(stack(service) | {"secrets": {"apns": {"file": "p8"}, "unused": {}}})
    assert "services.gateway.environment: FCM_KEY: not settings of ours" in report
    assert "secrets.apns: is used by an old service" in report
    assert "secrets.unused: has no place" in report
    assert "services.gateway.env_file: more.env was not read" in report
    assert "hush" not in report


# Ways in --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "ingress"),
    [
        ({"traefik.http.routers.a.rule": "Host(`A.example.com`) && PathPrefix(`/ws`)"}, {"host": "a.example.com"}),
        ({"traefik.http.routers.a.rule": 'Host("a.example", "b.example")'}, {"host": "a.example"}),
        ({"traefik.frontend.rule": "Host:a.example,b.example;PathPrefix:/ws"}, {"host": "a.example"}),
        (["traefik.http.routers.a.rule=Host(`a.example`)", "traefik.http.routers.a.tls.certresolver=le"],
         {"host": "a.example", "tlsSecret": "chat-tls"}),
        (["traefik.http.routers.a.rule=Host(`a.example`)", "traefik.http.routers.a.tls=false",
          "traefik.http.routers.a.entrypoints=web"], {"host": "a.example"}),
        ({"traefik.http.routers.a.rule": "HostRegexp(`.*`)"}, None),
        ({"traefik.http.routers.a.rule": "Host(`10.0.0.1`)"}, None),
        ({"other.rule": "Host(`a.example`)"}, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("under_deploy", [True, False])
def test_the_host_of_a_traefik_label(labels: Any, ingress: Stack | None, under_deploy: bool) -> None:
    service = {"deploy": {"labels": labels}} if under_deploy else {"labels": labels}
    spec, report = told(stack(service))
    assert spec.get("expose") == (None if ingress is None else {"ingress": ingress})
    assert ("say how clients come in" in report) == (ingress is None)
    assert ("clients that come to b.example must come to a.example" in report) == ("b.example" in str(labels))


def test_published_ports_are_told() -> None:
    ports = ["8080:8080", "127.0.0.1:9000-9001:80/tcp", 7, "7", {"target": 1, "published": 8443}, {"target": 2}, "x:y"]
    _, report = told(stack({"ports": ports}))
    for port in ("8080", "9000-9001", "8443"):
        assert f"services.gateway.ports: port {port} of every node" in report
    assert report.count("of every node") == 3


def test_web_pages() -> None:
    spec, report = told(env(CORS_ORIGINS="https://a.example, https://b.example:8443,*"))
    assert spec["allowedOrigins"] == ["https://a.example", "https://b.example:8443"]
    assert "has an entry that is no origin" in report
    assert "allowedOrigins" not in told(env(ALLOWED_ORIGINS="*"))[0]
    many = told(env(ALLOWED_ORIGINS=",".join(f"https://p{at}.example" for at in range(60))))
    assert (len(many[0]["allowedOrigins"]), "only the first 50 web pages" in many[1]) == (50, True)


# Which service is which -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("services", "chosen", "gateway"),
    [
        ({"push-gateway": {}, "push": {}}, {}, "push-gateway"),
        ({"ws": {"image": "registry:5000/push/gateway:1@sha256:0"}}, {}, "ws"),
        ({"gateway": {}, "push-gateway": {}}, {}, "gateway"),
        ({"gateway": {}, "edge": {}}, {"gateway": "edge"}, "edge"),
        ({"gateway_v2": {}, "gateway": {"image": "kong"}}, {"gateway": "gateway_v2"}, "gateway_v2"),
    ],
)
def test_the_gateway_is_found(services: Stack, chosen: dict[str, str], gateway: str) -> None:
    for at, service in enumerate(services.values()):
        service["deploy"] = {"replicas": at + 2}
    spec, _ = told({"services": services}, services=chosen)
    assert spec["gateway"]["replicas"] == list(services).index(gateway) + 2


def test_exporters_are_no_servers() -> None:
    _, report = told(stack(**{"redis-exporter": {"image": "x/redis_exporter"}, "cache": {"image": "valkey/valkey:8"}}))
    assert "services.redis-exporter: is no part of the platform" in report
    assert "services.cache: spec.redis.managed" in report
    assert "services.cache: its settings, replicas, limits and data" in report


@pytest.mark.parametrize(
    ("stack", "wishes", "faults"),
    [
        (None, {}, ["services: required: a stack file as `docker stack deploy` takes it"]),
        ({"services": []}, {}, ["services: required: a stack file as `docker stack deploy` takes it"]),
        ({"services": {"web": {}}}, {},
         ["services: none of web is a gateway: say which with --service gateway=NAME"]),
        ({"services": {"a-gateway": {"image": "gateway"}, "b.x": {"image": "gateway"}}}, {},
         ["services: a-gateway, b.x may each be the gateway: say which with --service gateway=NAME"]),
        (stack(), {"services": {"auth": "login"}},
         ["--service: auth=login: the stack has no such service, but gateway"]),
        (stack(), {"name": "Chat"},
         ["--name: must be 1 to 40 lower-case letters, digits or '-', beginning with a letter"]),
        (stack(), {"namespace": "No."},
         ["--namespace: must be an object's name: lower-case letters, digits and '-'"]),
        (stack(5), {}, ["services.gateway: must be a mapping of fields, not a number"]),
        (stack({"deploy": {"replicas": "${N}"}}), {},
         ["services.gateway.deploy.replicas: must be a whole number from 0 to 1000"]),
        (stack({"deploy": {"replicas": 1001}}), {},
         ["services.gateway.deploy.replicas: must be a whole number from 0 to 1000"]),
        (stack({"deploy": {"mode": "replicated-job"}}), {},
         ["services.gateway.deploy.mode: must be one of replicated, global"]),
        (stack({"deploy": {"resources": {"limits": {"cpus": "half", "memory": "5 potatoes"}}}}), {},
         ["services.gateway.deploy.resources.limits.cpus: must be a number of CPUs such as '0.5'",
          "services.gateway.deploy.resources.limits.memory: must be a size such as 512M"]),
        (stack({"deploy": {"resources": {"limits": {"cpus": 1}, "reservations": {"cpus": 2}}}}), {},
         ["services.gateway.deploy.resources.reservations.cpus: must not be more than limits.cpus"]),
        (stack({"environment": {"A": []}, "ports": 5, "secrets": [5]}), {},
         ["services.gateway.environment.A: must be text",
          "services.gateway.ports: must be a list",
          "services.gateway.secrets: must be a list of names, or of {source, target}"]),
        (stack({"deploy": {"replicas": 16**5000}, "environment": {"A": 16**5000}}), {},
         ["services.gateway.environment.A: must be text",
          "services.gateway.deploy.replicas: must be a whole number from 0 to 1000"]),
        (stack({"image": "${TAG:?choose one}"}), {},
         ["services.gateway.image: needs the variable TAG: set it as for docker stack deploy, for example with "
          "`set -a; . ./.env; set +a`"]),
    ],
    ids=range(16),
)  # fmt: skip
def test_refusals_name_the_place_and_the_fix(stack: Any, wishes: Stack, faults: list[str]) -> None:
    assert refusal(stack, **wishes) == faults


def test_a_service_is_one_thing_only() -> None:
    twice = {"gateway": "gateway", "auth": "gateway"}
    assert refusal(stack(), services=twice)[0] == "--service: gateway=gateway: a service can be one thing only"


# The report -----------------------------------------------------------------------------------------------------------


def test_a_variable_that_is_not_set_is_told() -> None:
    _, report = told(stack({"image": "r/gateway:${TAG}", "command": "${LEVEL:-x}"}))
    assert "the variable TAG is not set here and counted as empty" in report
    assert "LEVEL" not in report


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ([], ""),
        (["a"], "a"),
        (["services.a.b"], "services.a.b"),
        (["services.a.b", "services.c.b", "services.a.b"], "services.{a, c}.b"),
        (["services.a", "services.c", "volumes.d"], "services.{a, c}, volumes.d"),
    ],
)
def test_paths_are_told_together(paths: list[str], words: str) -> None:
    assert together(paths) == words


def test_headings_stand_only_over_something() -> None:
    made = migrated([stack()], {}, Wishes())
    text = list(lines(made.notes))
    assert [line for line in text if not line.startswith(" ")] == [f"{kind.value}:" for kind in Kind]
    assert list(lines([])) == []
