"""The platform in a state folder as a target."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from push_operator.cli.client import PlatformClient
from push_operator.cli.files import documents_in, read
from push_operator.cli.keys import new_key
from push_operator.cli.logs import follow as following
from push_operator.cli.logs import last_lines
from push_operator.cli.target import AdminPort, Platform
from push_operator.cluster.local.secrets import SecretStore
from push_operator.cluster.local.state import StateFolder
from push_operator.errors import ClusterError
from push_operator.model import parse
from push_operator.plan.env import service_key
from push_operator.plan.names import ADMIN_KEY, credentials_name
from push_operator.plan.workload import SecretKey


class LocalTarget:
    """`name` None: whatever it is called; another name than the platform's is refused."""

    def __init__(self, state: StateFolder, name: str | None = None) -> None:
        self._state, self._name = state, name
        self._client = PlatformClient(state)

    def platforms(self) -> Sequence[Platform]:
        self._check_name()
        answer = self._client.platform()
        return [Platform(answer["object"], answer["units"], answer["page"])]

    def put(self, file: str) -> str:
        generation = self._client.put(documents_in(read(file), file))
        return f"applied (generation {generation})"

    def scale(self, component: str, replicas: int) -> str:
        self._check_name()
        self._client.scale(component, replicas)
        return f"{component} scaled to {replicas}"

    def steer(self, action: str) -> str:
        self._check_name()
        return f"{action} of the rollout of {self._client.steer(action)} is asked for"

    @contextmanager
    def admin(self, component: str) -> Iterator[AdminPort]:
        (platform,) = self.platforms()
        name = platform.body["metadata"]["name"]
        roots = [(unit["details"] or {}).get("admin") for unit in platform.units if unit["component"] == component]
        where = next((urlsplit(root) for root in roots if root), None)
        token = SecretStore(self._state.secrets).value(SecretKey(credentials_name(name), ADMIN_KEY))
        if where is None or where.port is None or token is None:
            raise ClusterError(f"no {component} runs yet: `push get` says what lacks")
        yield AdminPort(where.hostname or "", where.port, token)

    @contextmanager
    def public(self, component: str) -> Iterator[AdminPort]:
        (platform,) = self.platforms()
        listed = (platform.body.get("status") or {}).get("components") or ()
        roots = [one["endpoint"] for one in listed if one["name"] == component]
        where = next((urlsplit(root) for root in roots if root), None)
        if where is None or where.port is None:
            raise ClusterError(f"no {component} runs yet: `push get` says what lacks")
        key = SecretStore(self._state.secrets).value(service_key(parse(platform.body)))
        yield AdminPort(where.hostname or "", where.port, key or "")

    def rotate_keys(self, *, at_once: bool) -> str:
        self._check_name()
        return new_key(self._client.rotate_keys(at_once=at_once))

    def logs(self, component: str, tail: int, *, follow: bool) -> Generator[str, None, None]:
        """Those of a platform that has ended are still there."""
        self._check_name()
        folder = self._state.logs
        if not folder.is_dir():
            raise ClusterError(f"no platform has run in {self._state.root}: start one with `push up FILE`")
        yield from last_lines(folder, component, tail)
        if follow:
            yield from following(folder, component)

    def _check_name(self) -> None:
        kept = self._state.load_object() if self._name else None
        if kept is not None and kept["metadata"]["name"] != self._name:
            raise ClusterError(f"the platform in {self._state.root} is {kept['metadata']['name']}, not {self._name}")
