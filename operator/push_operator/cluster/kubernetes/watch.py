"""kopf as the watch layer, and as nothing else: no finalizer, no annotation, no handler that decides anything.

Its events feed the snapshots and wake the loop. It writes nothing at all.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Any

import kopf

from push_operator.cluster.kubernetes.feed import OURS, Feed
from push_operator.cluster.kubernetes.kinds import PUSH_CLUSTERS, WATCHED, Kind
from push_operator.model import object_key
from push_operator.render.objects import Object

SERVER_SECONDS, CLIENT_SECONDS, CONNECT_SECONDS = 300, 310, 10
# It gives up after the last of them, and the process ends: an hour of outage is no reason to.
BACKOFFS = (1, 1, 2, 3, 5, 8, *(10,) * 360)


async def watch(
    feed: Feed, identity: str, namespaces: tuple[str, ...], stop: asyncio.Event, ready: asyncio.Event
) -> None:
    """Runs until `stop`; the CRD must be there. A crash of kopf is raised: whoever runs the process starts it again."""
    # At INFO it tells of every single event.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    await kopf.operator(
        registry=_registry(feed),
        settings=_settings(),
        standalone=True,
        # One of its own making needs a user's name, and a pod's user has none. Its type is not exported.
        identity=identity,  # type: ignore[arg-type]
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=stop,
        ready_flag=ready,
    )


def _settings() -> kopf.OperatorSettings:
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.scanning.disabled = True  # the kinds and namespaces are known: no right to list CRDs and namespaces is needed
    made.networking.error_backoffs = BACKOFFS
    made.watching.server_timeout = SERVER_SECONDS
    made.watching.client_timeout = CLIENT_SECONDS
    made.watching.connect_timeout = CONNECT_SECONDS
    for kind in WATCHED:
        made.watching.label_selectors[kind.group, _version(kind), kind.plural] = OURS
    return made


def _registry(feed: Feed) -> kopf.OperatorRegistry:
    made = kopf.OperatorRegistry()
    kopf.on.login(registry=made, id="login")(_login)
    _on_event(made, PUSH_CLUSTERS, Objects(feed.touch).see)
    for kind in WATCHED:
        _on_event(made, kind, _fed(feed, kind))
    return made


def _on_event(registry: kopf.OperatorRegistry, kind: Kind, see: Callable[[str | None, Object], None]) -> None:
    async def on_event(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        see(type, {"apiVersion": kind.api_version, "kind": kind.kind, **body})

    kopf.on.event(kind.group, _version(kind), kind.plural, registry=registry, id=kind.plural)(on_event)


def _fed(feed: Feed, kind: Kind) -> Callable[[str | None, Object], None]:
    def see(event: str | None, live: Object) -> None:
        feed.see(kind, live, gone=event == "DELETED")
        if event is None:
            feed.stale(kind)

    return see


class Objects:
    """Passes over the operator's own status writes: they change neither generation nor deletion."""

    def __init__(self, touch: Callable[[str], None]) -> None:
        self._touch = touch
        self._seen: dict[str, tuple[Any, ...]] = {}

    def see(self, event: str | None, body: Object) -> None:
        key, meta = object_key(body), body["metadata"]
        version = (meta["uid"], meta.get("generation"), meta.get("deletionTimestamp"))
        if event == "DELETED":
            self._seen.pop(key, None)
        elif event == "MODIFIED" and self._seen.get(key) == version:
            return
        else:
            self._seen[key] = version
        self._touch(key)


async def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """The same choice as the client's own."""
    if os.environ.get("KUBECONFIG"):
        return kopf.login_with_kubeconfig(**kwargs)
    return kopf.login_with_service_account(**kwargs)


def _version(kind: Kind) -> str:
    return kind.api_version.rpartition("/")[2]
