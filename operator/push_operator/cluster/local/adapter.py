"""The Cluster port on one machine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from push_operator.cluster.local.ignored import ignored_fields
from push_operator.cluster.local.manifest import Manifest
from push_operator.cluster.local.members import Members
from push_operator.cluster.local.programs import Program
from push_operator.cluster.local.secrets import SecretStore, check_references
from push_operator.cluster.local.sockets import LOOPBACK, PublicSockets
from push_operator.cluster.local.state import StateFolder
from push_operator.cluster.reach import lost
from push_operator.errors import ClusterError, Fault, SpecError
from push_operator.fleet.values import GatewaySet, Mark
from push_operator.model import SERVICES, object_key
from push_operator.plan.build import build
from push_operator.plan.events import Event
from push_operator.plan.names import ADMIN_KEY
from push_operator.plan.observed import Observed, Unit
from push_operator.plan.reach import Target, told
from push_operator.plan.secrets import Secrets
from push_operator.plan.status import Status
from push_operator.plan.steering import ROLLOUT
from push_operator.plan.workload import Plan, SecretKey
from push_operator.tokens import KEYS_ANNOTATION, annotations_of

LOG_CHECK_SECONDS = 10.0
_log = logging.getLogger(__name__)
_SCHEMES = {"gateway": ("ws", "/ws"), "nats": ("nats", ""), "valkey": ("redis", "")}


@dataclass(frozen=True, slots=True)
class Settings:
    """How this run differs from another: `host` to bind the public ports to, `port_offset` added to each of them,
    `origins` of the web page that may call the services."""

    host: str
    port_offset: int
    origins: tuple[str, ...]


class LocalCluster:
    """Holds one PushCluster. Made by `running`, whose end stops every process."""

    def __init__(
        self,
        state: StateFolder,
        settings: Settings,
        programs: Mapping[str, Program],
        session: aiohttp.ClientSession,
    ) -> None:
        self._state, self._settings, self._programs = state, settings, programs
        self._secrets = SecretStore(state.secrets)
        self._sockets = PublicSockets(settings.host, settings.port_offset)
        self._members = Members(state, programs, self._secrets, self._sockets, session, self.touch)
        self._body: dict[str, Any] | None = None
        self._plan = Plan()  # of the last `apply`
        self._touched = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def running(
        cls, state: StateFolder, settings: Settings, programs: Mapping[str, Program]
    ) -> AsyncIterator[LocalCluster]:
        """A cluster with nothing in it yet; the caller holds the lock of the state folder. Raises ClusterError when
        a file in that is damaged."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            cluster = cls(state, settings, programs, session)
            cluster._refuse_damage()
            keeper = asyncio.create_task(cluster._cap_logs())
            try:
                yield cluster
            finally:
                await cluster._close(keeper)

    # The port --------------------------------------------------------------------------------------------------------

    async def observe(self, key: str) -> Observed:
        if self._body is None or object_key(self._body) != key:
            return Observed(body=None)
        return Observed(
            body=self._body,
            units=self._members.observe(),
            leaving=self._members.leaving(),
            sets=self._members.sets(),
            bus=self._bus(),
            endpoints=self._endpoints(),
            origins=self._settings.origins,
            ignored=ignored_fields(self._body),
        )

    async def secrets(self, key: str, plan: Plan) -> Secrets:
        return self._secrets.found(plan)

    async def unreachable(self, key: str, targets: tuple[Target, ...]) -> str:
        return told(await lost(targets))

    async def apply(self, key: str, plan: Plan) -> None:
        self._check(plan, {})
        for secret in plan.secrets:
            self._secrets.ensure(secret)
        self._sockets.open_for(plan)
        self._plan = plan
        self._members.apply(plan)

    async def admin_token(self, key: str) -> str:
        keys = (SecretKey(secret.name, ADMIN_KEY, optional=True) for secret in self._plan.secrets)
        return next((value for one in keys if (value := self._secrets.value(one))), "")

    async def mark(self, key: str, unit: Unit, mark: Mark | None) -> None:
        self._members.mark(unit, mark)

    async def resize(self, key: str, one: GatewaySet, size: int, gone: frozenset[str]) -> None:
        self._members.resize(one, size, gone)

    async def publish(self, key: str, status: Status, events: tuple[Event, ...]) -> None:
        for event in events:
            level = logging.WARNING if event.warning else logging.INFO  # a warning is shown on the screen too
            _log.log(level, "%s: %s", event.reason, event.message)
        if self._body is not None:
            self._body = {**self._body, "status": status}
            self._state.save_object(self._body)

    async def changes(self) -> AsyncIterator[str]:
        while True:
            if self._body is not None:
                yield object_key(self._body)
            await self._touched.wait()
            self._touched.clear()

    # What the command line asks for -----------------------------------------------------------------------------------

    @property
    def body(self) -> Mapping[str, Any]:
        """The object with its status; empty before the first `put`."""
        return self._body or {}

    def units(self) -> tuple[Unit, ...]:
        """Those that are stopping, too."""
        return self._members.observe() + self._members.leaving()

    def sets(self) -> tuple[GatewaySet, ...]:
        return self._members.sets()

    def touch(self) -> None:
        self._touched.set()

    def put(self, manifest: Manifest) -> int:
        """Takes a manifest in place of the one before and returns its generation.

        Raises SpecError or ClusterError, and then nothing has changed: everything that can be refused without
        starting a process is refused here.
        """
        plan = build(manifest.wanted, self._settings.origins)
        kept = self._body or self._state.load_object()
        self._refuse_other_name(manifest, kept)
        self._check(plan, manifest.secrets)
        self._sockets.open_for(plan)
        for name, values in manifest.secrets.items():
            self._secrets.put(name, values)
        self._body = _next_object(manifest.body, kept, running=self._body is not None)
        self._state.save_object(self._body)
        self.touch()
        return int(self._body["metadata"]["generation"])

    def annotate(self, name: str, value: str) -> None:
        """On the object that is there; what it asks for stays the same generation."""
        if self._body is not None:
            self._body = _annotated(self._body, {name: value})
            self._state.save_object(self._body)
            self.touch()

    def _refuse_damage(self) -> None:
        self._state.load_object()
        self._state.load_ports()
        self._secrets.check()

    def _check(self, plan: Plan, given: Mapping[str, Mapping[str, str]]) -> None:
        for workload in plan.workloads:
            if workload.component not in self._programs:
                raise ClusterError(f"{workload.component} cannot run on one machine")
            self._programs[workload.component].check()
        check_references(plan, self._secrets, given)

    def _refuse_other_name(self, manifest: Manifest, kept: Mapping[str, Any] | None) -> None:
        before = object_key(kept) if kept else object_key(manifest.body)
        if object_key(manifest.body) != before:
            raise SpecError(
                (Fault("metadata.name", f"must stay {before}, whose data {self._state.root} holds: "
                                        "a different platform needs its own --state folder"),)
            )  # fmt: skip

    def _bus(self) -> str:
        """Where the numbers of NATS are read: of the one that runs here, else where the manifest says."""
        if self._plan.workload("nats") is not None:
            return f"http://{LOOPBACK}:{self._members.port('nats', 'monitor')}"
        return str((((self._body or {}).get("spec") or {}).get("nats") or {}).get("monitoringUrl") or "")

    def _endpoints(self) -> dict[str, str]:
        return {workload.component: self._endpoint(workload.component) for workload in self._plan.workloads}

    def _endpoint(self, component: str) -> str:
        scheme, path = _SCHEMES.get(component, ("http", ""))
        if component not in SERVICES:
            return f"{scheme}://{LOOPBACK}:{self._members.port(component, 'client')}"
        port = self._sockets.port(component)
        return f"{scheme}://{self._shown_host()}:{port}{path}" if port else ""

    def _shown_host(self) -> str:
        """`localhost` for what this machine reaches under that name, else the address itself."""
        host = self._settings.host
        if host in ("127.0.0.1", "0.0.0.0", "localhost", "::"):  # noqa: S104 - compared, not bound
            return "localhost"
        return f"[{host}]" if ":" in host else host

    async def _cap_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_CHECK_SECONDS)
            for log in self._members.log_files():
                try:
                    log.cap()
                except OSError as error:
                    _log.warning("the log %s cannot be shortened: %s", log.path, error.strerror)

    async def _close(self, keeper: asyncio.Task[None]) -> None:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        await self._members.stop_all()
        self._sockets.close()


def _next_object(body: Mapping[str, Any], kept: Mapping[str, Any] | None, *, running: bool) -> dict[str, Any]:
    """The object to keep: a new generation when the spec is another one; the status is the running platform's own."""
    before = dict(kept or {})
    generation = int((before.get("metadata") or {}).get("generation") or 0)
    if before.get("spec") != body.get("spec"):
        generation += 1
    made = {**body, "metadata": {**body["metadata"], "generation": generation}}
    made.pop("status", None)
    keys = annotations_of(before).get(KEYS_ANNOTATION)  # without it the keys that sign tokens now would be none
    made = _annotated(made, {KEYS_ANNOTATION: keys, **annotations_of(made)}) if keys else made
    if not running:
        return made
    # What a person said of the rollout that goes on, as `kubectl apply` keeps it.
    order = annotations_of(before).get(ROLLOUT)
    made = _annotated(made, {ROLLOUT: order, **annotations_of(made)}) if order else made
    return made | ({"status": before["status"]} if "status" in before else {})


def _annotated(body: Mapping[str, Any], annotations: Mapping[str, Any]) -> dict[str, Any]:
    return {**body, "metadata": {**body["metadata"], "annotations": {**annotations_of(body), **annotations}}}
