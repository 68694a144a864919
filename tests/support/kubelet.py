"""The log endpoint of a kubelet, on which a real API server and a real `kubectl logs` can be tried without containers.

It answers as a kubelet does to what kubectl asks: the last lines, those since some seconds, and the ones to come.
"""

from __future__ import annotations

import itertools
import ssl
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.namespace import Namespace

NODE = "node-of-the-tests"
FOLLOW_SECONDS = 0.02


class Kubelet:
    """Lines by `namespace/pod/container`, each with its time; `ended` are those that get no more."""

    def __init__(self) -> None:
        self.lines: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
        self.ended: set[str] = set()
        self.asked: list[dict[str, str]] = []
        self.port = 0
        self._lives = itertools.count(1)

    def write(self, place: Namespace, pod: str, text: str) -> None:
        self.lines[self._key(place, pod)].append((datetime.now(UTC), text))

    def end(self, place: Namespace, pod: str) -> None:
        self.ended.add(self._key(place, pod))

    def start(self, place: Namespace, pod: str) -> None:
        """The pod is on this node, and its container has begun a life, which has a log of its own."""
        path = place.path("pods", pod)
        if not place.server.get(path)["spec"].get("nodeName"):
            place.server.must(
                "POST", f"{path}/binding", {"metadata": {"name": pod}, "target": {"kind": "Node", "name": NODE}}
            )
        self.lines[self._key(place, pod)].clear()
        self.ended.discard(self._key(place, pod))
        container = {"name": _component(pod), "ready": True, "restartCount": 0, "image": "i", "imageID": "i",
                     "containerID": f"test://{next(self._lives)}", "state": {"running": {}}}  # fmt: skip
        place.server.must("PATCH", f"{path}/status", {"status": {"containerStatuses": [container]}},
                          "application/merge-patch+json")  # fmt: skip

    def _key(self, place: Namespace, pod: str) -> str:
        return f"{place.name}/{pod}/{_component(pod)}"


def _component(pod: str) -> str:
    """Of `chat-auth-…`: the container is called so, too."""
    return pod.split("-")[1]


@contextmanager
def kubelet(place: Namespace, folder: Path) -> Iterator[Kubelet]:
    made = Kubelet()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    server.daemon_threads = True
    server.socket = _context(folder).wrap_socket(server.socket, server_side=True)
    made.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place.server.must("POST", "/api/v1/nodes", {"metadata": {"name": NODE}})
    status = {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
              "daemonEndpoints": {"kubeletEndpoint": {"Port": made.port}}}  # fmt: skip
    place.server.merge(f"/api/v1/nodes/{NODE}/status", {"status": status})
    try:
        yield made
    finally:
        place.server.must("DELETE", f"/api/v1/nodes/{NODE}")
        server.shutdown()
        server.server_close()


def _context(folder: Path) -> ssl.SSLContext:
    key, certificate = folder / "kubelet.key", folder / "kubelet.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=kubelet",
                    "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _handler(made: Kubelet) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, query = urlsplit(self.path).path, {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
            made.asked.append(query)
            self.send_response(200)
            self.end_headers()
            try:
                for when, text in _told(made, path.removeprefix("/containerLogs/"), query):
                    self.wfile.write(f"{when:%Y-%m-%dT%H:%M:%S.%f}000Z {text}\n".encode())
            except OSError:
                return  # kubectl has gone

        def log_message(self, *_: Any) -> None:
            return

    return Handler


def _told(made: Kubelet, key: str, query: dict[str, str]) -> Iterator[tuple[datetime, str]]:
    assert query.get("timestamps") == "true"
    lines = made.lines[key]
    since = datetime.now(UTC) - timedelta(seconds=int(query.get("sinceSeconds", 10**6)))
    told = max(0, len(lines) - int(query["tailLines"])) if "tailLines" in query else 0
    while True:
        for when, text in lines[told:]:
            if when >= since:
                yield when, text
        told = len(lines)
        if "follow" not in query or key in made.ended:
            return
        time.sleep(FOLLOW_SECONDS)
