"""All units of the platform: makes them from the plan, one step at a time, and ends them in order."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import aiohttp

from push_operator.cluster.local.environment import DRAIN_SECONDS, base_env, descriptor_variable, planned_env
from push_operator.cluster.local.logfile import LogFile, forget_old_logs
from push_operator.cluster.local.programs import Place, Program
from push_operator.cluster.local.rolling import Member, free_ordinals, next_steps
from push_operator.cluster.local.secrets import SecretStore
from push_operator.cluster.local.sets import GATEWAY, GatewaySets
from push_operator.cluster.local.sockets import LOOPBACK, KeptPorts, PublicSockets, listening
from push_operator.cluster.local.state import StateFolder
from push_operator.cluster.local.unit import LocalUnit, Recipe
from push_operator.errors import Conflict, NotFound
from push_operator.fleet.values import GatewaySet, Mark
from push_operator.plan.observed import Unit
from push_operator.plan.workload import PUBLIC, Plan, Workload

SERVICES_STOP_SECONDS, SERVERS_STOP_SECONDS = 6.0, 2.5
"""What the end of the platform allows: together under the ten seconds that Ctrl-C promises."""
GATEWAY_STOP_SECONDS = DRAIN_SECONDS + 10.0  # what a gateway gets that is stopped alone


@dataclass(slots=True)
class _Entry:
    unit: LocalUnit
    ordinal: int
    serves_clients: bool
    uid: str
    mark: Mark | None = None

    def observe(self) -> Unit:
        return replace(self.unit.observe(), uid=self.uid, mark=self.mark)


class Members:
    """The units by name. `apply` starts and stops in the background and calls `changed` when something came of it."""

    def __init__(
        self,
        state: StateFolder,
        programs: Mapping[str, Program],
        secrets: SecretStore,
        sockets: PublicSockets,
        session: aiohttp.ClientSession,
        changed: Callable[[], None],
    ) -> None:
        self._state, self._programs, self._secrets = state, programs, secrets
        self._sockets, self._session, self._changed = sockets, session, changed
        self._ports = KeptPorts(state)
        self._entries: dict[str, _Entry] = {}
        self._numbers = count(1)
        self._sets = GatewaySets()
        self._stops: set[asyncio.Task[None]] = set()

    def observe(self) -> tuple[Unit, ...]:
        return tuple(entry.observe() for entry in self._entries.values() if not entry.unit.stopping)

    def leaving(self) -> tuple[Unit, ...]:
        return tuple(entry.observe() for entry in self._entries.values() if entry.unit.stopping)

    def sets(self) -> tuple[GatewaySet, ...]:
        return self._sets.all()

    def port(self, component: str, name: str) -> int:
        """Where a server that opens its own sockets listens."""
        return self._ports.port(component, name)

    def _at(self, component: str, port: str) -> tuple[str, int]:
        """Where another component is reached from here."""
        public = self._sockets.port(component) if port == PUBLIC else None
        return (LOOPBACK, self.port(component, port)) if public is None else (self._sockets.reached_at, public)

    def log_files(self) -> tuple[LogFile, ...]:
        return tuple(entry.unit.recipe.log for entry in self._entries.values())

    def apply(self, plan: Plan) -> None:
        """Takes every workload one step nearer to the plan, and stops what the plan does not have. Of the gateways only
        the sets follow it, and they are filled."""
        self._sets.plan(plan.workload(GATEWAY))
        for workload in plan.workloads:
            if workload.component == GATEWAY:
                self._fill()
            else:
                self._step(workload)
        for name, entry in self._entries.items():
            if plan.workload(entry.unit.recipe.component) is None and not entry.unit.stopping:
                self._stop_soon(name, 10)

    def mark(self, unit: Unit, mark: Mark | None) -> None:
        """Only notes it: a gateway that drains accepts no more by itself, and the socket is everyone's. Raises NotFound
        and Conflict."""
        entry = self._entries.get(unit.name)
        if entry is None or entry.unit.stopping:
            raise NotFound(f"there is no {unit.name}")
        if entry.uid != unit.uid:
            raise Conflict(f"{unit.name} is another one by now")
        if entry.mark != mark:
            entry.mark = mark
            self._changed()

    def resize(self, one: GatewaySet, size: int, gone: Collection[str]) -> None:
        """Raises Conflict."""
        living = [entry for entry in self._of(GATEWAY, one.revision) if not entry.unit.stopping]
        living.sort(key=lambda entry: (entry.mark is None, entry.unit.ready, -entry.ordinal))
        for name in self._sets.resize(one, size, [entry.unit.recipe.name for entry in living], gone):
            self._stop_soon(name, GATEWAY_STOP_SECONDS)
        self._fill()
        self._changed()

    async def stop_all(self) -> None:
        """The services together, then the servers that they need; at the latest after the two limits above."""
        for serves_clients, seconds in ((True, SERVICES_STOP_SECONDS), (False, SERVERS_STOP_SECONDS)):
            units = [entry.unit for entry in self._entries.values() if entry.serves_clients is serves_clients]
            await asyncio.gather(*(unit.stop(seconds) for unit in units))
        await asyncio.gather(*self._stops)

    def _fill(self) -> None:
        """Starts what the sets lack, also where that failed before."""
        for workload in self._sets.workloads():
            members = self._members(workload.component)
            own = [one for one in members if one.revision == workload.revision and not one.stopping]
            for ordinal in free_ordinals(workload.revision, members, workload.replicas - len(own)):
                self._start(workload, ordinal)

    def _of(self, component: str, revision: str | None = None) -> list[_Entry]:
        made = [entry for entry in self._entries.values() if entry.unit.recipe.component == component]
        return [entry for entry in made if revision in (None, entry.unit.recipe.revision)]

    def _members(self, component: str) -> list[Member]:
        return [
            Member(one.unit.recipe.name, one.unit.recipe.revision, one.ordinal, one.unit.ready, one.unit.stopping)
            for one in self._of(component)
        ]

    def _step(self, workload: Workload) -> None:
        members = self._members(workload.component)
        alone = workload.storage is not None  # its files are one process's
        steps = next_steps(workload.revision, workload.replicas, members, alone=alone)
        for name in steps.stop:
            self._stop_soon(name, workload.stop_seconds)
        for ordinal in steps.start:
            self._start(workload, ordinal)

    def _start(self, workload: Workload, ordinal: int) -> None:
        name = f"{workload.name}-{workload.revision}-{ordinal}"
        program = self._programs[workload.component]
        admin = listening(LOOPBACK, 0, "close some programs") if program.inherits_sockets else None
        try:
            recipe = self._recipe(workload, name, program, admin)
        except BaseException:
            if admin is not None:
                admin.close()
            raise
        unit = LocalUnit(recipe, self._changed, released=lambda: self._released(name, admin))
        self._entries[name] = _Entry(unit, ordinal, program.inherits_sockets, str(next(self._numbers)))
        unit.start()

    def _recipe(self, workload: Workload, name: str, program: Program, admin: socket.socket | None) -> Recipe:
        data = self._state.data(workload.component)
        public = self._sockets.descriptors(workload.component)
        env = base_env(os.environ)
        env |= planned_env(workload.env, self._secrets, self._at, data)
        env["INSTANCE"] = name
        ports = {}
        if admin is not None:
            ports["admin"] = int(admin.getsockname()[1])
            env["ADMIN_FD"] = str(admin.fileno())
            env |= {descriptor_variable(port): str(fd) for port, fd in public.items()}
        else:
            ports = {port.name: self.port(workload.component, port.name) for port in workload.ports}
        place = Place(env, ports, data, self._state.config, workload.config)
        return Recipe(
            name=name,
            component=workload.component,
            revision=workload.revision,
            launch=program.launch(place),
            probe=program.probe(place, self._session),
            folder=data,
            log=self._log(workload.component, name),
            descriptors=(*public.values(), *((admin.fileno(),) if admin else ())),
            admin=f"http://{LOOPBACK}:{ports['admin']}" if admin is not None else None,
        )

    def _log(self, component: str, name: str) -> LogFile:
        in_use: set[Path] = {log.path for log in self.log_files()}
        forget_old_logs(self._state.logs, component, in_use)
        return LogFile(self._state.logs / f"{name}.log")

    def _released(self, name: str, admin: socket.socket | None) -> None:
        self._entries.pop(name, None)
        if admin is not None:
            admin.close()

    def _stop_soon(self, name: str, seconds: float) -> None:
        self._entries[name].unit.leave()
        stop = asyncio.create_task(self._entries[name].unit.stop(seconds))
        self._stops.add(stop)
        stop.add_done_callback(self._stops.discard)
