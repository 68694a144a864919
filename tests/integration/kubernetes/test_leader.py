"""Several operators: exactly one acts, a silent one is replaced, and one that wakes up too late writes nothing."""

from __future__ import annotations

import signal
from typing import Any

from tests.integration.kubernetes.conftest import StartOperator
from tests.support.namespace import Namespace
from tests.support.verdicts import manifest
from tests.support.waiting import within


def _lease(place: Namespace) -> dict[str, Any]:
    found = place.server.get(place.path("leases", "push-operator", "/apis/coordination.k8s.io/v1"))
    spec: dict[str, Any] = (found or {"spec": {}})["spec"]
    return spec


def _deployed(place: Namespace, name: str) -> set[str]:
    return {one for one in place.names(place.apps("deployments")) if one.startswith(f"{name}-")}


def test_one_acts_and_another_takes_over(namespace: Namespace, start_operator: StartOperator) -> None:
    first = start_operator()
    within(30, first.leads)
    second = start_operator()
    second.until_ready()
    namespace.create(manifest("one"))
    within(20, lambda: len(_deployed(namespace, "one")) == 5)
    assert second.answer("/readyz") == (200, "standing by")
    assert not [line for line in second.answer("/metrics")[1].splitlines() if 'verb="create"' in line]

    first.signal(signal.SIGSTOP)  # as a machine that sleeps: it does not know how long
    within(40, second.leads)
    assert (_lease(namespace)["holderIdentity"], _lease(namespace)["leaseTransitions"]) == ("operator-1", 1)
    namespace.create(manifest("two"))
    within(20, lambda: len(_deployed(namespace, "two")) == 5)
    first.signal(signal.SIGCONT)
    within(20, lambda: first.answer("/readyz") == (200, "standing by"))
    assert second.leads()

    assert second.end(signal.SIGTERM) == 0  # gives the lease back
    within(10, first.leads)
    assert first.answer("/healthz") == (200, "ok")
    namespace.create(manifest("three"))
    within(20, lambda: len(_deployed(namespace, "three")) == 5)


def test_an_outage_of_the_api_server_is_outlived(namespace: Namespace, start_operator: StartOperator) -> None:
    operator = start_operator()
    within(30, operator.leads)
    with namespace.server.outage():
        within(30, lambda: operator.answer("/readyz") == (200, "standing by"))  # it cannot renew: it stops writing
        assert operator.answer("/healthz") == (200, "ok")
    within(40, operator.leads)
    namespace.create(manifest("later"))
    within(40, lambda: len(_deployed(namespace, "later")) == 5)
    assert operator.process is not None
    assert operator.process.poll() is None
    # The controllers of the control plane come back slower than we do; the next test needs them.
    namespace.until(lambda: namespace.condition("Ready", "later") == ("True", "AllReady"), seconds=90)
