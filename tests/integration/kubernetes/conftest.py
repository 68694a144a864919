"""A control plane for the session, a namespace for each test, the operator as a process or as an object."""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.kube import ApiServer, api_server, built_programs
from tests.support.namespace import Namespace
from tests.support.operator import OperatorProcess
from tests.support.servers import free_port

StartOperator = Callable[..., OperatorProcess]
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of kubectl, helm and the control plane."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine: no keys for an API server")
    if (found := built_programs()) is None:
        pytest.skip("no Go on this machine and none to be had: no API server to build")
    return found


@pytest.fixture(scope="session")
def server(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(programs, tmp_path_factory.mktemp("kube")) as running:
        yield running


@pytest.fixture
def namespace(server: ApiServer) -> Iterator[Namespace]:
    place = Namespace(server, f"test-{next(_numbers)}")
    yield place
    server.must("DELETE", place.push(""))  # an operator that watches every namespace would go on with them
    place.close()


@pytest.fixture
def without_gateway_api(server: ApiServer) -> Iterator[ApiServer]:
    """The Gateway API may be installed during the test; it is gone before and after."""
    server.remove("gateway-api")
    yield server
    server.remove("gateway-api")


@pytest.fixture
def gateway_api(without_gateway_api: ApiServer) -> ApiServer:
    without_gateway_api.install("gateway-api")
    return without_gateway_api


@pytest.fixture
def monitoring(server: ApiServer) -> Iterator[ApiServer]:
    """The kinds of the Prometheus operator are there during the test."""
    server.remove("monitoring")
    server.install("monitoring")
    yield server
    server.remove("monitoring")


@pytest.fixture
def start_operator(server: ApiServer, namespace: Namespace, tmp_path: Path) -> Iterator[StartOperator]:
    """Starts operators for the test's namespace; they are ended with the test, whatever it did to them."""
    started: list[OperatorProcess] = []

    def start(**environ: str) -> OperatorProcess:
        port = free_port()
        log = tmp_path / f"operator-{len(started)}.log"
        settings = {
            "KUBECONFIG": str(server.kubeconfig),
            "POD_NAME": f"operator-{len(started)}",
            "POD_NAMESPACE": namespace.name,
            "WATCH_NAMESPACES": namespace.name,
            "ADMIN_HOST": "127.0.0.1",
            "ADMIN_PORT": str(port),
            "RESYNC_SECONDS": "300",
            **environ,
        }
        operator = OperatorProcess((sys.executable, "-P", "-m", "push_operator"), settings, log, port)
        started.append(operator)
        operator.start()
        return operator

    yield start
    for operator in started:
        operator.close()


@pytest.fixture
def operator(start_operator: StartOperator) -> OperatorProcess:
    started = start_operator()
    started.until_ready()
    return started
