"""From stack files to a manifest: read, recognise, decide, check. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from push_operator.errors import Fault, SpecError
from push_operator.migrate import leftovers, servers, sizes, store, tokens, ways_in
from push_operator.migrate.kinds import BACKING, recognised
from push_operator.migrate.merge import merged
from push_operator.migrate.old import Old
from push_operator.migrate.report import Note, Report
from push_operator.migrate.stack import mapping, service_of, stack_of
from push_operator.migrate.variables import Filling
from push_operator.model import API_VERSION, KIND, SERVICES, parse

DEFAULT_NAME: Final = "chat"
_DATA: Final = (
    "accounts, history and devices stay in the old store, and nothing copies them: docs/migration.md says what that "
    "means"
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person says besides the stack. `services`: the name in the stack of a kind, where it is not plain."""

    name: str = DEFAULT_NAME
    namespace: str | None = None
    services: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Migration:
    """A PushCluster that the model accepts, and what there is to say about how it came about."""

    body: Mapping[str, Any]
    notes: tuple[Note, ...]


def migrated(documents: Sequence[Any], environment: Mapping[str, str], wishes: Wishes) -> Migration:
    """The PushCluster that equals a stack, from one or more decoded files, the later over the earlier. `environment` is
    that of the shell in which the stack was deployed. Raises SpecError with every fault and its path in the stack."""
    faults: list[Fault] = []
    report = Report()
    document = _filled_in(documents, environment, report, faults)
    metadata = {"name": wishes.name, **({"namespace": wishes.namespace} if wishes.namespace else {})}
    _check(metadata)
    old = _old(document, environment, wishes, report, faults)
    if faults:
        raise SpecError(tuple(faults))
    body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": _spec(old)}
    leftovers.tell(old, document)
    report.todo("", _DATA)
    parse(body)
    return Migration(body, tuple(report.notes))


def _filled_in(
    documents: Sequence[Any], environment: Mapping[str, str], report: Report, faults: list[Fault]
) -> dict[str, Any]:
    filling = Filling(environment, faults)
    for document in documents:
        if not isinstance(mapping(document).get("services"), Mapping):
            raise SpecError((Fault("services", "required: a stack file as `docker stack deploy` takes it"),))
    made = merged([filling.file(one) for one in documents])
    for name in sorted(filling.unset):
        report.todo("", f"the variable {name} is not set here and counted as empty, as for Docker: if it was set when "
                    "the stack was deployed, set it and do this again")  # fmt: skip
    return made


def _check(metadata: Mapping[str, str]) -> None:
    """By the model's own rules, but in the words of the command line."""
    try:
        parse({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": {"gateway": {"replicas": 1}}})
    except SpecError as error:
        told = (Fault(one.path.replace("manifest.metadata.", "--"), one.message) for one in error.faults)
        raise SpecError(tuple(told)) from error


def _old(
    document: Mapping[str, Any], environment: Mapping[str, str], wishes: Wishes, report: Report, faults: list[Fault]
) -> Old:
    services = document["services"]
    images = {name: str(image) if isinstance(image := mapping(one).get("image"), str) else ""
              for name, one in services.items()}  # fmt: skip
    kinds = recognised(images, wishes.services, faults)
    return Old(
        name=wishes.name,
        namespace=wishes.namespace,
        services={
            kind: service_of(kinds[kind][0], services.get(kinds[kind][0]), environment, faults)
            for kind in SERVICES
            if kind in kinds
        },
        backing={kind: kinds[kind] for kind in BACKING if kind in kinds},
        stack=stack_of(document, faults),
        report=report,
    )


def _spec(old: Old) -> dict[str, Any]:
    services = sizes.services(old)
    return {
        **services,
        **servers.server("nats", old),
        **servers.server("redis", old),
        **store.store(old, services),
        **tokens.tokens(old),
        **ways_in.origins(old),
        **ways_in.expose(old),
    }
