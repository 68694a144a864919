"""What a host of the manifest is called from the operator's pod. Pure."""

from __future__ import annotations

MOST_DOTS = 1  # `redis`, and `cassandra-0.cassandra` of a StatefulSet


def names_from(namespace: str, host: str) -> tuple[str, ...]:
    """The workloads look a short name up in their own namespace first; the operator's own is another one."""
    if ":" in host or host.count(".") > MOST_DOTS:
        return (host,)
    return (f"{host}.{namespace}.svc", host)
