"""Presence over a real Valkey: what the gateway's own writer wrote is read, and swept when the gateway is gone."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess, environ_for, in_process
from tests.support.waiting import eventually

from push_workloads.common import presence_keys as keys
from push_workloads.common.announcements import Announcement
from push_workloads.common.lock import Lock
from push_workloads.common.tasks import beside
from push_workloads.gateway.presence import Open, PresenceWriter
from push_workloads.presence.sweeper import LOCK_KEY, Pace, Sweeper, SweepMetrics

FAST = Pace(interval=0.02, settle=0.0, grace_ms=0)
GRACE_MS = 60_000  # longer than any test
SERVICE_KEY = "the service key of the Secret, long enough"
BEARER = {"Authorization": f"Bearer {SERVICE_KEY}"}  # who may see everybody: no rights are asked for
Told = list[Announcement]


@pytest.fixture
async def redis(valkey_server: Valkey) -> AsyncIterator[Any]:
    async with Redis.from_url(valkey_server.url) as client:
        yield client


@pytest.fixture
async def presence(valkey_server: Valkey, nats_server: Nats) -> AsyncIterator[InProcess]:
    """It sweeps at once, and there is no grace."""
    own = {"SERVICE_KEY": SERVICE_KEY, "SETTLE_SECONDS": "0", "PRESENCE_GRACE_SECONDS": "0"}
    environ = environ_for(REDIS_URL=valkey_server.url, NATS_URL=nats_server.url, **own)
    async with in_process("presence", environ) as service:
        await service.ready()
        yield service


def _open(user_id: str, session_id: str) -> Open:
    return Open(user_id, session_id, keys.Opened(1, "ws", "d1"))


def _writer(redis: Any, instance: str, told: Told | None = None, grace_ms: int = GRACE_MS) -> PresenceWriter:
    """`told`: where what it announces goes."""
    return PresenceWriter(redis, instance, grace_ms, (told if told is not None else []).append)


async def _gid(redis: Any, instance: str) -> str:
    """The generation under which this gateway is registered."""
    found = [gid.decode() for gid in await redis.smembers(keys.GATEWAYS)]
    return next((gid for gid in found if gid.startswith(f"{instance}.")), "")


@asynccontextmanager
async def _crashing_gateway(redis: Any, users: list[str]) -> AsyncIterator[str]:
    """A gateway with a session for each user; leaving the context is its crash, with the lease ended at once."""
    writer = _writer(redis, "crashing")
    for user in users:
        writer.connected(_open(user, f"session-of-{user}"))
    async with beside(writer.run(tuple, lambda _, __: None)):
        gid: str = await eventually(lambda: _gid(redis, "crashing"))
        await eventually(lambda: _count_is(redis, gid, len(set(users))))
        yield gid
    await redis.delete(keys.lease(gid))


async def _count_is(redis: Any, gid: str, count: int) -> bool:
    return bool(await redis.scard(keys.sessions_of(gid)) == count)


async def _read(http: ClientSession, service: InProcess, *user_ids: str) -> list[dict[str, Any]]:
    query = {"user_ids": ",".join(user_ids)}
    async with http.get(f"{service.url}/presence", params=query, headers=BEARER) as answer:
        assert answer.status == 200, await answer.text()
        found: list[dict[str, Any]] = (await answer.json())["presence"]
        return found


async def _status(http: ClientSession, service: InProcess, user_id: str) -> str:
    return str((await _read(http, service, user_id))[0]["status"])


@asynccontextmanager
async def _sweeping(redis: Any, pace: Pace = FAST, told: Told | None = None) -> AsyncIterator[Callable[[str], float]]:
    """A replica's sweeper; gives its metrics by name. `told`: where what it announces goes."""
    registry = CollectorRegistry()
    sweeper = Sweeper(redis, SweepMetrics(registry), (told if told is not None else []).append, pace)
    async with beside(sweeper.run()):
        yield lambda name: registry.get_sample_value(f"push_presence_{name}") or 0.0
    await sweeper.close()


