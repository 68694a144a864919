"""The command line's pure parts: which target, what kubectl's words come to, what is shown of a Kubernetes."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from tests.unit.operator.manifests import manifest

from push_operator.cli.arguments import PLUGIN, PUSH, parser
from push_operator.cli.choice import asked_for
from push_operator.cli.gateways import rollout_status, told
from push_operator.cli.keys import keys_told, new_key
from push_operator.cli.kubectl import Place, words_of
from push_operator.cli.output import rendered
from push_operator.cli.podlogs import lives_of, parsed
from push_operator.cli.target import Platform, as_mapping
from push_operator.errors import ClusterError, OperatorError, SpecError
from push_operator.fleet.values import Mark, Why
from push_operator.model import parse
from push_operator.plan.observed import Unit
from push_operator.plan.steering import ACTIONS, refuse_number, rollout_order
from push_operator.tokens import KEYS_ANNOTATION, PUBLISH_SECONDS, TokenSpec, rotated

NOW = datetime(2030, 1, 2, 12, tzinfo=UTC)

# Keys ----------------------------------------------------------------------------------------------------------------

DAY = 86_400


def _tokens(times: str | None = None, **tokens: Any) -> TokenSpec:
    return parse(_with_keys(times, **tokens)).tokens


def _with_keys(times: str | None, **tokens: Any) -> dict[str, Any]:
    body = manifest(tokens=tokens)
    if times is not None:
        body["metadata"]["annotations"] = {KEYS_ANNOTATION: times}
    return body


def test_a_rotation_adds_a_key_and_drops_what_nobody_needs() -> None:
    assert rotated(_tokens(), 5000, at_once=False) == "0,5000"
    first_ends = 5000 + PUBLISH_SECONDS + DAY + 60
    assert rotated(_tokens("0,5000"), first_ends - 1, at_once=False) == f"0,5000,{first_ends - 1}"
    assert rotated(_tokens("0,5000"), first_ends, at_once=False) == f"5000,{first_ends}"
    assert rotated(_tokens("0,5000"), 5001, at_once=True) == "5001"


@pytest.mark.parametrize(
    ("tokens", "now", "at_once", "told"),
    [
        (_tokens("0,5000"), 5000 + PUBLISH_SECONDS - 60, False, "signs only in 60 s"),
        (_tokens("0,5000"), 5000, True, "is this machine's clock right"),
        (_tokens("0,5000"), 5000, False, "signs only in 900 s"),
        (_tokens("5000"), 5000, False, "is this machine's clock right"),
        (_tokens("5000"), 4000, False, "is this machine's clock right"),
        (_tokens(",".join(str(at * 1000) for at in range(1, 17))), 20_000, False, "16 keys are needed still"),
        (_tokens(signingKeysSecret="mine"), 5000, False, "change Secret mine"),
        (_tokens(signingKeysSecret="old", privateKeysSecret="mine"), 5000, True, "change Secret mine"),
    ],
)
def test_a_rotation_that_cannot_be_is_told(tokens: TokenSpec, now: int, at_once: bool, told: str) -> None:
    with pytest.raises(ClusterError, match=told):
        rotated(tokens, now, at_once=at_once)


@pytest.mark.parametrize(
    "times", ["", "a", "1,", "2,1", "1,1", "-1", "1 ,2", "٣", "9" * 11, ",".join(map(str, range(17))), 5]
)
def test_other_annotations_are_refused_with_their_name(times: Any) -> None:
    with pytest.raises(SpecError, match=f"metadata.annotations.{KEYS_ANNOTATION}: must be 1 to 16 times"):
        parse(_with_keys(times))


def test_the_keys_are_listed_with_what_each_does() -> None:
    now = int(NOW.timestamp())
    times = f"0,{now - 2 * DAY},{now - 60}"
    told = keys_told(Platform(_with_keys(times), []), NOW).splitlines()
    assert told[0] == "chat: ES256"
    assert told[2].split() == ["KEY", "MADE", "SIGNS", "FROM", "PUBLISHED", "UNTIL", "STATE"]
    assert [line.split()[0] for line in told[3:]] == times.split(",")
    assert [line.split("   ")[-1].strip() for line in told[3:]] == ["over", "signs", "published, does not sign yet"]
    assert "2029-12-31 12:00:00Z" in told[4]
    earlier = keys_told(Platform(_with_keys(f"0,{now - PUBLISH_SECONDS}"), []), NOW)
    assert "checks older tokens" in earlier
    assert "Secret mine" in keys_told(Platform(_with_keys(None, privateKeysSecret="mine"), []), NOW)
    assert "HS256" in keys_told(Platform(_with_keys(None, signingKeysSecret="old"), []), NOW)


def test_what_a_rotation_tells() -> None:
    assert new_key("0,5000") == "key 5000 is made: it signs in 15 minutes"
    assert new_key("5000") == "key 5000 is made: it signs at once, and all others are void"


# Which target ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "place", "state", "asked"),
    [
        (None, Place(), None, None),
        (None, Place(), ".push", "local"),
        (None, Place(namespace="chat"), None, "kube"),
        (None, Place(context="c"), None, "kube"),
        (None, Place(kubeconfig="f"), None, "kube"),
        ("local", Place(), None, "local"),
        ("kube", Place(), None, "kube"),
        ("kube", Place(context="c"), None, "kube"),
        ("local", Place(), ".push", "local"),
    ],
)
def test_what_is_given_says_the_target(target: str | None, place: Place, state: str | None, asked: str | None) -> None:
    assert asked_for(target, place, state) == asked


@pytest.mark.parametrize(
    ("target", "place", "state"),
    [("local", Place(context="c"), None), ("kube", Place(), ".push"), (None, Place(namespace="n"), ".push")],
)
def test_contradictions_are_told(target: str | None, place: Place, state: str | None) -> None:
    with pytest.raises(OperatorError, match="give those of one target"):
        asked_for(target, place, state)


def test_the_plugin_is_for_kubernetes() -> None:
    assert parser(PUSH).parse_args(["get"]).otherwise is None
    assert parser(PLUGIN).parse_args(["get"]).otherwise == "kube"
    assert "push up examples/quickstart.yaml" not in parser(PLUGIN).format_help()


@pytest.mark.parametrize("command", [["up", "f", "--target", "kube"], ["down", "-n", "x"], ["get", "--name", "x"]])
def test_what_a_command_does_not_know_is_refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser(PUSH).parse_args(command)
    assert "unrecognized arguments" in capsys.readouterr().err


def test_a_place_in_kubectls_words() -> None:
    assert Place().options() == ()
    assert Place("-c", "n", "f").options() == ("--context=-c", "--namespace=n", "--kubeconfig=f")


# kubectl's words ------------------------------------------------------------------------------------------------------

PATCH = """\
Error from server (Invalid): error when applying patch:
{"stringData":{"JWT_SECRET":"hush"}}
to:
Resource: "/v1, Resource=secrets", GroupVersionKind: "/v1, Kind=Secret"
Name: "keys", Namespace: "chat"
for: "STDIN": error when patching "STDIN": Secret "keys" is invalid
"""
DUMP = 'The request is invalid: patch: Invalid value: "map[data:map[a:\\"hush\\"] b:hush]": illegal base64 data'


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        ("", ""),
        ("error: unknown flag\n", "unknown flag"),
        ('E1124 05:32:22.005184   28251 memcache.go:265] "Unhandled Error" err="x"\nUnable to connect\n',
         "Unable to connect"),
        ("Warning: old\nerror: new\n", "new"),
        ('The PushCluster "chat" is invalid: \n* spec.a: one\n* spec.b: other\n',
         'The PushCluster "chat" is invalid: spec.a: one; spec.b: other'),
        (PATCH, 'for: "STDIN": error when patching "STDIN": Secret "keys" is invalid'),
        (DUMP, 'The request is invalid: patch: Invalid value: "…": illegal base64 data'),
        (f'Invalid value: "{"long" * 30}": no', 'Invalid value: "…": no'),
        ('Invalid value: "short": no', 'Invalid value: "short": no'),
        ("moves the cursor\x1b[2J\n", "moves the cursor [2J"),
        ("w" * 1000, "w" * 599 + "…"),
    ],
    ids=range(11),
)  # fmt: skip
def test_kubectls_words_in_one_line_without_what_it_repeats(stderr: str, words: str) -> None:
    assert words_of(stderr) == words


# Logs -----------------------------------------------------------------------------------------------------------------


def test_a_line_of_kubectl_logs() -> None:
    line = parsed('[pod/chat-auth-0/auth] 2030-01-01T00:00:00.123456789Z {"msg": "x"}')
    assert line is not None
    assert (line.pod, line.text) == ("chat-auth-0", '{"msg": "x"}')
    empty = parsed("[pod/chat-auth-0/auth] 2030-01-01T02:00:00.123456790+02:00 ")
    assert empty is not None
    assert (empty.text, empty.at > line.at) == ("", True)


@pytest.mark.parametrize("raw", ["", "error: a container is waiting to start", "[pod/a/b] 9999 x", "[pod/a/b] text"])
def test_kubectls_own_words_are_no_lines(raw: str) -> None:
    assert parsed(raw) is None


def test_each_life_of_a_container_is_another() -> None:
    running, waiting = {"containerID": "a"}, {"lastState": {"terminated": {"containerID": "b"}}}
    pods: list[dict[str, Any]] = [
        {"status": {"containerStatuses": [running, waiting, {"state": {"waiting": {}}}]}},
        {"status": {}},
        {},
    ]
    assert lives_of(pods) == {"a", "b"}


# What is shown --------------------------------------------------------------------------------------------------------


def _platform(name: str, *, ready: bool = True, generation: int = 1, **unit: Any) -> Platform:
    condition = {"type": "Ready", "status": str(ready), "message": "every component is ready" if ready else "auth 0/1"}
    component = {"name": "gateway", "desired": 1, "endpoint": "ws://x"}
    status = {"observedGeneration": 1, "conditions": [condition], "components": [component], "readyGateways": "1/1",
              "version": "0.1.0"}  # fmt: skip
    body = manifest(name) | {"status": status}
    body["metadata"]["generation"] = generation
    made = {"name": f"{name}-gateway-a", "component": "gateway", "ready": ready, "restarts": 0, "note": "", **unit}
    return Platform(body, [made])


@pytest.mark.parametrize(
    ("created", "age"),
    [("2030-01-02T11:58:01Z", "119s"), ("2030-01-02T11:58:00Z", "2m"), ("2030-01-02T10:00:01Z", "119m"),
     ("2029-12-31T12:00:01Z", "47h"), ("2029-12-31T12:00:00Z", "2d"), ("2030-01-02T12:00:09Z", "0s"), ("", "-")],
)  # fmt: skip
def test_pods_have_a_node_and_an_age(created: str, age: str) -> None:
    details = {"node": "n1", "ip": "10.0.0.1", "createdAt": created}
    shown = rendered([_platform("chat", details=details)], "wide", NOW).splitlines()
    assert shown[0] == "chat: ready"
    assert shown[-2].split() == ["POD", "READY", "NODE", "IP", "AGE", "RESTARTS", "LEFT", "MARK", "NOTE"]
    assert shown[-1].split() == ["chat-gateway-a", "yes", "n1", "10.0.0.1", age, "0", "-", "-"]


def test_several_in_each_form() -> None:
    several = [_platform("chat", details=None), _platform("talk", ready=False, details=None)]
    assert rendered(several, "table", NOW).splitlines()[1:] == [
        "chat   yes     1/1        -             0.1.0",
        "talk   no      1/1        -             0.1.0     auth 0/1",
    ]
    assert rendered(several, "wide", NOW).count("COMPONENT") == 2
    for whole in (json.loads(rendered(several, "json", NOW)), yaml.safe_load(rendered(several, "yaml", NOW))):
        assert (whole["kind"], [one["units"][0]["name"] for one in whole["items"]]) == (
            "List", ["chat-gateway-a", "talk-gateway-a"])  # fmt: skip
    assert "page" not in json.loads(rendered(several[:1], "json", NOW))


def _with_status(platform: Platform, **status: Any) -> Platform:
    return replace(platform, body={**platform.body, "status": {**platform.body["status"], **status}})


SCALING = {"current": 5, "desired": 7, "reason": "Connections", "message": "39,800 of them", "limitedBy": "maxReplicas",
           "drains": [{"name": "chat-gateway-a", "why": "scale-down", "left": 120, "rate": 20.0}]}  # fmt: skip
ROLLOUT = {"revision": "bbbbbbbb", "state": "Halted", "reason": "NotReady", "message": "1 of 2 new ones is not ready"}


def test_how_many_connections_there_are() -> None:
    one = _with_status(_platform("chat", details=None), connections=1200)
    assert rendered([one], "table", NOW).splitlines()[2:4] == [
        "COMPONENT   READY   CONNECTIONS   ENDPOINT   RESTARTS   NOTE",
        "gateway     1/1     1200          ws://x     0",
    ]
    assert "chat   yes     1/1        1200          0.1.0" in rendered([one, one], "table", NOW)


def test_what_the_operator_wants_and_why() -> None:
    plain = _platform("chat", details=None)
    assert told(plain.body) == []
    one = _with_status(plain, scaling=SCALING, rollout=ROLLOUT)
    lines = [
        "gateway 1/1 wants 7: Connections, 39,800 of them (limited by maxReplicas)",
        "rollout of bbbbbbbb Halted: NotReady, 1 of 2 new ones is not ready",
    ]
    assert rendered([one], "table", NOW).splitlines()[-2:] == lines
    assert told(_with_status(plain, scaling={"desired": 0}).body) == ["gateway 1/1 wants 0"]
    assert told(_with_status(plain, scaling={"learned": {}}, rollout={"revision": "a"}).body) == ["rollout of a"]


@pytest.mark.parametrize("page", [None, "http://localhost:8090"])
def test_those_on_their_way_out_have_a_mark(page: str | None) -> None:
    plain = replace(_platform("chat", details=None), page=page)
    assert rendered([_with_status(plain, scaling=SCALING)], "wide", NOW).splitlines()[-1].split()[-2:] == [
        "120", "scale-down",
    ]  # fmt: skip
    marked = replace(plain, units=[{**plain.units[0], "mark": {"why": "quarantine", "since": 1.0}}])
    assert rendered([marked], "wide", NOW).splitlines()[-1].split()[-2:] == ["-", "quarantine"]


def test_a_unit_is_plain_for_json_and_yaml() -> None:
    unit = Unit("a", "gateway", "bbbbbbbb", ready=True, mark=Mark(Why.ROLLOUT, 1.5))
    assert yaml.safe_load(yaml.safe_dump(as_mapping(unit)))["mark"] == {"why": "rollout", "since": 1.5}
    assert as_mapping(replace(unit, mark=None)) == asdict(replace(unit, mark=None))


# Rollouts -------------------------------------------------------------------------------------------------------------


def test_gateways_by_revision() -> None:
    def unit(name: str, revision: str, ready: bool, why: str | None = None) -> dict[str, Any]:
        mark = {"why": why, "since": 1.0} if why else None
        return {"name": name, "component": "gateway", "revision": revision, "ready": ready, "mark": mark}

    units = [unit("a", "aaaaaaaa", True), unit("b", "bbbbbbbb", False), unit("c", "aaaaaaaa", False, "rollout"),
             {**unit("d", "cccccccc", True), "component": "auth"}]  # fmt: skip
    one = Platform(manifest() | {"status": {"rollout": ROLLOUT}}, units)
    assert rollout_status(one).splitlines() == [
        "chat: rollout of bbbbbbbb Halted: NotReady, 1 of 2 new ones is not ready",
        "",
        "REVISION   GATEWAYS   READY   MARKED",
        "aaaaaaaa   2          1       1",
        "bbbbbbbb   1          0       0",
    ]
    assert rollout_status(Platform(manifest(), units)).startswith("chat: no rollout\n\nREVISION")
    assert rollout_status(Platform(manifest(), ())) == "chat: no rollout; no gateway runs"


@pytest.mark.parametrize("action", ACTIONS)
def test_an_order_is_of_the_rollout_that_is_there(action: str) -> None:
    assert rollout_order({"status": {"rollout": ROLLOUT}}, action) == f"{action}:bbbbbbbb"
    for status in (None, {}, {"rollout": None}, {"rollout": {"state": "Done"}}):
        with pytest.raises(ClusterError, match=f"there is no rollout to {action}: `push rollout status` shows"):
            rollout_order({"status": status}, action)


@pytest.mark.parametrize(
    ("service", "part", "told"),
    [
        ("gateway", {"scaling": {"mode": "Operator"}},
         "how many of gateway there are is the operator's to find (scaling.mode Operator): "
         "set spec.gateway.autoscaling.minReplicas and maxReplicas in the manifest"),
        ("message", {"autoscaling": {"maxReplicas": 3}},
         "how many of message there are follows what waits in its stream: "
         "set spec.message.autoscaling.minReplicas and maxReplicas in the manifest"),
    ],
)  # fmt: skip
def test_a_number_that_another_finds_is_not_set(service: str, part: dict[str, Any], told: str) -> None:
    with pytest.raises(ClusterError) as caught:
        refuse_number({"spec": {service: part}}, service)
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("service", "spec"),
    [
        ("gateway", None), ("gateway", {"gateway": {"replicas": 1}}), ("message", {"message": {"replicas": 2}}),
        ("gateway", {"gateway": {"replicas": 1, "scaling": {"mode": "External"}}}),
        ("push", {"gateway": {"scaling": {"mode": "Operator"}}, "message": {"autoscaling": {"maxReplicas": 3}}}),
    ],
)  # fmt: skip
def test_a_number_that_nobody_else_finds_may_be_set(service: str, spec: Any) -> None:
    refuse_number({"spec": spec}, service)


@pytest.mark.parametrize("words", [["rollout"], ["rollout", "pause"], ["rollout", "undo", "a", "b"]])
def test_a_rollout_is_spoken_of_in_three_words(words: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser(PUSH).parse_args(words)
    assert parser(PUSH).parse_args(["rollout", "undo", "chat"]).name == "chat"


def test_a_status_of_an_older_generation_is_not_taken_for_this_one() -> None:
    shown = rendered([_platform("chat", generation=2, details=None)], "table", NOW)
    assert shown.startswith("chat: not ready: the last change has not been taken up yet\n")
