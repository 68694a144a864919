"""Talks to the platform that runs in a state folder, through its control socket."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any

from push_operator.cluster.local.state import StateFolder
from push_operator.errors import ClusterError, Fault, OperatorError, SpecError

REQUEST_SECONDS = 10.0
DOWN_SECONDS = 15.0


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=REQUEST_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class PlatformClient:
    """One platform, by its state folder. Every method raises ClusterError when none is running there."""

    def __init__(self, state: StateFolder) -> None:
        self._state = state

    def listens(self) -> bool:
        """Somebody is at the control socket. Takes no lock: to look must not keep a platform from starting."""
        connection = _UnixConnection(str(self._state.control_socket))
        try:
            connection.connect()
        except OSError:
            return False
        finally:
            connection.close()
        return True

    def platform(self) -> dict[str, Any]:
        """The object, its units and the page's address as the platform sees them now."""
        return self._ask("GET", "/platform")

    def put(self, documents: list[Any]) -> int:
        """Applies a manifest; returns its generation. Raises SpecError when it is refused."""
        return int(self._ask("PUT", "/object", {"documents": documents})["generation"])

    def scale(self, component: str, replicas: int) -> int:
        return int(self._ask("POST", "/scale", {"component": component, "replicas": replicas})["generation"])

    def steer(self, action: str) -> str:
        """Says what becomes of the rollout; returns its revision."""
        return str(self._ask("POST", "/rollout", {"action": action})["revision"])

    def rotate_keys(self, *, at_once: bool) -> str:
        """One more key that signs access tokens; returns all that there are."""
        return str(self._ask("POST", "/keys", {"at_once": at_once})["keys"])

    def down(self) -> None:
        """Ends the platform; returns when no process of it is left. Raises ClusterError after DOWN_SECONDS."""
        self._ask("POST", "/down", {})
        deadline = time.monotonic() + DOWN_SECONDS
        while (pid := self._state.running_pid()) is not None:
            if time.monotonic() > deadline:
                raise ClusterError(f"the platform (pid {pid}) is still stopping after {DOWN_SECONDS:.0f} s")
            time.sleep(0.05)

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        connection = _UnixConnection(str(self._state.control_socket))
        try:
            connection.request(method, path, json.dumps(body, default=str), {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        except (FileNotFoundError, ConnectionError) as error:
            raise ClusterError(f"no platform is running in {self._state.root}: start it with `push up FILE`") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ClusterError(f"the platform in {self._state.root} does not answer: {error}") from error
        finally:
            connection.close()
        if response.status >= 300:
            raise _refusal(answer)
        return answer


def _refusal(answer: dict[str, Any]) -> OperatorError:
    if "faults" in answer:
        return SpecError(tuple(Fault(fault["path"], fault["message"]) for fault in answer["faults"]))
    return ClusterError(str(answer.get("error")))
