"""How stack files are read: Docker's amounts and variables, several files as one, what a name means."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_operator.errors import Fault, SpecError
from push_operator.fields import Node
from push_operator.migrate.kinds import kind_of, program_of
from push_operator.migrate.merge import merged
from push_operator.migrate.units import MAX_BYTES, MAX_CPUS, cpu, memory
from push_operator.migrate.variables import MAX_DEPTH, Filling
from push_operator.quantities import amount

# Amounts --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("docker", "kubernetes"),
    [("0.5", "500m"), ("0.50", "500m"), ("1", "1"), ("2.0", "2"), ("1.25", "1250m"), ("0.0001", "1m"), ("1e-05", "1m"),
     (".5", "500m"), ("0", ""), ("0.0", "")],
)  # fmt: skip
def test_cpus(docker: str, kubernetes: str) -> None:
    assert cpu(docker) == kubernetes


@pytest.mark.parametrize(
    ("docker", "kubernetes"),
    [("512M", "512Mi"), ("512m", "512Mi"), ("512MB", "512Mi"), ("512MiB", "512Mi"), ("512 mb", "512Mi"), ("1g", "1Gi"),
     ("1.5g", "1536Mi"), ("536870912", "512Mi"), ("100b", "100"), ("64k", "64Ki"), ("1p", "1024Ti"), ("0", ""),
     ("0.00001k", "")],
)  # fmt: skip
def test_memory_is_in_powers_of_1024_whatever_the_letter(docker: str, kubernetes: str) -> None:
    assert memory(docker) == kubernetes


@pytest.mark.parametrize("text", ["", "half", "-1", "nan", "inf", "1e99", "10001", "0" * 33])
def test_no_cpus(text: str) -> None:
    with pytest.raises(ValueError, match="n"):
        cpu(text)


@pytest.mark.parametrize("text", ["", "M", "-1M", "1.2.3M", "1 000M", "5 potatoes", "2p", "1" * 33, "1Mi i", "٣M"])
def test_no_memory(text: str) -> None:
    with pytest.raises(ValueError, match="n"):
        memory(text)


@given(st.decimals(0, MAX_CPUS, allow_nan=False, places=6))
def test_cpus_are_never_less_and_hardly_more(cpus: Decimal) -> None:
    ours = amount(cpu(f"{cpus:f}") or "0")
    assert ours is not None
    assert cpus <= ours < cpus + Decimal("0.001")


@given(st.integers(1, MAX_BYTES))
def test_memory_keeps_each_byte(size: int) -> None:
    assert amount(memory(str(size))) == size


@given(st.integers(0, MAX_BYTES), st.decimals(0, MAX_CPUS, allow_nan=False, allow_infinity=False))
def test_every_amount_is_one_that_a_manifest_takes(size: int, cpus: Decimal) -> None:
    faults: list[Fault] = []
    made = {"memory": memory(str(size)) or None, "cpu": cpu(f"{cpus:.9f}") or None}
    Node({"limits": made}, "", faults).quantities("limits")
    assert not faults


# Variables ------------------------------------------------------------------------------------------------------------

SHELL = {"A": "a", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"), ("$A", "a"), ("${A}/b", "a/b"), ("$A/$A", "a/a"), ("$$A", "$A"), ("$${A}", "${A}"),
        ("${B:-x}", "x"), ("${B-x}", "x"), ("${EMPTY:-x}", "x"), ("${EMPTY-x}", ""), ("${A:-x}", "a"), ("${B:-}", ""),
        ("${B:-a:b-c?d}", "a:b-c?d"), ("${A:?no}", "a"), ("${EMPTY?no}", ""), ("$B", ""), ("${B}", ""),
        ("$A-rest", "a"),  # as Docker reads it, braces or not
    ],
)  # fmt: skip
def test_variables_are_filled_in_as_docker_does(text: str, filled: str) -> None:
    faults: list[Fault] = []
    filling = Filling(SHELL, faults)
    assert filling.file({"services": {"x": [text, 5, None]}, "x-more": "${"}) == {"services": {"x": [filled, 5, None]}}
    assert not faults
    assert filling.unset == ({"B"} if text in ("$B", "${B}") else set())


@pytest.mark.parametrize(
    ("text", "words"),
    [("5$", "$$"), ("$(date)", "$$"), ("${A/b/c}", "$$"), ("${A:+x}", "$$"), ("${1}", "$$"),
     ("${A:-${B}}", "a variable in a variable's default"), ("${B:?why}", "needs the variable B"),
     ("${EMPTY:?why}", "needs the variable EMPTY"), ("${B?why}", "needs the variable B")],
)  # fmt: skip
def test_what_docker_would_refuse_is_refused_with_its_place(text: str, words: str) -> None:
    faults: list[Fault] = []
    Filling(SHELL, faults).file({"services": {"x": {"image": [text]}}})
    assert [fault.path for fault in faults] == ["services.x.image[0]"]
    assert words in faults[0].message


def test_a_file_that_contains_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["services"] = endless
    wide: Any = "x"
    for _ in range(MAX_DEPTH - 2):
        wide = [wide] * 10
    for document in (endless, {"services": wide}):
        with pytest.raises(SpecError, match="this is no stack"):
            Filling({}, []).file(document)


def test_keys_that_are_no_text_become_names() -> None:
    odd = {1: "a", False: "b", 16**5000: "c", None: "d"}
    assert Filling({}, []).file({"services": odd})["services"].keys() == {"1", "False", "a int", "a NoneType"}


# Several files --------------------------------------------------------------------------------------------------------


def _gateway(**fields: Any) -> dict[str, Any]:
    return {"services": {"gateway": fields}}


@pytest.mark.parametrize(
    ("base", "later", "both"),
    [
        ({"image": "a"}, {"image": "b"}, {"image": "b"}),
        ({"image": "a"}, {"image": None}, {"image": "a"}),
        ({"image": "a"}, {"command": "b"}, {"image": "a", "command": "b"}),
        ({"deploy": {"replicas": 1, "mode": "x"}}, {"deploy": {"replicas": 2}},
         {"deploy": {"replicas": 2, "mode": "x"}}),
        ({"environment": ["A=1", "B"]}, {"environment": {"A": 2}}, {"environment": {"A": 2, "B": None}}),
        ({"labels": {"a": "1"}}, {"labels": ["a=2=3"]}, {"labels": {"a": "2=3"}}),
        ({"deploy": {"labels": ["a=1"]}}, {"deploy": {"labels": ["b=2"]}},
         {"deploy": {"labels": {"a": "1", "b": "2"}}}),
        ({"ports": ["1:1", "2:2"]}, {"ports": ["2:2", "3:3"]}, {"ports": ["1:1", "2:2", "3:3"]}),
        ({"environment": [5]}, {}, {"environment": [5]}),
    ],
)  # fmt: skip
def test_the_later_file_is_laid_over_the_earlier(base: Any, later: Any, both: Any) -> None:
    assert merged([_gateway(**base), _gateway(**later)]) == _gateway(**both)


def test_files_add_services() -> None:
    assert merged([{"services": {"a": {}}}, {"services": {"b": None}}]) == {"services": {"a": {}, "b": None}}


# Names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gateway", "gateway"), ("push-gateway", "gateway"), ("Gateway-Service", "gateway"), ("push", "push"),
        ("push-service", "push"), ("messages", "message"), ("auth_svc", "auth"), ("nats-1", "nats"), ("nats2", "nats"),
        ("valkey", "redis"), ("redis-node-0", "redis"), ("scylladb", "cassandra"), ("cassandra-db", "cassandra"),
        ("redis-exporter", None), ("message-gateway", None), ("web", None), ("", None), ("push-web", None),
        ("auth-migrate", None), ("1", None),
    ],
)  # fmt: skip
def test_what_a_name_means(name: str, kind: str | None) -> None:
    assert kind_of(name) == kind


@pytest.mark.parametrize(
    ("image", "program"),
    [("nats", "nats"), ("nats:2.10-alpine", "nats"), ("registry:5000/push/auth", "auth"),
     ("r.example/push/auth:1@sha256:ab", "auth"), ("", "")],
)  # fmt: skip
def test_the_program_of_an_image(image: str, program: str) -> None:
    assert program_of(image) == program
