"""Gateways of which only the admin port is there: where no kubelet runs any, an operator has somebody to talk to.

Each has an address of its own on the loopback, as a pod has its IP.
"""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

PORT: Final = 9090
_numbers = itertools.count(1)


def _address() -> str:
    """Of 127.0.0.0/8, and of this process alone."""
    pid, number = os.getpid(), next(_numbers)
    return f"127.{64 + (pid >> 8) % 128}.{pid % 256}.{number % 250 + 2}"


@dataclass
class AdminPort:
    """Holds no client at all, and drains at once."""

    address: str = field(default_factory=_address)
    draining: dict[str, Any] | None = None
    orders: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = ThreadingHTTPServer((self.address, PORT), _handler(self))
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def stats(self) -> dict[str, Any]:
        return {"boot": self.address, "connections": 0, "max_connections": 15_000, "draining": self.draining}

    def obey(self, path: str, body: dict[str, Any]) -> None:
        self.orders.append(path)
        if path == "/drain":
            self.draining = {"rate": body["rate"], "left": 0, "stopping": False}
        elif path == "/undrain":
            self.draining = None


def _handler(port: AdminPort) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(200, port.stats())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not self.headers.get("Authorization", "").removeprefix("Bearer "):
                self._answer(401, {"error": "no token"})
                return
            port.obey(self.path, body)
            self._answer(200, port.stats())

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

    return Handler
