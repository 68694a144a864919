"""A service as the platform sees one: takes its sockets, says when it is ready, ends on SIGTERM. What it does besides
is in FAKE: `exit N`, `exit-once FILE`, `never-ready`, `stubborn` (ignores SIGTERM),
`lingers FILE` (ends once that is there), else it just works."""

import json
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BEHAVIOUR, *ARGUMENTS = os.environ.get("FAKE", "work").split(" ", 1)


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    timeout = 2  # seconds for a request that never comes

    def do_GET(self) -> None:
        if self.path == "/readyz":
            waiting = {"bus": "not connected to the bus"} if BEHAVIOUR == "never-ready" else {}
            self._answer(503 if waiting else 200, {"waiting": waiting})
        elif self.path == "/env":
            self._answer(200, dict(os.environ))
        else:
            self._answer(200, {"instance": os.environ["INSTANCE"], "pid": os.getpid()})

    def log_message(self, *_: object) -> None:
        return

    def _answer(self, status: int, body: object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


class Server(ThreadingHTTPServer):
    daemon_threads = False  # what was begun is finished: `server_close` waits for it


def serve(descriptor: int) -> ThreadingHTTPServer:
    server = Server(("", 0), Answers, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=descriptor)
    server.socket.setblocking(True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


def main() -> int:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: None if BEHAVIOUR == "stubborn" else stop.set())
    if BEHAVIOUR == "exit" or (BEHAVIOUR == "exit-once" and not Path(ARGUMENTS[0]).exists()):
        if BEHAVIOUR == "exit-once":
            Path(ARGUMENTS[0]).touch()
        sys.stderr.write("fake: told to fail\n")
        return int(ARGUMENTS[0]) if BEHAVIOUR == "exit" else 1
    servers = [serve(int(os.environ[name])) for name in ("FD", "SSE_FD", "ADMIN_FD") if name in os.environ]
    stop.wait()
    for server in servers:
        server.shutdown()
        server.server_close()
    while BEHAVIOUR == "lingers" and not Path(ARGUMENTS[0]).exists():
        time.sleep(0.01)
    return 0


if __name__ == "__main__":
    sys.exit(main())
