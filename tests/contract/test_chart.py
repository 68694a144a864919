"""The chart fits what it installs: the resource definition, the operator's settings, the version."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import yaml
from tests.support.chart import CHART, table

from push_operator import __version__
from push_operator.config import DEFAULT_IMAGES, read_config
from push_operator.model import DEFAULT_VERSION

ROOT = CHART.parents[1]
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
DEPLOYMENT = (CHART / "templates" / "deployment.yaml").read_text(encoding="utf-8")


def test_its_definition_is_the_projects() -> None:
    assert (CHART / "files" / "pushcluster.yaml").read_bytes() == (ROOT / "crds" / "pushcluster.yaml").read_bytes()


def test_its_versions_are_the_projects() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert {chart["version"], chart["appVersion"], project, __version__, DEFAULT_VERSION} == {project}
    for file in ("Dockerfile.operator", "Dockerfile.workload"):
        assert f"ARG VERSION={project}\n" in (ROOT / file).read_text(encoding="utf-8")


def _defaults(schema: dict[str, Any]) -> Any:
    """The values that the schema says are there unless others are given."""
    if "default" in schema:
        return schema["default"]
    return {name: _defaults(one) for name, one in schema["properties"].items() if name != "global"}


def test_its_schema_and_its_values_are_of_one_mind() -> None:
    """On the names, as a value with no default in the schema is none of the table, and on the defaults."""
    assert _defaults(SCHEMA) == VALUES


def test_no_object_of_the_schema_takes_any_name() -> None:
    def objects(name: str, schema: dict[str, Any]) -> None:
        if "properties" in schema:
            assert schema.get("additionalProperties") is False, name
            for inner, one in schema["properties"].items():
                objects(f"{name}.{inner}", one)

    objects("values", SCHEMA)


def test_the_documents_have_every_value() -> None:
    """Row by row. Where it fails: what it lists as missing is what belongs into the table."""
    document = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    rows = [line for line in document.splitlines() if re.match(r"\| `[\w.]+` \| .* \| `.*` \| ", line)]
    assert rows == table(SCHEMA)


def test_every_value_has_a_comment() -> None:
    """On its line, or above it, or, of several without a blank line between, above the first."""
    commented = False
    for line in (CHART / "values.yaml").read_text(encoding="utf-8").splitlines():
        commented = bool(line) and (commented or "#" in line)
        assert commented or not line, line


def test_it_says_which_images_the_operator_runs() -> None:
    comments = (CHART / "values.yaml").read_text(encoding="utf-8")
    for name in ("nats", "valkey", "cassandra"):
        default = getattr(DEFAULT_IMAGES, name)
        assert f'{name}Image: "" # {default}\n' in comments
        assert f"`{default}` unless given" in SCHEMA["properties"][f"{name}Image"]["description"]
    assert VALUES["workloadImage"] == DEFAULT_IMAGES.workload


def _asked() -> set[str]:
    """The variables that the operator reads."""
    asked: set[str] = set()

    class Watched(dict[str, str]):
        def get(self, key: str, default: Any = None) -> Any:
            asked.add(key)
            return super().get(key, default)

    read_config(Watched(), "identity", "namespace")
    return asked


def test_the_operator_knows_every_variable_it_is_given() -> None:
    given = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", DEPLOYMENT))
    assert {"POD_NAME", "LEASE_NAME", "WORKLOAD_IMAGE", "NATS_IMAGE"} <= given
    assert given <= _asked()


def test_the_documents_have_every_variable() -> None:
    settings = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8").partition("\n## Settings\n")[2]
    told = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)*)`", settings.partition("\n## ")[0]))
    assert _asked() <= told


def test_images_hold_one_package_each() -> None:
    for part, package in (("operator", "push_operator"), ("workload", "push_workloads")):
        copied = re.findall(r"^COPY (?!--from)(\S+) ", Path(ROOT / f"Dockerfile.{part}").read_text(), re.MULTILINE)
        assert [one.rpartition("/")[2] for one in copied if "/push_" in one] == [package]
