"""Runs a service of ours for a test: inside this process, or as the process that production runs."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import prometheus_client
from aiohttp import ClientError, ClientSession

from push_workloads.common.config import Listen
from push_workloads.common.http import serving
from push_workloads.common.service import Process, admin
from tests.support.waiting import eventually

PASSED_ON = ("PATH", "PYTHONPATH")  # the latter: the code under test need not be the one that is installed
SECRET = "a secret for tests, long enough for HS256"
NO_REDIS = "redis://127.0.0.1:1"  # where nothing of Redis is asked


def environ_for(**values: str) -> dict[str, str]:
    """What every service is given, and `values`."""
    return {"JWT_SECRET": SECRET, "HOST": "127.0.0.1", "ADMIN_HOST": "127.0.0.1", "STOP_SECONDS": "5", **values}


def listening() -> socket.socket:
    """A listening socket on a port of the kernel's choice, as the local platform hands one to its services."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", 0))
    made.listen(1024)
    return made


class InProcess:
    """A service that runs in this event loop."""

    def __init__(self, process: Process, port: int, sse_port: int, admin_port: int) -> None:
        self.process = process
        self.port = port
        self.sse_port = sse_port  # of a gateway
        self.url = f"http://127.0.0.1:{port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}"

    async def ready(self) -> None:
        await eventually(lambda: not self.process.waiting_for())

    def metric(self, name: str, **labels: str) -> float:
        """The value of one sample, 0 when it was never counted."""
        return self.process.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def in_process(name: str, environ: Mapping[str, str], *, own_address: bool = False) -> AsyncIterator[InProcess]:
    """Enters `push_workloads.<name>.service`'s `serve`; its ports are told by the result. `own_address`: it opens its
    sockets itself, as in a pod, where the local platform hands them over."""
    module: Any = importlib.import_module(f"push_workloads.{name}.service")
    public, events, own = listening(), listening(), listening()
    ports = [made.getsockname()[1] for made in (public, events, own)]
    if own_address:
        where = {"PORT": str(ports[0]), "SSE_PORT": str(ports[1])}
    else:
        where = {"FD": str(public.detach())} | ({"SSE_FD": str(events.detach())} if name == "gateway" else {})
    public.close()
    events.close()
    config = module.parse({**environ, **where})
    process = Process(name, config.common, prometheus_client.CollectorRegistry())
    async with serving(admin(process), Listen("", 0, own.detach())), module.serve(config, process):
        yield InProcess(process, *ports)
        process.stopping.set()


class OwnProcess:
    """A service as `python -m push_workloads NAME`."""

    def __init__(self, child: subprocess.Popen[bytes], port: int, admin_port: int, sse_port: int) -> None:
        self.child = child
        self.sse_url = f"http://127.0.0.1:{sse_port}"  # of a gateway
        self.url = f"http://127.0.0.1:{port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}"

    async def ready(self, http: ClientSession) -> None:
        async def is_ready() -> bool:
            assert self.child.poll() is None, f"exit code {self.child.returncode}"
            try:
                async with http.get(f"{self.admin_url}/readyz") as answer:
                    return answer.status == 200
            except ClientError:
                return False

        await eventually(is_ready)

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.child.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.child.wait, 20)


def launch(name: str, environ: Mapping[str, str], log: Path, shared: socket.socket | None = None) -> OwnProcess:
    """Starts the real process on ports of the kernel's choice; its log goes to the file. `shared`: where it accepts
    together with others."""
    with (
        shared.dup() if shared is not None else listening() as public,
        listening() as port,
        listening() as events,
        log.open("ab") as out,
    ):
        fds = {"FD": str(public.fileno()), "ADMIN_FD": str(port.fileno()), "SSE_FD": str(events.fileno())}
        child = subprocess.Popen(
            [sys.executable, "-m", "push_workloads", name],
            env={**{name: os.environ[name] for name in PASSED_ON if name in os.environ}, **environ, **fds},
            pass_fds=(public.fileno(), port.fileno(), events.fileno()),
            stdout=out,
            stderr=out,
        )
        ports = (made.getsockname()[1] for made in (public, port, events))
        return OwnProcess(child, *ports)


@asynccontextmanager
async def own_process(
    name: str, environ: Mapping[str, str], log: Path, shared: socket.socket | None = None
) -> AsyncIterator[OwnProcess]:
    """`launch`, and killed on exit if it is still there."""
    started = launch(name, environ, log, shared)
    try:
        yield started
    finally:
        started.child.kill()
        await asyncio.to_thread(started.child.wait)
