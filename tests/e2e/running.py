"""One running platform that several tests share, and accounts on it."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import ClientSession

from push_operator.cli.web import PAGE_PORT
from push_operator.plan.services import PUBLIC_PORTS
from tests.support.platform import Platform, free_offset

ROOT: Final = Path(__file__).resolve().parents[2]
MANIFEST: Final = ROOT / "examples" / "quickstart.yaml"
READY_SECONDS: Final = 90.0
INTERRUPTED: Final = 130
PASSWORD: Final = "a long enough password"


@dataclass(frozen=True)
class Account:
    user_id: str
    token: str


@dataclass(frozen=True)
class Gateway:
    """One gateway process."""

    pid: int
    admin: str
    ready: bool


class Running:
    """A platform that is ready. Its ports are the documented ones plus `offset`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.offset = platform.offset
        self.page = f"http://localhost:{PAGE_PORT + self.offset}/"
        self.socket = f"ws://localhost:{PUBLIC_PORTS['gateway'] + self.offset}/ws"

    def generated(self, name: str) -> str:
        """A value that the platform has made for itself and keeps."""
        (file,) = (self._platform.state / "secrets").glob("*-credentials.json")
        return str(json.loads(file.read_text())[name])

    def url(self, service: str, path: str) -> str:
        return f"http://localhost:{PUBLIC_PORTS[service] + self.offset}{path}"

    async def gateways(self) -> list[Gateway]:
        units = (await asyncio.to_thread(self._platform.get))["units"]
        return [
            Gateway(unit["details"]["pid"], unit["details"]["admin"], unit["ready"])
            for unit in units
            if unit["component"] == "gateway" and unit["details"] and unit["details"].get("pid")
        ]

    async def ports(self) -> dict[str, tuple[str, str]]:
        """Of each service's processes by name: its component, and `HOST:PORT` of its admin port."""
        units = (await asyncio.to_thread(self._platform.get))["units"]
        admins = {unit["name"]: (unit["component"], (unit["details"] or {}).get("admin")) for unit in units}
        return {
            name: (component, admin.removeprefix("http://")) for name, (component, admin) in admins.items() if admin
        }

    async def open_sockets(self, http: ClientSession) -> dict[int, int]:
        """How many sockets each gateway holds, by its pid."""
        found: dict[int, int] = {}
        for gateway in await self.gateways():
            base = gateway.admin if gateway.admin.startswith("http") else f"http://{gateway.admin}"
            async with http.get(f"{base}/metrics") as answer:
                counted = re.search(r"^push_gateway_connections (\d+)", await answer.text(), re.MULTILINE)
                assert counted is not None
                found[gateway.pid] = int(counted[1])
        return found

    async def register(self, http: ClientSession) -> Account:
        return await registered(http, self.url("auth", "/auth/register"))


async def registered(http: ClientSession, url: str) -> Account:
    """A new account, of an auth service's own making."""
    body = {"email": new_email(), "password": PASSWORD}
    async with http.post(url, json=body) as answer:
        made = await answer.json()
        assert answer.status == 201, made
    return Account(made["user"]["id"], made["access_token"])


def new_email() -> str:
    return f"someone-{secrets.token_hex(6)}@example.com"


@contextmanager
def running_platform(folder: Path) -> Iterator[Running]:
    """`push up` until its ready line; Ctrl-C at the end, which must leave no process."""
    platform = Platform(folder, free_offset())
    platform.up(MANIFEST)
    try:
        platform.until_ready(READY_SECONDS)
        yield Running(platform)
    finally:
        code = platform.end()
    assert code == INTERRUPTED, platform.errors
