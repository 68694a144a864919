"""The chart fits what it installs: the resource definition, the operator's settings, the version."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import yaml
from tests.support.chart import CHART

from push_operator import __version__
from push_operator.config import read_config
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


def test_its_schema_knows_every_value_and_no_other() -> None:
    def names(values: dict[str, Any], schema: dict[str, Any]) -> None:
        known = schema.get("properties")
        if known is None:
            return
        assert values.keys() == known.keys() - {"global"}
        for name, value in values.items():
            if isinstance(value, dict):
                names(value, known[name])

    names(VALUES, SCHEMA)


def test_the_operator_knows_every_variable_it_is_given() -> None:
    asked: set[str] = set()

    class Watched(dict[str, str]):
        def get(self, key: str, default: Any = None) -> Any:
            asked.add(key)
            return super().get(key, default)

    read_config(Watched(), "identity", "namespace")
    given = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", DEPLOYMENT))
    assert {"POD_NAME", "LEASE_NAME", "WORKLOAD_IMAGE", "NATS_IMAGE"} <= given
    assert given <= asked


def test_images_hold_one_package_each() -> None:
    for part, package in (("operator", "push_operator"), ("workload", "push_workloads")):
        copied = re.findall(r"^COPY (?!--from)(\S+) ", Path(ROOT / f"Dockerfile.{part}").read_text(), re.MULTILINE)
        assert [one.rpartition("/")[2] for one in copied if "/push_" in one] == [package]