async def test_who_is_connected_is_online(presence: InProcess, http: ClientSession, redis: Any) -> None:
    writer = _writer(redis, "gateway-1", grace_ms=0)
    writer.connected(_open("ada", "s1"))
    writer.connected(_open("ada", "s2"))
    writer.connected(_open("a user; with odd *ids*", "s3"))
    before = int(time.time() * 1000)
    async with beside(writer.run(tuple, lambda _, __: None)):
        await eventually(lambda: _is(http, presence, "ada", "online"))
        writer.disconnected("ada", "s1")
        found = await eventually(lambda: _seen(http, presence, "ada"))
        assert found["status"] == "online"
        writer.disconnected("ada", "s2")
        await eventually(lambda: _is(http, presence, "ada", "offline"))
        both = await _read(http, presence, "a user; with odd *ids*", "nobody", "ada")
    assert [one["user_id"] for one in both] == ["a user; with odd *ids*", "nobody", "ada"]
    assert both[0] == {"user_id": "a user; with odd *ids*", "status": "online", "last_seen": None}
    assert both[1] == {"user_id": "nobody", "status": "offline", "last_seen": None}
    assert before <= both[2]["last_seen"] <= int(time.time() * 1000)


async def _is(http: ClientSession, service: InProcess, user_id: str, status: str) -> bool:
    return await _status(http, service, user_id) == status


async def _seen(http: ClientSession, service: InProcess, user_id: str) -> dict[str, Any] | None:
    (found,) = await _read(http, service, user_id)
    return found if found["last_seen"] else None


async def test_users_of_a_dead_gateway_are_offline_once_that_is_told(
    presence: InProcess, http: ClientSession, redis: Any
) -> None:
    async with _crashing_gateway(redis, ["ada"]):
        await eventually(lambda: _is(http, presence, "ada", "online"))
    await eventually(lambda: _is(http, presence, "ada", "offline"))
    assert not await redis.exists(keys.user("ada"))


async def test_of_many_who_are_gone_each_is_told_once(redis: Any) -> None:
    users = [f"user-{number}" for number in range(450)]
    told: Told = []
    async with _crashing_gateway(redis, users):
        pass
    async with _sweeping(redis, told=told) as first, _sweeping(redis, told=told) as second:
        await eventually(lambda: first("left_total") + second("left_total") == len(users))
    assert sorted((one.user_id, one.status) for one in told) == sorted((one, "offline") for one in users)


async def test_who_comes_back_within_the_grace_was_never_gone(redis: Any) -> None:
    told: Told = []
    async with _crashing_gateway(redis, ["ada", "bob"]):
        pass
    other = _writer(redis, "other", told)
    async with beside(other.run(tuple, lambda _, __: None)), _sweeping(redis, replace(FAST, grace_ms=GRACE_MS), told):
        await eventually(lambda: redis.zscore(keys.LEAVING, "ada"))
        other.connected(_open("ada", "s2"))
        await eventually(lambda: _gone(redis, keys.LEAVING, "ada"))
        await redis.zadd(keys.LEAVING, {"bob": 0})  # his grace is over
        await eventually(lambda: told)
    assert [(one.user_id, one.status) for one in told] == [("bob", "offline")]


async def _gone(redis: Any, name: str, member: str) -> bool:
    return await redis.zscore(name, member) is None


async def test_the_sweeper_ends_the_sessions_of_a_dead_gateway(redis: Any) -> None:
    users = [f"user-{number}" for number in range(450)]
    alive = _writer(redis, "alive")
    alive.connected(_open("user-0", "elsewhere"))
    before = int(time.time() * 1000)
    async with beside(alive.run(tuple, lambda _, __: None)):
        async with _crashing_gateway(redis, users) as gid:
            pass
        async with _sweeping(redis) as metric:
            await eventually(lambda: metric("swept_gateways_total") == 1)
            assert metric("swept_sessions_total") == 450
        assert [gone.decode() for gone in await redis.smembers(keys.GATEWAYS)] == [await _gid(redis, "alive")]
        assert not await redis.exists(keys.sessions_of(gid), *(keys.user(user) for user in users[1:]))
        assert len(await redis.hkeys(keys.user("user-0"))) == 1
        seen = await redis.mget([keys.last_seen(user) for user in users])
        assert all(before <= int(one) <= int(time.time() * 1000) for one in seen)


async def test_the_sweeper_leaves_the_living_alone(redis: Any) -> None:
    alive = _writer(redis, "alive")
    alive.connected(_open("ada", "s1"))
    async with beside(alive.run(tuple, lambda _, __: None)):
        await eventually(lambda: redis.exists(keys.user("ada")))
        async with _sweeping(redis) as metric:
            async with _crashing_gateway(redis, ["eve"]):
                pass
            await eventually(lambda: metric("swept_gateways_total") == 1)
            assert metric("swept_sessions_total") == 1
        assert await redis.hlen(keys.user("ada")) == 1


