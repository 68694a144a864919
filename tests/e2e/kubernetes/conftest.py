"""One cluster and one installed operator for all tests of this folder, a namespace of its own for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.e2e.kubernetes.place import Operator, Place
from tests.support.cluster.port import NoCluster
from tests.support.cluster.running import Cluster, running_cluster

_numbers = itertools.count(1)


@pytest.fixture(scope="package")  # ended before the next folder: other tests need the machine
def cluster() -> Iterator[Cluster]:
    try:
        with running_cluster() as running:
            running.images.product()
            running.images.backing()
            yield running
    except NoCluster as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="package")  # ended before the next folder: other tests need the machine
def operator(cluster: Cluster) -> Operator:
    """Installed as docs/kubernetes.md says, but for the images of the backing services."""
    installed = Operator(cluster)
    installed.install()
    return installed


@pytest.fixture
def place(cluster: Cluster, operator: Operator) -> Iterator[Place]:
    made = Place(cluster, f"test-{next(_numbers)}")
    yield made
    made.remove()
