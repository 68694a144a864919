"""The PushCluster resource as values. Pure: `parse` takes the decoded manifest whole or refuses it whole.

Only fields whose behaviour exists are known; anything else is refused with its path, never accepted and ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Final

from push_operator.channels import HistoryDays, TopicPolicy, history_of, topics_of
from push_operator.errors import Fault, SpecError
from push_operator.expose import Expose, expose_of
from push_operator.fields import Node
from push_operator.mail import Mail, mail_of
from push_operator.monitoring import Monitoring, monitoring_of
from push_operator.notifications import Notifications, notifications_of
from push_operator.oauth import LoginProviders, login_providers_of
from push_operator.overlay import Overlay, overlay_of
from push_operator.presence import Presence, presence_of
from push_operator.quantities import exceeds
from push_operator.scaling import GatewayScaling, LagScaling
from push_operator.sizing import MAX_REPLICAS, SIZES, TARGET_LAG, gateway_scaling_of, lag_scaling_of
from push_operator.stores import Embedded, Managed, Store, managed_of, store_of
from push_operator.tokens import TokenSpec, tokens_of

API_VERSION: Final = "pushcluster.io/v1alpha1"
KIND: Final = "PushCluster"
SERVICES: Final = ("gateway", "auth", "message", "presence", "push")
MAX_NAME = 40  # leaves room for "-gateway-<revision>-<pod>" in 63 characters
ORIGIN: Final = r"(?=.{1,200}$)https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?"  # as browsers send it (RFC 6454 §6.2)
NETWORK: Final = r"[0-9A-Fa-f:.]{2,45}/[0-9]{1,3}"
DEFAULT_VERSION: Final = "0.1.0"

SINGLE_WITH_SQLITE: Final = ("auth", "message", "push")  # each owns a database file, which no second one can share


@dataclass(frozen=True, slots=True)
class Resources:
    """Requests and limits, Kubernetes quantities by resource name."""

    requests: Mapping[str, str]
    limits: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One of the five services. Where their number varies, `replicas` is the least: what a first start begins with.
    `overlay` is laid over its pods."""

    replicas: int
    resources: Resources
    autoscaling: LagScaling | None = None
    overlay: Overlay = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """The workload image, without its tag. `repository` None: what the operator is set to."""

    repository: str | None = None
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class External:
    """A backing service that exists already. The Secret has the keys `username` and `password`. `monitoring_url`: the
    root of a NATS server's monitoring, where its numbers can be read."""

    url: str
    credentials_secret: str | None
    monitoring_url: str | None = None


@dataclass(frozen=True, slots=True)
class PushCluster:
    """A whole valid PushCluster. The Secret of the service credential has the key `SERVICE_KEY` (at least 32 bytes);
    None: one is generated and kept."""

    name: str
    namespace: str
    size: str
    version: str
    image: ImageSpec
    paused: bool
    services: Mapping[str, ServiceSpec]
    scaling: GatewayScaling
    registrations_per_hour: int
    trusted_proxies: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    nats: Managed | External
    redis: Managed | External
    store: Store
    tokens: TokenSpec
    service_key_secret: str | None
    topics: tuple[TopicPolicy, ...]
    history: HistoryDays
    login_providers: LoginProviders = field(default_factory=LoginProviders)
    expose: Expose | None = None
    monitoring: Monitoring = field(default_factory=Monitoring)
    mail: Mail | None = None
    notifications: Notifications = field(default_factory=Notifications)
    presence: Presence = field(default_factory=Presence)


def parse(body: Any) -> PushCluster:
    """The resource in a decoded manifest. Raises SpecError with every fault found, each with its path."""
    faults: list[Fault] = []
    root = Node(body if body is not None else {}, "manifest", faults)
    _kind_and_version(root)
    metadata = root.child("metadata")
    name, namespace = _metadata(metadata)
    root.raw("status")
    spec = Node(root.raw("spec"), "spec", faults)
    if not spec.given and not faults:
        spec.fault("", "required: the least is `spec: {gateway: {replicas: 1}}`")
    parsed = _spec(name, namespace, spec, metadata.child("annotations"))
    root.done()
    if faults:
        raise SpecError(tuple(faults))
    return parsed


def unconfigured(name: str, namespace: str) -> PushCluster:
    """What this operator makes of a manifest that asks for nothing."""
    metadata, spec = {"name": name, "namespace": namespace}, {"gateway": {"replicas": 1}}
    return parse({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec})


def _kind_and_version(root: Node) -> None:
    for name, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        if root.raw(name) != wanted:
            root.fault(name, f"must be {wanted}")


def _metadata(node: Node) -> tuple[str, str]:
    name = node.text("name", "", rf"(?=.{{1,{MAX_NAME}}}$)[a-z]([-a-z0-9]*[a-z0-9])?",
                     f"1 to {MAX_NAME} lower-case letters, digits or '-', beginning with a letter")  # fmt: skip
    if not node.has("name"):
        node.fault("name", "required: what the cluster is called")
    return name, node.name_of("namespace") or "default"


