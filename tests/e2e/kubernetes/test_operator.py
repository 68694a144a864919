"""The installed operator: two of it, killed at work, upgraded, uninstalled."""

from __future__ import annotations

from tests.e2e.kubernetes.place import SYSTEM, Object, Operator, Place, small
from tests.support.cluster.running import Cluster
from tests.support.waiting import within


def test_of_two_operators_exactly_one_acts(operator: Operator, place: Place) -> None:
    within(60, lambda: operator.leader() in operator.pods())
    leader = operator.leader()
    (standby,) = operator.pods().keys() - {leader}
    before = operator.writes(standby)
    place.apply(small())
    place.until_ready()
    assert (operator.answer(leader, "/readyz"), operator.answer(standby, "/readyz")) == ("leading\n", "standing by\n")
    assert operator.writes(leader) > 20
    assert operator.writes(standby) == before


def test_helm_test_finds_it_well_and_says_what_is_not(operator: Operator, cluster: Cluster) -> None:
    within(60, lambda: operator.leader() in operator.pods())
    test = ("helm", "test", "push-operator", "--namespace", SYSTEM, "--timeout", "3m")
    assert "Phase:          Succeeded" in cluster.run(*test)
    cluster.kubectl("-n", SYSTEM, "scale", "deployment/push-operator", "--replicas=0")
    try:
        within(60, lambda: not _replicas(cluster))  # one that is stopping still answers
        assert cluster.attempt(*test).returncode != 0
        assert "0 of 2 operators are ready" in cluster.kubectl("-n", SYSTEM, "logs", "push-operator-test")
    finally:
        operator.install()
    assert "Phase:          Succeeded" in cluster.run(*test)  # which removes the pod that failed


def _replicas(cluster: Cluster) -> list[Object]:
    """The operators' pods, those that are stopping too; not those of `helm test`."""
    return [one for one in cluster.items("pods", "-n", SYSTEM) if one["metadata"].get("ownerReferences")]


def test_killed_in_the_middle_of_its_work_another_finishes_it(
    operator: Operator, place: Place, cluster: Cluster
) -> None:
    within(60, lambda: operator.leader() in operator.pods())
    leader = operator.leader()
    # Others before it in the queue, whose pods never start, so that there is a middle to be killed in.
    for number in range(3):
        filler = small(version="none", image={"pullPolicy": "Never"})
        filler["metadata"]["name"] = f"filler-{number}"
        place.apply(filler)
    place.apply(small())
    within(30, lambda: place.names("services"))
    cluster.kubectl("-n", "push-system", "delete", "pod", leader, "--grace-period=0", "--force")
    within(60, lambda: operator.leader() not in ("", leader))
    place.until_ready()
    deployments = place.names("deployments")
    for name in ("chat", "filler-0", "filler-1", "filler-2"):
        assert {f"{name}-{one}" for one in ("auth", "message", "presence", "push")} <= deployments
        assert place.get("pcl", name)["status"]["observedGeneration"] == 1
    within(90, lambda: len(operator.pods()) == 2)


def test_an_upgrade_of_the_operator_changes_no_pod_and_neither_does_its_end(
    operator: Operator, place: Place, cluster: Cluster
) -> None:
    place.apply(small())
    place.until_ready()

    def pods() -> dict[str, str]:
        return {one["metadata"]["name"]: one["metadata"]["uid"] for one in cluster.items("-n", place.name, "pods")}

    before, acting = pods(), operator.pods().keys()
    try:
        operator.install("--set", "logLevel=debug,resyncSeconds=5")
        within(60, lambda: operator.leader() in operator.pods().keys() - acting)
        place.kubectl("annotate", "pcl", "chat", "seen=1")
        place.kubectl("delete", "service", "chat-presence")
        within(60, lambda: place.get("service", "chat-presence"))  # the new one acts
        assert pods() == before
        operator.uninstall()
        assert place.is_ready()  # the definition stays, and with it every PushCluster
        assert pods() == before
    finally:
        operator.install()
    place.kubectl("scale", "pcl/chat", "--replicas=1")
    within(60, lambda: len(place.pods("gateway")) == 1 and place.is_ready())
