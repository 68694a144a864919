"""A platform on a real cluster, from its manifest to its end, as docs/kubernetes.md promises it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import ClientSession
from websockets.asyncio.client import connect

from tests.e2e.kubernetes.chat import Sender
from tests.e2e.kubernetes.place import SMALL, Place, small
from tests.support.chat import Client
from tests.support.cluster.images import NEXT_VERSION
from tests.support.waiting import eventually, within

COMPONENTS = ("nats", "valkey", "gateway", "auth", "message", "presence", "push")
RETAINED = {f"chat-{one}-data" for one in ("auth", "message", "push")} | {"data-chat-nats-0", "data-chat-valkey-0"}


async def test_clients_talk_to_each_other_through_the_services(place: Place, http: ClientSession) -> None:
    place.apply(SMALL)
    place.kubectl("wait", "pcl/chat", "--for=condition=Ready", "--timeout=240s")
    row = place.kubectl("get", "pcl").splitlines()[1].split()
    assert row[:6] == ["chat", "True", "2/2", "0", "AllReady", "0.1.0"]

    ann, bob = await place.register(http), await place.register(http)
    address = f"ws://{place.outside('gateway')}/ws"
    async with connect(f"{address}?token={ann.token}") as one, connect(f"{address}?token={bob.token}") as other:
        sender, recipient = Client(one), Client(other)
        await sender.expect("welcome")
        await recipient.expect("welcome")
        await sender.send(type="send_message", id="1", recipient_id=bob.user_id, content="Hello!")
        ack = await sender.expect("ack", id="1")
        message = await recipient.expect("message")
        assert (message["content"], message["message_id"]) == ("Hello!", ack["message_id"])
    history = place.url("message", f"/conversations/{ann.user_id}/messages")

    async def kept() -> list[str]:
        async with http.get(history, headers={"Authorization": f"Bearer {bob.token}"}) as answer:
            return [one["content"] for one in (await answer.json())["messages"]]

    assert await eventually(kept) == ["Hello!"]


def test_pods_have_no_privilege_and_no_place_to_write(place: Place) -> None:
    place.apply(small())
    place.until_ready()
    for component in COMPONENTS:
        (name, *_) = place.pods(component)
        inside = place.kubectl("exec", name, "--", "sh", "-c", "id -u; touch /x 2>&1; ls /var/run/secrets 2>&1 || true")
        assert inside.splitlines()[0] == "10001"
        assert "Read-only file system" in inside
        assert "kubernetes.io" not in inside  # no token of the API server's


async def test_scaling_brings_gateways_and_leaves_sockets_where_they_are(place: Place, http: ClientSession) -> None:
    place.apply(small())
    place.until_ready()
    before = place.pods("gateway")
    ann = await place.register(http)
    async with connect(f"ws://{place.outside('gateway')}/ws?token={ann.token}") as socket:
        client = Client(socket)
        await client.expect("welcome")
        place.kubectl("scale", "pcl/chat", "--replicas=3")
        await asyncio.to_thread(place.until_ready)
        after = place.pods("gateway")
        assert len(after) == 3
        assert before.keys() < after.keys()
        assert await client.nothing_but_pong() == []
    assert place.kubectl("get", "pcl").splitlines()[1].split()[2] == "3/3"
    # What `kubectl scale` and an autoscaler read.
    scale = json.loads(place.kubectl("get", "pcl/chat", "--subresource=scale", "-o", "json"))
    assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (3, 3)
    assert set(place.names("pods", "-l", scale["status"]["selector"])) == after.keys()


async def test_a_new_version_rolls_out_and_no_acknowledged_message_is_lost(place: Place, http: ClientSession) -> None:
    place.apply(small())
    place.until_ready()
    before = _running(place)
    ann, bob = await place.register(http), await place.register(http)
    sender = Sender(f"ws://{place.outside('gateway')}/ws?token={ann.token}", bob.user_id)
    stop = asyncio.Event()
    sending = asyncio.create_task(sender.run(stop))
    try:
        await eventually(lambda: len(sender.acked) > 20, within=60)
        place.change({"version": NEXT_VERSION})
        await asyncio.to_thread(place.until_ready)
        begun = len(sender.acked)
        await eventually(lambda: len(sender.acked) > begun + 20, within=60)
    finally:
        stop.set()
        await asyncio.wait_for(sending, 60)
    servers = {name for component in ("nats", "valkey") for name in place.pods(component)}
    # Whoever is being emptied is none of those that must be ready, and goes a little later.
    await eventually(lambda: not (before - servers) & _running(place), within=60)
    images = {pod["spec"]["containers"][0]["image"] for pod in place.pods("gateway").values()}
    assert images == {f"pushcluster/workload:{NEXT_VERSION}"}
    assert "restart" in sender.told, sender.closes  # the gateway that went said so first
    assert 1012 in sender.closes

    async def kept() -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        query = "?limit=100"
        while True:
            url = place.url("message", f"/conversations/{ann.user_id}/messages{query}")
            async with http.get(url, headers={"Authorization": f"Bearer {bob.token}"}) as answer:
                page = await answer.json()
            found += [(one["content"], one["message_id"]) for one in page["messages"]]
            if page["next"] is None:
                return found
            query = f"?limit=100&before={page['next']}"

    await eventually(lambda: _holds(kept, sender.acked), within=60)


def _running(place: Place) -> set[str]:
    return {name for component in COMPONENTS for name in place.pods(component)}


async def _holds(kept: Callable[[], Awaitable[list[tuple[str, str]]]], acked: dict[str, str]) -> bool:
    return sorted(await kept()) == sorted(acked.items())


def test_what_is_deleted_or_edited_comes_back(place: Place) -> None:
    place.apply(small())
    place.until_ready()
    uid = place.get("deployment", "chat-auth")["metadata"]["uid"]
    place.kubectl("delete", "deployment", "chat-auth", "--wait=true")
    within(30, lambda: (place.get("deployment", "chat-auth") or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid)
    place.kubectl("set", "env", "deployment/chat-presence", "ACCESS_TOKEN_TTL_SECONDS=1")

    def as_planned() -> bool:
        container = place.get("deployment", "chat-presence")["spec"]["template"]["spec"]["containers"][0]
        return {"name": "ACCESS_TOKEN_TTL_SECONDS", "value": "86400"} in container["env"]

    within(30, as_planned)
    place.until_ready()


def test_a_deleted_platform_leaves_its_data_and_nothing_else(place: Place) -> None:
    place.apply(small())
    place.until_ready()
    everything = ("deployments,statefulsets,pods,services,configmaps,serviceaccounts,pdb,networkpolicies,secrets,pvc",
                  "-l", "app.kubernetes.io/instance=chat")  # fmt: skip
    secret = place.get("secret", "chat-credentials")["data"]
    place.kubectl("delete", "pcl", "chat", "--wait=true")
    claims = place.names("pvc")
    assert claims == RETAINED
    # The garbage collector learns of a new kind within half a minute, then takes what it owned.
    within(90, lambda: place.names(*everything) <= claims | {"chat-credentials"})
    assert place.get("secret", "chat-credentials")["data"] == secret
    place.apply(small())  # finds its data again
    place.until_ready()
