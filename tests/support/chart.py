"""The Helm chart: as objects, as commands of helm's, as a table."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.kube import ApiServer

CHART: Final = Path(__file__).parents[2] / "charts" / "push-operator"
PREVIOUS: Final = Path(__file__).parents[1] / "kube" / "charts" / "push-operator-previous.tgz"  # as its release had it
RELEASE, SYSTEM = "push-operator", "push-system"
KUBERNETES: Final = "1.35.0"  # what it is rendered for where no cluster is asked
Object = dict[str, Any]


def rendered(programs: Path, *options: str, template: str = "", release: str = RELEASE) -> str:
    """What `helm template` says, of one template or of all."""
    done = templated(programs, *options, template=template, release=release)
    assert done.returncode == 0, done.stderr
    return done.stdout


def templated(
    programs: Path, *options: str, template: str = "", release: str = RELEASE
) -> subprocess.CompletedProcess[str]:
    """The same for what may be refused."""
    only = ("--show-only", f"templates/{template}.yaml") if template else ()
    command = [str(programs / "helm"), "template", release, str(CHART), "--namespace", SYSTEM,
               "--kube-version", KUBERNETES, *only, *options]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=False)


def values(given: Any) -> tuple[str, ...]:
    """Options that set each of these values as it is, without helm's own syntax for lists and numbers."""
    return tuple(part for name, value in given.items() for part in ("--set-json", f"{name}={json.dumps(value)}"))


def helm(server: ApiServer, *arguments: str) -> str:
    """A command against a cluster, in the release's namespace."""
    command = [str(server.programs / "helm"), "--namespace", SYSTEM, *arguments]
    environ = os.environ | {"KUBECONFIG": str(server.kubeconfig)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(text: str) -> list[Object]:
    return [one for one in yaml.safe_load_all(text) if one]


def the(made: Iterable[Object], kind: str) -> Object:
    """The only one of this kind."""
    (found,) = (one for one in made if one["kind"] == kind)
    return found


def environment(deployment: Object) -> dict[str, str]:
    """What the operator is given there, but for what each pod has of its own."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def table(schema: Object, prefix: str = "") -> list[str]:
    """The values as rows of Markdown: name, type, default, description."""
    rows: list[str] = []
    for name, one in schema["properties"].items():
        if one.get("properties") and "default" not in one:
            rows += table(one, f"{prefix}{name}.")
        elif name != "global":  # helm's own, for charts that have this one in them
            kind = one.get("type") or " \\| ".join(one["enum"])
            rows.append(f"| `{prefix}{name}` | {kind} | `{json.dumps(one['default'])}` | {one['description']} |")
    return rows
