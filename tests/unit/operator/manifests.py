"""Manifests for tests, as decoded YAML."""

from __future__ import annotations

from typing import Any

from push_operator.model import PushCluster, parse


def manifest(**spec: Any) -> dict[str, Any]:
    """The least valid manifest, with fields of the spec on top."""
    return {
        "apiVersion": "pushcluster.io/v1alpha1",
        "kind": "PushCluster",
        "metadata": {"name": "chat"},
        "spec": {"gateway": {"replicas": 2}, **spec},
    }


def cluster(**spec: Any) -> PushCluster:
    return parse(manifest(**spec))
