"""The user's own Secrets: another value reaches those that use it, one that cannot work is refused."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from typing import Any

import pytest
from tests.integration.local.conftest import Bench
from tests.support.pilot import Hands
from tests.support.servers import free_port
from tests.support.waiting import eventually

from push_operator.cluster.local.manifest import Manifest, read_manifest
from push_operator.errors import ClusterError
from push_operator.loop import control
from push_operator.model import SERVICES, object_key
from push_operator.plan.build import build
from push_operator.plan.status import condition

LONG = "k" * 40


def _manifest(elsewhere: str, jwt_secret: str = LONG, bus: str = "one") -> Manifest:
    body = {
        "apiVersion": "pushcluster.io/v1alpha1",
        "kind": "PushCluster",
        "metadata": {"name": "test"},
        "spec": {
            "gateway": {"replicas": 2},
            "nats": {"url": f"nats://{elsewhere}", "credentialsSecret": "bus"},
            "redis": {"url": f"redis://{elsewhere}"},
            "tokens": {"signingKeysSecret": "keys"},
        },
    }
    return read_manifest([body, _secret("keys", JWT_SECRET=jwt_secret), _secret("bus", password=bus)])


def _secret(name: str, **values: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def _names(bench: Bench) -> dict[str, str]:
    """Of the gateways the newest set: how soon it has some is not Secrets' business."""
    names = {unit.component: unit.name for unit in bench.units() if unit.component != "gateway"}
    return names | {"gateway": bench.cluster.sets()[-1].revision if bench.cluster.sets() else ""}


async def _settled(bench: Bench, before: dict[str, str], rolled: set[str]) -> dict[str, str]:
    """Waits until exactly those components run under another name, each as often as wanted and ready."""

    def done() -> bool:
        now = _names(bench)
        others = [unit for unit in bench.units() if unit.component != "gateway"]
        settled = len(others) == 4 and all(unit.ready for unit in others)
        return settled and {one for one in now if now[one] != before[one]} == rolled

    await eventually(done, within=30)
    return _names(bench)


async def test_another_value_rolls_exactly_those_that_use_it(bench: Bench, elsewhere: str) -> None:
    loop = asyncio.create_task(control(bench.cluster, Hands().pilot))
    bench.cluster.put(_manifest(elsewhere))
    first = await _settled(bench, dict.fromkeys(SERVICES, ""), set(SERVICES))
    assert bench.cluster.put(_manifest(elsewhere)) == 1
    bench.cluster.put(_manifest(elsewhere, bus="two"))
    second = await _settled(bench, first, {"gateway", "message", "presence", "push"})
    bench.cluster.put(_manifest(elsewhere, jwt_secret="j" * 40, bus="two"))
    await _settled(bench, second, set(SERVICES))
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_a_short_signing_key_is_refused_and_changes_nothing(bench: Bench, elsewhere: str) -> None:
    told = "Secret keys: JWT_SECRET has 31 bytes and needs at least 32: make one with `openssl rand -hex 32`"
    with pytest.raises(ClusterError) as caught:
        bench.cluster.put(_manifest(elsewhere, "ä" + "k" * 29))
    assert str(caught.value) == told
    assert (bench.cluster.body, bench.state.load_object()) == ({}, None)
    assert not list(bench.state.secrets.iterdir())
    bench.cluster.put(_manifest(elsewhere))
    kept = (bench.state.secrets / "keys.json").read_text()
    with pytest.raises(ClusterError, match="needs at least 32"):
        bench.cluster.put(_manifest(elsewhere, "short"))
    assert (bench.state.secrets / "keys.json").read_text() == kept
    found = await bench.cluster.secrets(object_key(bench.cluster.body), build(_manifest(elsewhere).wanted))
    assert {name: set(values) for name, values in found.items()} == {"keys": {"JWT_SECRET"}, "bus": {"password"}}
    assert LONG not in str(found)


async def test_a_server_that_is_not_there_is_told_and_waited_for(bench: Bench) -> None:
    port = free_port()
    loop = asyncio.create_task(control(bench.cluster, Hands().pilot))
    bench.cluster.put(_manifest(f"127.0.0.1:{port}"))

    def told() -> str:
        stalled = condition(bench.cluster.body.get("status") or {}, "Stalled")
        return stalled["message"] if stalled is not None and stalled["status"] == "True" else ""

    await eventually(lambda: told().startswith(f"spec.nats.url: 127.0.0.1:{port} (refused) accepts no connection"))
    assert not bench.units()
    with closing(socket.create_server(("127.0.0.1", port))):
        await eventually(lambda: bench.ready() == 6 and not told())
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
