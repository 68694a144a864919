"""The life of one service process: settings, logs, signals, the admin port, background tasks, a graceful stop.

A service is a function `serve(config, process)` that is an async context manager: entering it starts the service,
leaving it stops it in good order. Its background work has a scope of its own (`tasks.beside`); a failure there ends the
process, and whoever runs it starts it again.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import msgspec
import prometheus_client
import uvloop
from aiohttp import web

from push_workloads.common.config import Common, ConfigError
from push_workloads.common.http import serving
from push_workloads.common.measures import Readiness
from push_workloads.common.tasks import beside
from push_workloads.common.telemetry import set_up_logging

EXIT_CONFIG = 78  # sysexits.h EX_CONFIG
EXIT_CRASH = 70  # sysexits.h EX_SOFTWARE
MAX_ADMIN_BODY_BYTES = 4096
_log = logging.getLogger(__name__)
AdminRoutes = Mapping[tuple[str, str], Callable[[web.Request], Awaitable[web.StreamResponse]]]
"""A service's own, by method and path"""
Check = Callable[[], str | None]


class HasCommon(Protocol):
    @property
    def common(self) -> Common: ...


Config = TypeVar("Config", bound=HasCommon)


@dataclass
class Process:
    """What a running service is given: where to report health, count, put background work, and learn of the stop."""

    name: str
    common: Common
    registry: prometheus_client.CollectorRegistry
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    checks: dict[str, Check] = field(default_factory=dict)
    admin_routes: AdminRoutes = field(default_factory=dict)

    def waiting_for(self) -> dict[str, str]:
        """What stands between this process and serving: check name → reason."""
        reasons = {name: check() for name, check in self.checks.items()}
        if self.stopping.is_set():
            reasons["process"] = "stopping"
        return {name: reason for name, reason in reasons.items() if reason}


Serve = Callable[[Config, Process], AbstractAsyncContextManager[None]]


def run(
    name: str, parse: Callable[[Mapping[str, str]], Config], serve: Serve[Config], environ: Mapping[str, str]
) -> int:
    """Runs one service until SIGTERM or SIGINT; returns the process's exit code."""
    try:
        config = parse(environ)
    except ConfigError as error:
        for fault in error.faults:
            sys.stderr.write(f"push_workloads {name}: {fault}\n")
        return EXIT_CONFIG
    set_up_logging(name, config.common.instance, config.common.log_level)
    try:
        uvloop.run(_live(name, config, serve))
    except Exception as error:  # noqa: BLE001 - the last edge: logged whole, and the exit code says so
        cause = _leaf(error)
        _log.critical("the service failed: %s: %s", type(cause).__name__, cause, exc_info=True)
        return EXIT_CRASH
    return 0


def _leaf(error: BaseException) -> BaseException:
    """The first error inside groups of groups: what a person wants to read first."""
    return _leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def _live(name: str, config: Config, serve: Serve[Config]) -> None:
    process = Process(name, config.common, prometheus_client.CollectorRegistry())
    process.registry.register(Readiness(process))
    prometheus_client.ProcessCollector(registry=process.registry)
    _on_signals(process.stopping)
    async with serving(admin(process), config.common.admin):
        await _serve_until_stopped(config, process, serve)
    _log.info("stopped")


async def _serve_until_stopped(config: Config, process: Process, serve: Serve[Config]) -> None:
    """Starts, waits for the stop, stops. A stop during start-up ends at once; a peer that hangs cannot hold it longer
    than `stop_seconds`."""
    started = False
    process.checks["start"] = lambda: None if started else "starting"
    try:
        async with asyncio.timeout(None) as limit:
            arm = _arm(limit, process.stopping, lambda: config.common.stop_seconds if started else 0)
            async with beside(arm), serve(config, process):
                started = True
                tune_garbage_collection()
                _log.info("started")
                await process.stopping.wait()
                _log.info("stopping")
    except TimeoutError:
        if not process.stopping.is_set():
            raise  # the service's own, not the limit that the stop has set
        _log.warning("stopped before it was ready" if not started else "stopped with work unfinished")


async def _arm(limit: asyncio.Timeout, stopping: asyncio.Event, seconds: Callable[[], float]) -> None:
    await stopping.wait()
    limit.reschedule(asyncio.get_running_loop().time() + seconds())


def _on_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)


def tune_garbage_collection() -> None:
    """Start-up objects never die: keep the collector from walking them (a full pass over 20k sockets took 0.7 s)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def admin(process: Process) -> web.Application:
    """`/healthz`: the loop turns. `/readyz`: it can serve, or why not. `/metrics`: Prometheus text. The rest is the
    service's own, which comes after this: so it is looked up for each request."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        waiting = process.waiting_for()
        body = msgspec.json.encode({"ready": not waiting, "waiting": waiting})
        return web.Response(body=body, status=503 if waiting else 200, content_type="application/json")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=prometheus_client.generate_latest(process.registry),
            headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST},
        )

    async def own(request: web.Request) -> web.StreamResponse:
        handler = process.admin_routes.get((request.method, request.path))
        return await handler(request) if handler is not None else _unknown(request, process.admin_routes)

    app = web.Application(client_max_size=MAX_ADMIN_BODY_BYTES)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    app.router.add_route("*", "/{own:.*}", own)
    return app


def _unknown(request: web.Request, routes: AdminRoutes) -> web.Response:
    allowed = ", ".join(method for method, path in routes if path == request.path)
    error = f"{request.path} takes {allowed}" if allowed else f"there is nothing at {request.path}"
    headers = {"Allow": allowed} if allowed else {}
    return web.json_response({"error": error}, status=405 if allowed else 404, headers=headers)
