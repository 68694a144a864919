"""What a person meets who makes a mistake, and how it is mended."""

from __future__ import annotations

import json

from tests.e2e.kubernetes.place import Place, small
from tests.support.waiting import within


def test_a_wrong_manifest_is_refused_by_name(place: Place) -> None:
    wrong = small(gateway={"replicas": 0})
    done = place.cluster.attempt("kubectl", "-n", place.name, "apply", "-f", "-", text=json.dumps(wrong))
    assert done.returncode != 0
    assert "spec.gateway.replicas" in done.stderr
    assert not place.names("pcl")


def test_a_missing_secret_is_told_and_mends_itself(place: Place) -> None:
    place.apply(small(tokens={"signingKeysSecret": "keys"}))
    told = "Secret keys is not there: make one with the key JWT_SECRET"
    within(30, lambda: place.condition("Stalled") == ("True", "Rejected", told))
    assert told in place.kubectl("describe", "pcl", "chat")
    assert not place.names("deployments,statefulsets,services,configmaps,pvc", "-l", "app.kubernetes.io/instance=chat")
    place.kubectl("create", "secret", "generic", "keys", "--from-literal=JWT_SECRET=0123456789abcdef0123456789abcdef")
    place.until_ready()
    assert place.condition("Stalled")[0] == "False"


def test_an_image_that_is_not_there_is_told(place: Place) -> None:
    place.apply(small(version="9.9.9", image={"pullPolicy": "Never"}))
    within(60, lambda: "ErrImageNeverPull" in place.condition("Ready")[2])
    assert "pushcluster/workload:9.9.9" in place.condition("Ready")[2]
    place.change({"version": "0.1.0"})
    place.until_ready()
