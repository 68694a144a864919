"""Manifests for tests, as decoded YAML."""

from __future__ import annotations

from typing import Any

from tests.support.verdicts import manifest

from push_operator.model import PushCluster, parse

__all__ = ["cluster", "manifest"]


def cluster(**spec: Any) -> PushCluster:
    return parse(manifest(**spec))
