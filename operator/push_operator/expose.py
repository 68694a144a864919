"""How clients reach the platform from outside of the cluster, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from push_operator.fields import QUALIFIED, Node

MAX_PARENTS: Final = 8
MAX_HOSTNAMES: Final = 16
MAX_ANNOTATIONS: Final = 32
_LABEL: Final = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
# The last label begins with a letter: an address is no host (the API server refuses one).
_HOST: Final = rf"(?=.{{1,253}}$)({_LABEL}[.])*[a-z]([-a-z0-9]{{0,61}}[a-z0-9])?"
_WILDCARD_HOST: Final = rf"(?=.{{1,253}}$)([*][.])?({_LABEL}[.])*[a-z]([-a-z0-9]{{0,61}}[a-z0-9])?"
_OBJECT: Final = r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_OBJECT_MEANS: Final = "an object's name: lower-case letters, digits, '-' and '.'"
_HOST_MEANS: Final = "a host such as chat.example.com, in lower case, without a port"
_ANNOTATION_MEANS: Final = "an annotation's name such as nginx.ingress.kubernetes.io/proxy-body-size"
# Not the user's to set: the first is this operator's, the second says again, and may contradict, what className says.
_RESERVED: Final[Mapping[str, str]] = {
    "pushcluster.io/applied": "is the operator's own",
    "kubernetes.io/ingress.class": "say it in className",
}


@dataclass(frozen=True, slots=True)
class ByIngress:
    """One host at an Ingress controller; `class_name` None: the cluster's default one. TLS with `tls_secret` only.

    `annotations` are the controller's own settings, and go before those that the operator sets.
    """

    host: str
    class_name: str | None
    tls_secret: str | None
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Parent:
    """A Gateway, or one listener of it. `namespace` None: the PushCluster's own."""

    name: str
    namespace: str | None
    section_name: str | None


@dataclass(frozen=True, slots=True)
class ByGateway:
    """An HTTPRoute at Gateways that are there already, for these hostnames; none: those of the Gateways."""

    parents: tuple[Parent, ...]
    hostnames: tuple[str, ...]


Expose = ByIngress | ByGateway


def expose_of(node: Node) -> Expose | None:
    """What `spec.expose` asks for; None when it is not given."""
    ingress, gateway = node.child("ingress"), node.child("gateway")
    if node.given and ingress.given == gateway.given:
        node.fault("", "give one of ingress and gateway" + (", not both" if ingress.given else ""))
    made = _by_gateway(gateway) if gateway.given else _by_ingress(ingress)
    node.done()
    return made if node.given else None


def _by_ingress(node: Node) -> ByIngress:
    if node.given and not node.has("host"):
        node.fault("host", f"required: {_HOST_MEANS}")
    made = ByIngress(
        host=node.text("host", "", _HOST, _HOST_MEANS),
        class_name=node.text("className", "", _OBJECT, _OBJECT_MEANS) or None,
        tls_secret=node.text("tlsSecret", "", _OBJECT, _OBJECT_MEANS) or None,
        annotations=node.text_map("annotations", QUALIFIED, _ANNOTATION_MEANS, MAX_ANNOTATIONS),
    )
    for name, why in _RESERVED.items():
        if name in made.annotations:
            node.fault(f"annotations.{name}", why)
    node.done()
    return made


def _by_gateway(node: Node) -> ByGateway:
    if not node.has("parentRefs"):
        node.fault("parentRefs", "required: the Gateway to attach to, `[{name: …}]`")
    parents = tuple(_parent(one) for one in node.children("parentRefs", MAX_PARENTS))
    _distinct(node, parents)
    hostnames = node.texts("hostnames", _WILDCARD_HOST, f"{_HOST_MEANS}, or *.example.com", MAX_HOSTNAMES)
    node.done()
    return ByGateway(parents, hostnames)


def _parent(node: Node) -> Parent:
    if not node.has("name"):
        node.fault("name", "required: the Gateway's name")
    made = Parent(
        name=node.text("name", "", _OBJECT, _OBJECT_MEANS),
        namespace=node.text("namespace", "", f"(?=.{{1,63}}$){_LABEL}", "a namespace's name") or None,
        section_name=node.text("sectionName", "", _OBJECT, "a listener's name") or None,
    )
    node.done()
    return made


def _distinct(node: Node, parents: tuple[Parent, ...]) -> None:
    """As the Gateway API asks for: it would refuse the route after the rest was applied."""
    for parent in parents:
        same = [one for one in parents if (one.name, one.namespace) == (parent.name, parent.namespace)]
        if len(same) > 1 and (
            parent.section_name is None or sum(one.section_name in (None, parent.section_name) for one in same) > 1
        ):
            node.fault("parentRefs", "must not name one twice: two listeners of one Gateway differ in sectionName")
            return
