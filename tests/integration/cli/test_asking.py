"""What a service's answer to the command line is taken for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from push_operator.cli.asking import NoAnswer, NotThere, ask
from push_operator.cli.target import AdminPort
from push_operator.errors import ClusterError


class _Answering(BaseHTTPRequestHandler):
    """With the status that the path says, or with nothing at all."""

    def do_GET(self) -> None:
        if self.path == "/nothing":
            return
        self.send_response(int(self.path[1:]))
        self.end_headers()
        self.wfile.write(b'{"error": "its words"}')

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture
def port() -> Iterator[AdminPort]:
    with HTTPServer(("127.0.0.1", 0), _Answering) as server:
        serving = threading.Thread(target=server.serve_forever, args=[0.02])
        serving.start()
        yield AdminPort("127.0.0.1", server.server_port, "token")
        server.shutdown()
        serving.join()


@pytest.mark.parametrize(
    ("path", "raised", "words"),
    [
        ("/400", ClusterError, "its words"),
        ("/404", NotThere, "its words"),
        ("/500", NoAnswer, "its words"),
        ("/503", NoAnswer, "its words"),
        ("/nothing", NoAnswer, "the push service does not answer"),
    ],
)
def test_faults(port: AdminPort, path: str, raised: type[ClusterError], words: str) -> None:
    with pytest.raises(ClusterError, match=words) as told:
        ask(port, "push", "GET", path)
    assert type(told.value) is raised


def test_an_answer(port: AdminPort) -> None:
    assert ask(port, "push", "GET", "/200") == {"error": "its words"}
