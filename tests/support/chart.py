"""The Helm chart as objects."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).parents[2] / "charts" / "push-operator"
KUBERNETES: Final = "1.35.0"  # what it is rendered for where no cluster is asked
Object = dict[str, Any]


def rendered(programs: Path, *options: str, template: str = "", namespace: str = "push-system") -> str:
    """What `helm template` says, of one template or of all."""
    only = ("--show-only", f"templates/{template}.yaml") if template else ()
    command = [str(programs / "helm"), "template", "push-operator", str(CHART), "--namespace", namespace,
               "--kube-version", KUBERNETES, *only, *options]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(text: str) -> list[Object]:
    return [one for one in yaml.safe_load_all(text) if one]