def _spec(name: str, namespace: str, spec: Node, annotations: Node) -> PushCluster:
    size = spec.choice("size", "small", tuple(SIZES))
    scaling, gateway = _gateway(spec.child("gateway"), size)
    services = {"gateway": gateway}
    auth = spec.child("auth")
    registrations = auth.integer("registrationsPerHour", 60, 0, 1_000_000)
    proxies = _networks(auth, "trustedProxies")
    login_providers = login_providers_of(auth.child("oauth"))
    services["auth"] = _service(auth, "auth", SIZES[size]["auth"])
    of = {other: spec.child(other) for other in SERVICES[2:]}
    presence = presence_of(of["presence"])
    for other, node in of.items():
        services[other] = _service(node, other, SIZES[size][other], TARGET_LAG.get(other))
    parsed = PushCluster(
        name=name,
        namespace=namespace,
        size=size,
        version=spec.text(
            "version", DEFAULT_VERSION, r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", 'an image tag such as "0.1.0"'
        ),
        image=_image(spec.child("image")),
        paused=spec.boolean("paused", False),
        services=services,
        scaling=scaling,
        registrations_per_hour=registrations,
        trusted_proxies=proxies,
        allowed_origins=spec.texts(
            "allowedOrigins", ORIGIN, "an origin such as https://chat.example.com, no path", most=50
        ),
        nats=_backing(spec.child("nats"), ("nats", "tls"), "10Gi", monitored=True),
        redis=_backing(spec.child("redis"), ("redis", "rediss"), "1Gi"),
        store=store_of(spec.child("cassandra")),
        tokens=tokens_of(spec.child("tokens"), annotations),
        service_key_secret=spec.name_of("serviceKeySecret"),
        topics=topics_of(spec),
        history=history_of(spec.child("history")),
        login_providers=login_providers,
        expose=expose_of(spec.child("expose")),
        monitoring=monitoring_of(spec.child("monitoring")),
        mail=mail_of(spec.child("mail")),
        notifications=notifications_of(spec.child("notifications")),
        presence=presence,
    )
    if isinstance(parsed.store, Embedded):
        _only_one_each(spec, parsed)
    spec.done()
    return parsed


def _only_one_each(spec: Node, parsed: PushCluster) -> None:
    more = "more need cassandra.managed or cassandra.contactPoints"
    for one in SINGLE_WITH_SQLITE:
        service = parsed.services[one]
        if service.autoscaling is not None:
            spec.fault(f"{one}.autoscaling", f"must not be given with the embedded store, where there is one; {more}")
        elif service.replicas > 1:
            spec.fault(f"{one}.replicas", f"must be 1 with the embedded store, not {service.replicas}; {more}")


def _networks(node: Node, name: str) -> tuple[str, ...]:
    means = "a network such as 10.0.0.0/8"
    found = node.texts(name, NETWORK, means, most=32)
    for at, one in enumerate(found):
        try:
            ip_network(one, strict=False)
        except ValueError:
            if re.fullmatch(NETWORK, one):  # else it is told already
                node.fault(f"{name}[{at}]", f"must be {means}")
    return found


def _image(node: Node) -> ImageSpec:
    part = "[a-z0-9]+([._-]+[a-z0-9]+)*"
    pattern = rf"(?=.{{1,255}}$)([a-z0-9]+([.-]+[a-z0-9]+)*(:[0-9]+)?/)?{part}(/{part})*"
    means = "an image's name without a tag, such as registry.example/pushcluster/workload"
    made = ImageSpec(
        repository=node.text("repository", "", pattern, means) or None,
        pull_policy=node.choice("pullPolicy", "IfNotPresent", ("Always", "IfNotPresent", "Never")),
        pull_secrets=node.names_of("pullSecrets"),
    )
    node.done()
    return made


def _gateway(node: Node, size: str) -> tuple[GatewayScaling, ServiceSpec]:
    scaling = gateway_scaling_of(node, size)
    least = scaling.autoscaling.min_replicas if scaling.replicas is None else scaling.replicas
    made = ServiceSpec(least, _resources(node), overlay=_overlay(node, SERVICES[0]))
    node.done()
    return scaling, made


def _service(node: Node, service: str, default_replicas: int, target_lag: int | None = None) -> ServiceSpec:
    replicas = node.integer("replicas", default_replicas, 1, MAX_REPLICAS)
    scaling = lag_scaling_of(node, default_replicas, target_lag) if target_lag is not None else None
    made = ServiceSpec(
        scaling.min_replicas if scaling else replicas, _resources(node), scaling, _overlay(node, service)
    )
    node.done()
    return made


def _overlay(node: Node, service: str) -> Overlay:
    made, faults = overlay_of(node.raw("podTemplate"), service)
    for one in faults:
        node.fault(one.path, one.message)
    return made


def _resources(node: Node) -> Resources:
    child = node.child("resources")
    made = Resources(requests=child.quantities("requests"), limits=child.quantities("limits"))
    for name, request in made.requests.items():
        limit = made.limits.get(name)
        if limit is not None and exceeds(request, limit):
            child.fault(f"requests.{name}", f"must not be more than limits.{name}")
    child.done()
    return made


def _backing(node: Node, schemes: tuple[str, ...], storage: str, *, monitored: bool = False) -> Managed | External:
    managed = node.child("managed")
    url = node.url("url", schemes)
    secret = node.name_of("credentialsSecret")
    monitoring = node.root("monitoringUrl") if monitored else None
    if managed.given and node.has("url"):
        node.fault("", "give one of managed and url, not both")
    if secret and not node.has("url"):
        node.fault("credentialsSecret", "goes with url; a managed one makes its own credentials")
    if monitoring and not node.has("url"):
        node.fault("monitoringUrl", "goes with url; where a managed one has it is known")
    run_here = managed_of(managed, storage)
    node.done()
    return External(url, secret, monitoring) if url else run_here


def object_key(body: Mapping[str, Any]) -> str:
    """`namespace/name`, what the queue and the cluster call this object."""
    metadata = body.get("metadata") or {}
    return f"{metadata.get('namespace') or 'default'}/{metadata.get('name')}"
