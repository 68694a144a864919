"""`python -m push_operator`: the operator in a cluster. The composition root: environment → values → tasks."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from kubernetes.aio.dynamic import DynamicClient

from push_operator.cluster.kubernetes.adapter import KubernetesCluster
from push_operator.cluster.kubernetes.api import Api, connected, own_namespace
from push_operator.cluster.kubernetes.kinds import PUSH_CLUSTERS
from push_operator.cluster.kubernetes.lease import KubernetesLease
from push_operator.cluster.kubernetes.watch import watch
from push_operator.config import Config, ConfigError, read_config
from push_operator.errors import ClusterError, OperatorError
from push_operator.leader import Election, lead
from push_operator.loop import control
from push_operator.piloting import piloting
from push_operator.telemetry import Telemetry, admin, set_up_logging

CRD_SECONDS = 2.0
EXIT_CONFIG, EXIT_CRASH = 78, 70  # sysexits.h EX_CONFIG, EX_SOFTWARE
_log = logging.getLogger("push_operator")


def main(environ: Mapping[str, str]) -> int:
    try:
        config = read_config(environ, f"{socket.gethostname()}-{os.getpid()}", own_namespace(environ))
    except ConfigError as error:
        sys.stderr.write(f"push-operator: {error}\n")
        return EXIT_CONFIG
    set_up_logging(config.log_level)
    try:
        asyncio.run(_run(config))
    except OperatorError as error:
        _log.critical("%s", error)
        return EXIT_CONFIG
    except BaseExceptionGroup as group:
        _log.critical("the operator failed", exc_info=group)
        return EXIT_CRASH
    return 0


async def _run(config: Config) -> None:
    async with connected(config.kubeconfig) as client:
        operator = _Operator(config, client)
        async with operator.serving():
            await operator.run()
    _log.info("stopped")


class _Operator:
    """One process: it watches always, and acts while it leads."""

    def __init__(self, config: Config, client: DynamicClient) -> None:
        self._config = config
        self._telemetry = Telemetry()
        unfenced = Api(client, fence=lambda: None, count=self._telemetry.requested)
        self._unfenced = unfenced
        self._election = Election(KubernetesLease(unfenced, config.namespace, config.lease), config.identity)
        api = Api(client, fence=self._election.fence, count=self._telemetry.requested)
        self._cluster = KubernetesCluster(
            api, config.images, config.namespaces, config.resync_seconds, check_reachability=config.check_reachability
        )
        self._stopping, self._watching = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; a crash of any part is raised, and ends the process."""
        self._on_signals()
        async with asyncio.TaskGroup() as tasks:
            parts = [tasks.create_task(self._watch_and_lead())]
            await self._stopping.wait()
            for part in parts:
                part.cancel()
        try:
            await self._election.release()
        except ClusterError as error:
            _log.warning("the lease was not given back: %s", error)

    async def _watch_and_lead(self) -> None:
        await self._wait_for_the_crd()
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch(stop))
            try:
                await self._watching.wait()
                self._on_signals()  # kopf has put its own handlers in their place
                await lead(self._election, self._work)
            finally:
                stop.set()
                await asyncio.wait({watching}, timeout=5)

    async def _watch(self, stop: asyncio.Event) -> None:
        await watch(self._cluster.feed, self._config.identity, self._config.namespaces, stop, self._watching)
        # kopf returns only when it was told to: by us, or by a signal that came while it was starting.
        self._stopping.set()

    async def _work(self) -> None:
        try:
            async with piloting(lambda: self._election.epoch) as pilot, asyncio.TaskGroup() as tasks:
                tasks.create_task(control(self._cluster, pilot, self._telemetry))
                tasks.create_task(self._cluster.feed.keep_fresh())
        finally:
            self._telemetry.working(None)

    async def _wait_for_the_crd(self) -> None:
        """kopf watches what it finds at its start."""
        told = False
        while not await self._crd_is_served():
            if not told:
                _log.warning("waiting for the CustomResourceDefinition %s", PUSH_CLUSTERS.plural)
                told = True
            await asyncio.sleep(CRD_SECONDS)

    async def _crd_is_served(self) -> bool:
        try:
            return await self._unfenced.served(PUSH_CLUSTERS)
        except ClusterError as error:
            _log.warning("%s", error)
            return False

    def _on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """The admin port."""
        clock = asyncio.get_running_loop().time
        app = admin(
            self._telemetry,
            leading=self._election.leads,
            listed_seconds=lambda: clock() - self._cluster.feed.listed_at,
            waiting_for=lambda: None if self._watching.is_set() else "waiting for the watches to begin",
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._config.admin_host, self._config.admin_port).start()
            yield
        finally:
            await runner.cleanup()


if __name__ == "__main__":
    sys.exit(main(os.environ))
