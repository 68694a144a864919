"""Processes under the local cluster: started, restarted, replaced, stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import sys
from itertools import pairwise
from pathlib import Path

import aiohttp
import psutil
import pytest
from tests.integration.local.conftest import FAKE, KEY, ORIGINS, Bench, fake_programs, workload
from tests.support.platform import free_offset
from tests.support.verdicts import manifest
from tests.support.waiting import eventually

from push_operator.cluster.local import probes
from push_operator.cluster.local.adapter import LocalCluster, Settings
from push_operator.cluster.local.logfile import LogFile
from push_operator.cluster.local.manifest import read_manifest
from push_operator.cluster.local.probes import http_probe
from push_operator.cluster.local.programs import Launch, Place, Service
from push_operator.cluster.local.sockets import listening
from push_operator.cluster.local.state import StateFolder
from push_operator.cluster.local.unit import LocalUnit, Recipe
from push_operator.errors import ClusterError, NotFound
from push_operator.fleet.values import Mark, Why
from push_operator.plan.workload import Address, DataPath, GeneratedSecret, Plan, Port, SecretKey

ELSEWHERE = manifest("test", nats={"url": "nats://127.0.0.1:1"}, redis={"url": "redis://127.0.0.1:1"})


def _pid(bench: Bench, number: int = 0) -> int:
    details = bench.units()[number].details
    assert details is not None
    return int(details["pid"])


async def test_replicas_share_one_port_and_have_their_own_admin_ports(bench: Bench) -> None:
    await bench.until(Plan((workload(replicas=3),)), lambda: bench.ready() == 3)
    assert {unit.name for unit in bench.units()} == {f"test-gateway-aaaaaaaa-{number}" for number in range(3)}
    assert len({(unit.details or {})["admin"] for unit in bench.units()}) == 3
    assert (await asyncio.to_thread(bench.ask))["instance"].startswith("test-gateway-aaaaaaaa-")


async def test_a_second_public_port_is_shared_too_and_stays_open_over_a_new_revision(bench: Bench) -> None:
    def plan(revision: str) -> Plan:
        return Plan((workload(revision=revision, replicas=2, more_ports=(Port("sse", 8085, public=True),)),))

    async def replaced() -> None:
        await bench.cluster.apply(KEY, plan("bbbbbbbb"))
        await bench.resize(2, "bbbbbbbb")
        await bench.resize(0)

    for revision in ("aaaaaaaa", "bbbbbbbb"):
        if revision == "bbbbbbbb":
            await replaced()
        await bench.until(plan(revision), lambda: bench.ready(revision) == 2 == len(bench.units()))  # noqa: B023 - awaited here
        for after in (0, 5):
            assert (await asyncio.to_thread(bench.ask, "/", after))["instance"].startswith(f"test-gateway-{revision}-")
    await bench.until(Plan(), lambda: not bench.units())
    listening("127.0.0.1", bench.port + 5, "nobody should have it").close()


async def test_applying_the_same_plan_again_changes_nothing(bench: Bench) -> None:
    plan = Plan((workload(replicas=2),))
    await bench.until(plan, lambda: bench.ready() == 2)
    before = bench.units()
    await bench.cluster.apply(KEY, plan)
    assert [unit.name for unit in bench.units()] == [unit.name for unit in before]
    assert {_pid(bench, 0), _pid(bench, 1)} == {(unit.details or {})["pid"] for unit in before}


async def test_a_unit_that_ends_is_started_again_and_says_why_it_ended(bench: Bench, tmp_path: Path) -> None:
    plan = Plan((workload(FAKE=f"exit-once {tmp_path / 'failed'}"),))
    await bench.until(plan, lambda: bench.units()[0].note == "exited with 1: fake: told to fail")
    await bench.until(plan, lambda: bench.ready() == 1)
    assert bench.units()[0].restarts == 1


async def test_restarts_come_slower_and_slower(bench: Bench) -> None:
    times: list[float] = []

    def noted() -> bool:
        restarts = bench.units()[0].restarts
        while len(times) < restarts:
            times.append(asyncio.get_running_loop().time())
        return restarts >= 4

    await bench.cluster.apply(KEY, Plan((workload(FAKE="exit 78"),)))
    await eventually(noted)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == sorted(pauses), pauses  # 0.5, 1, 2 s with a jitter of a fifth never overlap
    assert bench.units()[0].note.startswith("exited with 78")


async def test_a_killed_unit_comes_back_under_the_same_name(bench: Bench) -> None:
    plan = Plan((workload(),))
    await bench.until(plan, lambda: bench.ready() == 1)
    name = bench.units()[0].name
    os.kill(_pid(bench), signal.SIGKILL)
    await eventually(lambda: bench.units()[0].note == "ended by SIGKILL")
    await eventually(lambda: bench.ready() == 1)
    assert bench.units()[0].name == name


async def test_a_process_that_hangs_is_replaced(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "PROBE_SECONDS", 0.2)
    with state.locked(), listening("127.0.0.1", 0, "test") as admin:
        env = {"ADMIN_FD": str(admin.fileno()), "INSTANCE": "test"}
        async with aiohttp.ClientSession() as session:
            recipe = Recipe(
                "test", "gateway", "aaaaaaaa", Launch((sys.executable, "-I", str(FAKE)), env),
                http_probe(session, f"http://127.0.0.1:{admin.getsockname()[1]}/readyz"), state.root,
                LogFile(state.logs / "test.log"), descriptors=(admin.fileno(),), hung_seconds=2.0,
            )  # fmt: skip
            unit = LocalUnit(recipe, lambda: None, lambda: None)
            unit.start()
            await eventually(lambda: unit.ready)
            process = psutil.Process(int((unit.observe().details or {})["pid"]))
            process.suspend()
            await eventually(lambda: unit.observe().note == "did not answer for 2 s", within=15)
            assert not process.is_running()
            await eventually(lambda: unit.ready, within=15)
            assert unit.observe().restarts == 1
            await unit.stop(5)


async def test_what_a_unit_waits_for_is_its_note(bench: Bench) -> None:
    await bench.until(
        Plan((workload(FAKE="never-ready"),)), lambda: bench.units()[0].note == "not connected to the bus"
    )
    assert bench.ready() == 0


async def test_fewer_replicas_stop_the_highest_ordinals(bench: Bench) -> None:
    await bench.until(Plan((workload("presence", replicas=3),)), lambda: bench.ready() == 3)
    await bench.until(Plan((workload("presence", replicas=1),)), lambda: len(bench.units()) == 1)
    assert bench.units()[0].name.endswith("-0")


async def test_a_new_revision_comes_in_beside_the_old_one(bench: Bench) -> None:
    await bench.until(Plan((workload("presence", replicas=2),)), lambda: bench.ready() == 2)
    fewest = 2

    def replaced() -> bool:
        nonlocal fewest
        fewest = min(fewest, bench.ready())
        return bench.ready("bbbbbbbb") == 2 and len(bench.units()) == 2

    await bench.until(Plan((workload("presence", revision="bbbbbbbb", replicas=2),)), replaced)
    assert fewest == 2


async def test_gateways_of_two_revisions_are_swapped_without_a_refused_connection(bench: Bench) -> None:
    await bench.until(Plan((workload(replicas=2),)), lambda: bench.ready() == 2)
    answers: list[str] = []
    done = asyncio.Event()

    async def keep_asking() -> None:
        while not done.is_set():
            answers.append((await asyncio.to_thread(bench.ask))["instance"])

    asking = asyncio.create_task(keep_asking())
    await bench.cluster.apply(KEY, Plan((workload(revision="bbbbbbbb", replicas=2),)))
    assert bench.ready("aaaaaaaa") == len(bench.units()) == 2
    await bench.resize(2, "bbbbbbbb")
    await eventually(lambda: bench.ready("bbbbbbbb") == 2)
    for size in (1, 0):
        await bench.resize(size)
        await eventually(lambda: len(bench.units("aaaaaaaa")) == size)  # noqa: B023 - awaited here
    more = len(answers) + 2
    await eventually(lambda: len(answers) > more)
    done.set()
    await asking
    assert "bbbbbbbb" in answers[-1]


async def test_a_gateway_that_is_ended_is_leaving_until_it_is_gone(bench: Bench, tmp_path: Path) -> None:
    bench.cluster.put(read_manifest([ELSEWHERE]))
    await bench.until(Plan((workload(replicas=2, FAKE=f"lingers {tmp_path / 'let-go'}"),)), lambda: bench.ready() == 2)
    await bench.resize(1)
    seen = await bench.cluster.observe(KEY)
    assert [unit.name for unit in seen.units] == ["test-gateway-aaaaaaaa-0"]
    assert [(unit.name, unit.note) for unit in seen.leaving] == [("test-gateway-aaaaaaaa-1", "stopping")]
    with pytest.raises(NotFound):
        await bench.cluster.mark(KEY, seen.leaving[0], Mark(Why.SCALE_DOWN, 1.0))
    await bench.resize(2)  # wanted again: under a name that nobody has
    assert {unit.name for unit in bench.units()} == {f"test-gateway-aaaaaaaa-{number}" for number in range(3)}
    (tmp_path / "let-go").touch()
    await eventually(lambda: len(bench.units()) == 2 == bench.ready())
    assert not (await bench.cluster.observe(KEY)).leaving


async def test_a_mark_outlives_the_process(bench: Bench) -> None:
    bench.cluster.put(read_manifest([ELSEWHERE]))
    await bench.until(Plan((workload(),)), lambda: bench.ready() == 1)
    (unit,) = bench.units()
    await bench.cluster.mark(KEY, unit, Mark(Why.ROLLOUT, 1.0))
    os.kill(_pid(bench), signal.SIGKILL)
    await eventually(lambda: bench.ready() == bench.units()[0].restarts == 1)
    (again,) = (await bench.cluster.observe(KEY)).units
    assert (again.uid, again.mark, again.address) == (unit.uid, Mark(Why.ROLLOUT, 1.0), unit.address)


async def test_the_loop_hears_of_each_mark_and_each_size(bench: Bench) -> None:
    """What one decision was made of is old by then."""
    bench.cluster.put(read_manifest([ELSEWHERE]))
    await bench.until(Plan((workload(),)), lambda: bench.ready() == 1)
    changes = bench.cluster.changes()
    assert [await anext(changes), await anext(changes)] == [KEY, KEY]  # the beginning, and what was until now
    next_one = asyncio.ensure_future(anext(changes))
    await bench.cluster.mark(KEY, bench.units()[0], Mark(Why.ROLLOUT, 1.0))
    assert await asyncio.wait_for(next_one, 10) == KEY
    next_one = asyncio.ensure_future(anext(changes))
    await bench.resize(2)
    assert await asyncio.wait_for(next_one, 10) == KEY


async def test_a_set_is_filled_once_its_gateways_can_be_started(state: StateFolder) -> None:
    programs = fake_programs()
    real, refusals = programs["gateway"], 1

    class Refusing(Service):
        def launch(self, place: Place) -> Launch:
            nonlocal refusals
            refusals -= 1
            if refusals >= 0:
                raise ClusterError("not now")
            return super().launch(place)

    programs["gateway"] = Refusing(real.argv)  # type: ignore[attr-defined]  # a Service
    with state.locked():
        settings = Settings("127.0.0.1", free_offset(), ORIGINS)
        async with LocalCluster.running(state, settings, programs) as cluster:
            bench = Bench(cluster, state, 0)
            with pytest.raises(ClusterError, match="not now"):
                await cluster.apply(KEY, Plan((workload(replicas=2),)))
            await bench.until(Plan((workload(replicas=2),)), lambda: bench.ready() == 2)
            refusals = 1
            with pytest.raises(ClusterError, match="not now"):
                await bench.resize(3)
            await bench.until(Plan((workload(replicas=2),)), lambda: bench.ready() == 3)


async def test_orders_are_good_with_the_generated_token(bench: Bench) -> None:
    assert await bench.cluster.admin_token(KEY) == ""
    await bench.cluster.apply(KEY, Plan((workload(),), (GeneratedSecret("test-credentials", ("JWT_SECRET",)),)))
    assert await bench.cluster.admin_token(KEY) == ""
    secret = GeneratedSecret("test-credentials", ("JWT_SECRET", "ADMIN_TOKEN"))
    await bench.cluster.apply(KEY, Plan((workload(),), (secret,)))
    kept = json.loads((bench.state.secrets / "test-credentials.json").read_text())
    assert await bench.cluster.admin_token(KEY) == kept["ADMIN_TOKEN"]


async def test_the_brokers_numbers_are_where_it_runs_or_where_the_manifest_says(bench: Bench) -> None:
    bench.cluster.put(read_manifest([ELSEWHERE]))
    assert (await bench.cluster.observe(KEY)).bus == ""
    nats = {**ELSEWHERE["spec"]["nats"], "monitoringUrl": "http://bus:8222"}
    bench.cluster.put(read_manifest([{**ELSEWHERE, "spec": {**ELSEWHERE["spec"], "nats": nats}}]))
    assert (await bench.cluster.observe(KEY)).bus == "http://bus:8222"


async def test_a_gateways_clients_have_seconds_when_the_platform_ends(bench: Bench) -> None:
    await bench.until(Plan((workload(DRAIN_SECONDS="300", DRAIN_RATE="7"),)), lambda: bench.ready() == 1)
    env = await asyncio.to_thread(bench.ask, "/env")
    assert (env["DRAIN_SECONDS"], env["DRAIN_RATE"]) == ("3", "7")


async def test_units_with_files_are_never_two(bench: Bench) -> None:
    await bench.until(Plan((workload("auth", storage="1Gi"),)), lambda: bench.ready() == 1)
    most = 0

    def replaced() -> bool:
        nonlocal most
        most = max(most, sum(bool((unit.details or {})["pid"]) for unit in bench.units()))
        return bench.ready("bbbbbbbb") == 1

    await bench.until(Plan((workload("auth", revision="bbbbbbbb", storage="1Gi"),)), replaced)
    assert most == 1


async def test_a_component_that_is_no_longer_planned_is_stopped_and_its_port_closed(bench: Bench) -> None:
    await bench.until(Plan((workload(),)), lambda: bench.ready() == 1)
    await bench.until(Plan(), lambda: not bench.units())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", bench.port))


async def test_a_unit_that_will_not_stop_is_killed(bench: Bench) -> None:
    await bench.until(Plan((workload(FAKE="stubborn", stop_seconds=1),)), lambda: bench.ready() == 1)
    process = psutil.Process(_pid(bench))
    await bench.until(Plan(), lambda: not bench.units())
    assert not process.is_running()


async def test_units_get_their_plan_and_little_else(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the user's own")
    auth = workload(
        "auth", storage="1Gi", TOKEN=SecretKey("test-credentials", "JWT_SECRET"),
        NONE=SecretKey("test-credentials", "absent", optional=True), FILE=DataPath("accounts.db"),
        NATS_URL=Address("nats", "client", "nats"),
    )  # fmt: skip
    plan = Plan((auth,), (GeneratedSecret("test-credentials", ("JWT_SECRET",)),))
    await bench.until(plan, lambda: bench.ready() == 1)
    env = await asyncio.to_thread(bench.ask, "/env")
    assert set(env) <= {
        "PATH",
        "HOME",
        "LANG",
        "TZ",
        "LC_CTYPE",
        "FD",
        "ADMIN_FD",
        "INSTANCE",
        "TOKEN",
        "FILE",
        "NATS_URL",
    }
    assert len(env["TOKEN"]) > 32
    assert env["FILE"] == str(bench.state.root / "data" / "auth" / "accounts.db")
    assert env["NATS_URL"] == f"nats://127.0.0.1:{bench.state.load_ports()['nats/client']}"


async def test_a_missing_secret_is_named_and_nothing_is_started(bench: Bench) -> None:
    with pytest.raises(ClusterError, match="Secret own has no key JWT_SECRET: add a Secret document to the manifest"):
        await bench.cluster.apply(KEY, Plan((workload(JWT_SECRET=SecretKey("own", "JWT_SECRET")),)))
    assert not bench.units()


async def test_generated_secrets_are_kept_and_private(bench: Bench) -> None:
    secret = GeneratedSecret("test-credentials", ("JWT_SECRET",))
    await bench.cluster.apply(KEY, Plan((), (secret,)))
    path = bench.state.secrets / "test-credentials.json"
    made = path.read_text()
    await bench.cluster.apply(KEY, Plan((), (GeneratedSecret("test-credentials", ("JWT_SECRET", "OTHER")),)))
    assert made.strip("{}\n ") in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(bench.state.root.stat().st_mode) == 0o700


async def test_a_port_in_use_is_named(state: StateFolder) -> None:
    offset = free_offset()
    with socket.socket() as taken, state.locked():
        taken.bind(("127.0.0.1", 8080 + offset))
        taken.listen()
        async with LocalCluster.running(state, Settings("127.0.0.1", offset, ORIGINS), fake_programs()) as cluster:
            with pytest.raises(ClusterError, match=f"port {8080 + offset} on 127.0.0.1 is in use: gateway needs it"):
                await cluster.apply(KEY, Plan((workload(),)))
            assert not cluster.units()


async def test_the_end_of_the_cluster_is_the_end_of_its_processes(state: StateFolder) -> None:
    settings = Settings("127.0.0.1", free_offset(), ORIGINS)
    with state.locked():
        async with LocalCluster.running(state, settings, fake_programs()) as cluster:
            bench = Bench(cluster, state, 0)
            await bench.until(Plan((workload(replicas=2),)), lambda: bench.ready() == 2)
            processes = [psutil.Process(_pid(bench, number)) for number in range(2)]
        assert not any(process.is_running() for process in processes)