async def test_what_is_seen_later_stays(redis: Any) -> None:
    later = int(time.time() * 1000) + 60_000
    async with _crashing_gateway(redis, ["ada"]):
        await redis.set(keys.last_seen("ada"), later)
    async with _sweeping(redis) as metric:
        await eventually(lambda: metric("swept_gateways_total") == 1)
    assert int(await redis.get(keys.last_seen("ada")) or 0) == later


async def test_a_valkey_that_has_just_started_is_left_alone(redis: Any) -> None:
    async with _crashing_gateway(redis, ["ada"]):
        pass
    async with _sweeping(redis, Pace(interval=0.02, settle=3600)) as metric:
        await eventually(lambda: metric("sweeper_active") == 1)
        looks = int((await redis.info("commandstats"))["cmdstat_info"]["calls"])
        await eventually(lambda: _looked(redis, looks + 10))
        assert metric("swept_sessions_total") == 0
    assert await redis.hlen(keys.user("ada")) == 1


async def _looked(redis: Any, times: int) -> bool:
    return int((await redis.info("commandstats"))["cmdstat_info"]["calls"]) > times


async def test_of_two_sweepers_one_is_active_and_the_other_takes_over(redis: Any) -> None:
    async with _sweeping(redis) as second:
        async with _sweeping(redis) as first:
            await eventually(lambda: first("sweeper_active") + second("sweeper_active") == 1)
            async with _crashing_gateway(redis, [f"user-{number}" for number in range(300)]):
                pass
            await eventually(lambda: first("swept_gateways_total") + second("swept_gateways_total") == 1)
            assert sorted((first("swept_sessions_total"), second("swept_sessions_total"))) == [0, 300]
        await eventually(lambda: second("sweeper_active") == 1)


async def test_a_lock_is_its_holders(redis: Any) -> None:
    one, other = Lock(redis, LOCK_KEY, 60_000), Lock(redis, LOCK_KEY, 60_000)
    assert await one.hold()
    assert await one.hold()
    assert not await other.hold()
    await other.release()
    assert not await other.hold()
    await one.release()
    assert await other.hold()
    assert 0 < await redis.pttl(LOCK_KEY) <= 60_000


@pytest.mark.parametrize("user_ids", ["", "a,,b", "x" * 129, ",".join(f"u{number}" for number in range(501))])
async def test_a_bad_question(presence: InProcess, http: ClientSession, user_ids: str) -> None:
    async with http.get(f"{presence.url}/presence", params={"user_ids": user_ids}, headers=BEARER) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["message"].startswith("user_ids: ")


async def test_without_a_token(presence: InProcess, http: ClientSession) -> None:
    async with http.get(f"{presence.url}/presence", params={"user_ids": "ada"}) as answer:
        assert answer.status == 401


async def test_five_hundred_users_in_one_question(presence: InProcess, http: ClientSession) -> None:
    assert len(await _read(http, presence, *(f"u{number}" for number in range(500)))) == 500


async def test_without_redis_it_says_so_at_once_and_comes_back(
    presence: InProcess, http: ClientSession, valkey_server: Valkey
) -> None:
    await valkey_server.kill()
    started = time.monotonic()
    async with http.get(f"{presence.url}/presence", params={"user_ids": "ada"}, headers=BEARER) as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
    assert time.monotonic() - started < 3
    await valkey_server.start()
    await eventually(lambda: _answers(http, presence))


async def _answers(http: ClientSession, service: InProcess) -> bool:
    async with http.get(f"{service.url}/presence", params={"user_ids": "ada"}, headers=BEARER) as answer:
        return answer.status == 200


@pytest.mark.parametrize(("said", "told"), [(True, ["online", "away"]), (False, ["online"])])
async def test_who_comes_back_and_says_away_is_believed_at_once_who_comes_back_as_it_is_not(
    redis: Any, said: bool, told: list[str]
) -> None:
    """Within one moment, in which nothing is written."""
    announced: Told = []
    writer, again = _writer(redis, "g1", announced), _open("ann", "again")
    writer.connected(_open("ann", "before"))
    async with beside(writer.run(tuple, lambda _, __: None)):
        gid: str = await eventually(lambda: _gid(redis, "g1"))
        await eventually(lambda: _count_is(redis, gid, 1))
        writer.disconnected("ann", "before")
        await eventually(lambda: _count_is(redis, gid, 0))
        if said:
            writer.connected(again)
        writer.connected(again._replace(opened=again.opened._replace(away=True)))
        await eventually(lambda: _count_is(redis, gid, 1))
        await eventually(lambda: [one.status for one in announced] == told)
