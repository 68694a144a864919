"""The neutral result of planning: what must run, said so that Kubernetes and one machine can both do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from push_operator.expose import Expose
from push_operator.model import ImageSpec
from push_operator.monitoring import Monitoring
from push_operator.overlay import Overlay

PUBLIC: Final = "public"  # the port that each service has for clients
SSE: Final = "sse"  # one more of the gateway's: Server-Sent Events, as plain HTTP
ADMIN: Final = "admin"  # each service's own, for its probes, its numbers and the operator's orders
MONITOR: Final = "monitor"  # the broker's


@dataclass(frozen=True, slots=True)
class SecretKey:
    """An environment value that stands in a Secret; `optional` leaves the variable out when the key is not there.

    A value shorter than `min_bytes` is refused; what is checked is no part of what a unit is started from.
    """

    secret: str
    key: str
    optional: bool = False
    min_bytes: int = field(default=0, repr=False)

    @property
    def path(self) -> str:
        """What its digest goes by."""
        return f"{self.secret}/{self.key}"


@dataclass(frozen=True, slots=True)
class Address:
    """An environment value that is where another workload of this plan listens: `scheme://host:port`, or `host:port`
    where no scheme is asked for."""

    component: str
    port: str
    scheme: str = ""

    def at(self, host: str, port: int) -> str:
        """The text of it, once the cluster knows where that is."""
        return f"{self.scheme}://{host}:{port}" if self.scheme else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class DataPath:
    """An environment value that is a file in the workload's own data folder."""

    file: str


EnvValue = str | SecretKey | Address | DataPath


@dataclass(frozen=True, slots=True)
class Port:
    """`public` ports are for clients of the platform; the others only for its own parts."""

    name: str
    number: int
    public: bool = False


@dataclass(frozen=True, slots=True)
class Workload:
    """One component. `revision` is a hash of everything that a running unit was started from, replicas aside; of the
    user's Secrets, their values once `with_secrets` was told of them.

    `stop_seconds` is how long a unit may take to stop in good order. `config` is the text of the server's
    configuration file, for those that read one. `retain`: its storage outlives the cluster it belongs to. `overlay`:
    what the manifest lays over its pods, where there are any.
    """

    component: str
    name: str
    revision: str
    replicas: int
    env: Mapping[str, EnvValue]
    ports: tuple[Port, ...]
    stop_seconds: int
    storage: str | None = None
    retain: bool = True
    config: str | None = None
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    overlay: Overlay = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GeneratedSecret:
    """A Secret whose keys get random values once, and keep them; `retain` as long as data is kept that needs them."""

    name: str
    keys: tuple[str, ...]
    retain: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that one PushCluster needs, backing services first. `version` and `image`: the services' own."""

    workloads: tuple[Workload, ...] = ()
    secrets: tuple[GeneratedSecret, ...] = ()
    version: str = ""
    image: ImageSpec = field(default_factory=ImageSpec)
    expose: Expose | None = None
    monitoring: Monitoring = field(default_factory=Monitoring)

    def given_keys(self) -> tuple[SecretKey, ...]:
        """The Secret keys that the user gives: all that workloads need and `secrets` does not make."""
        made = {(secret.name, key) for secret in self.secrets for key in secret.keys}
        needed = (value for workload in self.workloads for value in workload.env.values())
        keys = (value for value in needed if isinstance(value, SecretKey) and (value.secret, value.key) not in made)
        return tuple(dict.fromkeys(keys))

    def workload(self, component: str) -> Workload | None:
        return next((one for one in self.workloads if one.component == component), None)
