"""One JSON request to a service, and its answer."""

from __future__ import annotations

import http.client
import json
from typing import Any, Final

from push_operator.cli.target import AdminPort
from push_operator.errors import ClusterError

REQUEST_SECONDS: Final = 10.0
MAX_ANSWER_BYTES: Final = 1024 * 1024
_NOT_FOUND: Final = 404
_SERVER_ERROR: Final = 500


class NotThere(ClusterError):
    """The service answers, and has nothing of that name."""


class NoAnswer(ClusterError):
    """None came, or the service could not give one: nobody knows whether it was done."""


def ask(port: AdminPort, service: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
    """Raises ClusterError with the service's own words: NotThere for what is unknown, NoAnswer where it may have been
    done."""
    connection = http.client.HTTPConnection(port.host, port.port, timeout=REQUEST_SECONDS)
    headers = {"Authorization": f"Bearer {port.token}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        with connection.getresponse() as response:
            answer = json.loads(response.read(MAX_ANSWER_BYTES))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(f"the {service} service does not answer: {error}") from error
    finally:
        connection.close()
    if not isinstance(answer, dict):
        raise ClusterError(f"the {service} service answers with what is no object")
    if response.status >= 300:
        raise _fault(response.status)(_words(answer))
    return answer


def _fault(status: int) -> type[ClusterError]:
    if status >= _SERVER_ERROR:
        return NoAnswer
    return NotThere if status == _NOT_FOUND else ClusterError


def _words(answer: dict[str, Any]) -> str:
    """Of an error: admin ports say it as a text, public ones as an object."""
    error = answer.get("error")
    return str(error.get("message") if isinstance(error, dict) else error)
