"""`push`, and `kubectl push`, against a real cluster: with a real kubelet there are logs."""

from __future__ import annotations

import json
import subprocess

from tests.e2e.kubernetes.place import Place, small
from tests.support.waiting import within


def _push(place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    return place.cluster.attempt("kubectl", "push", *arguments, "-n", place.name)


def test_kubectl_push_gets_scales_applies_and_reads_logs(place: Place) -> None:
    text = json.dumps(small())
    applied = place.cluster.attempt("kubectl", "push", "apply", "/dev/stdin", "-n", place.name, text=text)
    assert applied.returncode == 0, applied.stderr
    place.until_ready()
    shown = _push(place, "get").stdout
    assert "chat: ready" in shown
    rows = {line.split()[0]: line.split()[1] for line in shown.splitlines() if line.strip()}
    assert rows["gateway"] == "2/2"
    wide = _push(place, "get", "-o", "wide").stdout
    assert all(name in wide for name in place.pods("gateway"))
    assert _push(place, "scale", "gateway", "3").returncode == 0
    within(60, lambda: len(place.pods("gateway")) == 3 and place.is_ready())
    assert _push(place, "scale", "presence", "2").returncode == 0
    within(60, lambda: len(place.pods("presence")) == 2 and place.is_ready())

    logs = _push(place, "logs", "gateway").stdout
    assert all(name in logs for name in place.pods("gateway"))
    raw = _push(place, "logs", "gateway", "--raw", "--tail", "3").stdout.splitlines()
    assert 1 <= len(raw) <= 3
    assert all("ts" in json.loads(line) for line in raw)
    created = json.loads(_push(place, "credentials", "create", "shop", "--scope", "topics", "-o", "json").stdout)
    assert created["id"] in _push(place, "credentials", "list").stdout
    assert _push(place, "credentials", "revoke", created["id"]).returncode == 0
    assert created["id"] not in _push(place, "credentials", "list").stdout

    refused = _push(place, "scale", "message", "2")
    assert refused.returncode == 1
    assert "must be 1 with the embedded store" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
