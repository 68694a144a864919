"""One table of manifests for both judges: the model (`push up`, the operator) and the API server (`kubectl apply`)."""

from __future__ import annotations

from typing import Any

Manifest = dict[str, Any]


def manifest(name: str = "chat", **spec: Any) -> Manifest:
    """The least valid manifest, with fields of the spec on top."""
    return {
        "apiVersion": "pushcluster.io/v1alpha1",
        "kind": "PushCluster",
        "metadata": {"name": name},
        "spec": {"gateway": {"replicas": 2}, **spec},
    }


def _gateway(**fields: Any) -> Manifest:
    return manifest(gateway={"replicas": 2, **fields})


def _operator(size: str = "small", drain: Any = None, **autoscaling: Any) -> Manifest:
    """Gateways whose number is the operator's."""
    given = {"drain": drain} if drain is not None else {}
    return manifest(size=size, cassandra={"managed": {}},
                    gateway={"scaling": {"mode": "Operator"}, "autoscaling": autoscaling, **given})  # fmt: skip


def _window(start: Any = "0 8 * * 1-5", **fields: Any) -> Manifest:
    return _operator(schedules=[{"start": start, "minutes": 60, "minReplicas": 2, **fields}])


def _lag(service: str, shared: bool = True, **fields: Any) -> Manifest:
    spec: Manifest = {service: {"autoscaling": {"maxReplicas": 10, **fields}}}
    return manifest(**spec, cassandra={"managed": {}} if shared else None)


def _cpu(value: Any) -> Manifest:
    return _gateway(resources={"limits": {"cpu": value}})


def _cassandra(**fields: Any) -> Manifest:
    return manifest(cassandra={"contactPoints": ["a"], "keyspace": "chat", "localDatacenter": "dc1", **fields})


def _ingress(**fields: Any) -> Manifest:
    return manifest(expose={"ingress": {"host": "chat.example.com", **fields}})


def _gateways(*parents: Any, **fields: Any) -> Manifest:
    return manifest(expose={"gateway": {"parentRefs": list(parents), **fields}})


def _annotated(**annotations: Any) -> Manifest:
    return _ingress(annotations={name.replace("__", "/"): value for name, value in annotations.items()})


_AUTOSCALING, _SCHEDULES = "spec.gateway.autoscaling", "spec.gateway.autoscaling.schedules"
_HOST, _HOSTNAMES, _PARENTS, _ANNOTATIONS = (
    "spec.expose.ingress.host", "spec.expose.gateway.hostnames", "spec.expose.gateway.parentRefs",
    "spec.expose.ingress.annotations",
)  # fmt: skip


def _resources(service: str, name: str, request: Any, limit: Any) -> Manifest:
    spec: Manifest = manifest()["spec"]
    spec[service] = {**spec.get(service, {}), "resources": {"requests": {name: request}, "limits": {name: limit}}}
    return manifest(**spec)


def _topics(*topics: Any) -> Manifest:
    return manifest(topics=list(topics))


def _topic(prefix: Any = "news/", **fields: Any) -> Manifest:
    return _topics({"prefix": prefix, "read": "everyone", "write": "service", **fields})


ISSUER: dict[str, Any] = {"issuer": "https://login.example.com", "audience": "push", "userIdPrefix": "corp:"}


def _issuer(**fields: Any) -> Manifest:
    """None leaves a field out."""
    issuer = {name: value for name, value in (ISSUER | fields).items() if value is not None}
    return manifest(tokens={"trustedIssuers": [issuer]})


def _users(count: int, letters: int) -> list[str]:
    return [f"{number:02}".rjust(letters, "u") for number in range(count)]


_TOPICS = "spec.topics"
_ISSUER = "spec.tokens.trustedIssuers[0]"


def _login(**fields: Any) -> Manifest:
    """One provider, an OpenID one unless another is named."""
    name = fields.get("name", "acme")
    redirect = f"https://chat.example.com/oauth/{name}/callback"
    issuer = {} if name == "github" else {"issuer": "https://login.example.com"}
    return _logins({"name": name, "credentialsSecret": "login", "redirectUrl": redirect, **issuer, **fields})


def _logins(*providers: Any, to: Any = ("https://chat.example.com/",)) -> Manifest:
    return manifest(auth={"oauth": {"providers": list(providers), "returnUrls": list(to)}})


_LOGIN = "spec.auth.oauth.providers[0]"
_TO = "spec.auth.oauth.returnUrls[0]"
_GITHUB = {
    "name": "github", "credentialsSecret": "github", "redirectUrl": "https://chat.example.com/oauth/github/callback",
}  # fmt: skip
_APNS = {"keySecret": "apns", "keyId": "ABC123DEFG", "teamId": "DEF123GHIJ", "topic": "com.example.chat"}
_MAIL = {"url": "smtp://mail:25", "from": "a@b", "resetUrl": "http://a"}


ACCEPTED: dict[str, Manifest] = {
    "the least": manifest(),
    "a long name": manifest("c" * 40),
    "every field": manifest(
        size="small", version="1.2-rc.1", paused=True,
        image={"repository": "registry.example:5000/push/workload", "pullPolicy": "Always", "pullSecrets": ["a", "b"]},
        gateway={"replicas": 1000, "scaling": {"mode": "Fixed"},
                 "resources": {"requests": {"cpu": "500m", "memory": 1}, "limits": {"cpu": 2, "memory": "1.5Gi"}}},
        auth={"replicas": 1, "registrationsPerHour": 0, "resources": {}},
        message={"replicas": 1}, presence={"replicas": 3}, push={"resources": {"requests": {}}},
        nats={"url": "tls://nats.example:4222", "credentialsSecret": "nats-login"},
        redis={"managed": {"storage": "2Gi", "retain": False}},
        cassandra={"embedded": {"retain": False}},
        tokens={"signingKeysSecret": "keys", "privateKeysSecret": "own", "accessTokenTtlSeconds": 31536000,
                "trustedIssuers": [ISSUER, ISSUER | {
                    "issuer": "https://id.example/realms/a/", "jwksUrl": "https://keys.example:8443/k?v=1",
                    "userIdPrefix": "", "userIdClaim": "https://a.example/id", "algorithms": ["EdDSA", "ES384"],
                    "topicClaims": {"read": "topics", "write": "may write"}, "allowInsecure": False}]},
    ),
    "an issuer in the same cluster": _issuer(issuer="http://id:8080", allowInsecure=True),
    "a Cassandra of one's own": manifest(
        size="large",
        cassandra={"contactPoints": ["a", "b.example:9042", "[fd00::1]:9042"], "keyspace": "chat",
                   "localDatacenter": "dc1", "replication": 1, "credentialsSecret": "login"},
    ),
    "a Cassandra that the operator runs": manifest(
        size="large", auth={"replicas": 7}, cassandra={"managed": {"storage": "100Gi", "retain": False}}
    ),
    "a Cassandra that the operator runs, and nothing said of it": manifest(message={"replicas": 2},
                                                                           cassandra={"managed": {}}),
    "pages of one's own": manifest(allowedOrigins=["https://chat.example.com", "http://localhost:3000"]),
    "medium with one of each that keeps a file": manifest(
        size="medium", auth={"replicas": 1}, message={"replicas": 1}, push={"replicas": 1}
    ),
    "an Ingress with all that it may have": _ingress(
        className="nginx", tlsSecret="chat.example.com-tls",
        annotations={"cert-manager.io/cluster-issuer": "letsencrypt", "plain": "", "a/" + "b" * 63: "x" * 4096},
    ),
    "an Ingress of the default class": _ingress(host="a" * 63 + ".b2"),
    "32 annotations": _ingress(annotations={f"a{number}": "" for number in range(32)}),
    "a Gateway": _gateways({"name": "public"}),
    "Gateways with all that they may have": _gateways(
        {"name": "public", "namespace": "edge", "sectionName": "https"},
        {"name": "public", "namespace": "edge", "sectionName": "http"}, {"name": "public"},
        hostnames=["chat.example.com", "*.chat.example.com"],
    ),
    "eight Gateways": _gateways(*({"name": f"g{number}"} for number in range(8))),
    "requests that are their limits": _gateway(
        resources={"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": {"cpu": 1, "memory": "1Gi"}}
    ),
    "requests of one thing and limits of another": _gateway(
        resources={"requests": {"cpu": 100}, "limits": {"memory": 1}}
    ),
    "a request below its limit by its unit": _resources("auth", "memory", "9M", "9Mi"),
    "no way in": manifest(expose=None),
    "everything for Prometheus and Grafana": manifest(
        monitoring={"serviceMonitor": True, "rules": True, "dashboards": True,
                    "labels": {"release": "prometheus", "team.example/" + "a" * 63: "b" * 63, "empty": ""}},
    ),
    "traces": manifest(monitoring={"tracing": {"endpoint": "https://[fd00::1]:4318/otlp", "percent": 100}}),
    "some traces": manifest(monitoring={"tracing": {"endpoint": "http://collector"}}),
    "nothing of monitoring": manifest(monitoring={"rules": False, "labels": {}}),
    "16 labels": manifest(monitoring={"labels": {f"a{number}": "" for number in range(16)}}),
    "a number that the operator finds": manifest(gateway={"scaling": {"mode": "Operator"}}),
    "a number that the operator finds, nothing said of it": _operator(drain={}, scaleDown={}),
    "a number that another finds": _gateway(scaling={"mode": "External"}),
    "a drain in every mode": _gateway(drain={"timeoutSeconds": 3600, "reconnectsPerSecond": 1}),
    "all that a number may be found by": _operator(
        "medium", {"timeoutSeconds": 10, "reconnectsPerSecond": 100}, minReplicas=1, maxReplicas=1000,
        targetConnections=1000, headroomPercent=0, acceptRatePerPod=1,
        scaleDown={"stabilizationSeconds": 0, "maxConcurrentDrains": 50},
        schedules=[{"start": "0 8 * * 1-5", "minutes": 10080, "minReplicas": 1000},
                   {"start": "*/15,7 00-23/2 1,31 02-12 0-7", "minutes": 1, "minReplicas": 1}],
    ),
    "a least that is the most of its size": _operator("medium", minReplicas=10),
    "a most that is the least of its size": _operator("large", maxReplicas=20),
    "a window up to the most of its size": _window(minReplicas=2),
    "a cron line of 128 characters": _window("0" + ",0" * 59 + " * * * *" + ""),
    "messages by what waits": _lag("message", minReplicas=1, maxReplicas=1, targetLag=1),
    "pushes by what waits": _lag("push", minReplicas=10, targetLag=1_000_000),
    "a least by its size": manifest(
        size="large", cassandra={"managed": {}}, message={"autoscaling": {"maxReplicas": 10}},
        push={"autoscaling": {"maxReplicas": 5}}),
    "a broker whose numbers are read": manifest(
        nats={"url": "nats://a:1", "monitoringUrl": "https://[fd00::1]:8222/monitor/nats-1/"}),
    "a topic": _topic(),
    "a topic of a few": _topic("böörse ✓", read="service", readers=["ann", "bob@example.com"], writers=["$ann", "ü x"]),
    "a long topic": _topic("t" * 128, readers=["u" * 128]),
    "a long topic of wide characters": _topic("😀" * 128),
    "all that topics may hold": _topics(
        *({"prefix": f"{n:03}", "read": "service", "write": "everyone"} for n in range(197)),
        {"prefix": "r", "read": "service", "write": "everyone", "readers": _users(50, 128)},
        {"prefix": "w", "read": "service", "write": "everyone", "writers": _users(50, 128)},
        {"prefix": "m", "read": "service", "write": "everyone",
         "readers": _users(22, 128), "writers": [*_users(1, 128), "w" * (16_384 - 594 - 123 * 128)]},
    ),
    "history for a while": manifest(history={"directDays": 7300, "groupDays": 1, "topicDays": 0}),
    "history as it is": manifest(history={}),
    "a service credential of one's own": manifest(serviceKeySecret="backend"),
    "proxies": manifest(auth={"trustedProxies": ["10.0.0.0/8", "2001:db8::/32", "::ffff:10.0.0.0/104"]}),
    "a login": _login(),
    "a login with a label": _login(label="Acmé ✓ login", issuer="http://127.0.0.1:65535/realms/a.b"),
    "logins by who is known": _logins(
        _GITHUB, {**_GITHUB, "name": "google", "redirectUrl": "http://localhost:8081/oauth/google/callback"},
        to=["https://chat.example.com", "http://localhost:8090/", "com.example.app:/", "x.y:/a/b-c"]),
    "a GitHub of one's own": _login(name="github", url="https://git.example", apiUrl="https://git.example/api/v3"),
    "notifications by all ways": manifest(notifications={
        "fcm": {"serviceAccountSecret": "fcm"}, "apns": _APNS | {"sandbox": True},
        "webPush": {"vapidSecret": "own", "subject": "https://example.com/push"}, "holdOffSeconds": 0,
        "perUserPerMinute": 100_000}),
    "notifications to browsers": manifest(notifications={"webPush": {"subject": "mailto:a.b+c@example.com"}}),
    "notifications as they are": manifest(notifications={}),
    "mails": manifest(mail={"url": "smtp://mail:25", "from": "a@b", "resetUrl": "https://a.example/reset"}),
    "mails with a login": manifest(mail={"url": "smtps://[fd00::1]", "from": "no-reply+push@chat.example.com",
                                         "resetUrl": "http://localhost:3000", "credentialsSecret": "mail"}),
    "mails into the log": manifest(mail={"url": "log:", "from": "a@b", "resetUrl": "http://localhost:3000"}),
    "a null is not given": manifest(auth=None, version=None, nats={"url": None}),
    "empty parts": manifest(image={}, auth={}, nats={}, redis={"managed": {}}, cassandra={}, tokens={}),
    "a url without a port": manifest(redis={"url": "rediss://cache/0?timeout=1"}),
    "a url with an address": manifest(nats={"url": "nats://[fd00::1]:65535"}),
    "an image without a registry": manifest(image={"repository": "push_workload"}),
}  # fmt: skip

# What is refused, and what the refusal names.
REFUSED: dict[str, tuple[Manifest, str]] = {
    "a name too long": (manifest("c" * 41), "metadata.name"),
    "a name that begins with a digit": (manifest("1chat"), "metadata.name"),
    "no spec": ({**manifest(), "spec": None}, "spec"),
    "a spec that is a list": ({**manifest(), "spec": []}, "spec"),
    "no gateway": ({**manifest(), "spec": {}}, "spec.gateway"),
    "no replicas": (manifest(gateway={}), "spec.gateway.replicas"),
    "no gateways": (manifest(gateway={"replicas": 0}), "spec.gateway.replicas"),
    "too many": (manifest(gateway={"replicas": 1001}), "spec.gateway.replicas"),
    "replicas as text": (manifest(gateway={"replicas": "2"}), "spec.gateway.replicas"),
    "replicas as truth": (manifest(gateway={"replicas": True}), "spec.gateway.replicas"),
    "half a replica": (manifest(presence={"replicas": 1.5}), "spec.presence.replicas"),
    "a mode that is not there": (_gateway(scaling={"mode": "Manual"}), "spec.gateway.scaling.mode"),
    "a mode in small letters": (_gateway(scaling={"mode": "operator"}), "spec.gateway.scaling.mode"),
    "no replicas for another": (manifest(gateway={"scaling": {"mode": "External"}}), "spec.gateway.replicas"),
    "replicas and the operator": (_gateway(scaling={"mode": "Operator"}), "spec.gateway.replicas"),
    "bounds for a fixed number": (_gateway(autoscaling={}), _AUTOSCALING),
    "bounds for another": (_gateway(scaling={"mode": "External"}, autoscaling={"maxReplicas": 9}), _AUTOSCALING),
    "no least": (_operator(minReplicas=0), f"{_AUTOSCALING}.minReplicas"),
    "a most too large": (_operator(maxReplicas=1001), f"{_AUTOSCALING}.maxReplicas"),
    "a least over the most": (_operator(minReplicas=3, maxReplicas=2), f"{_AUTOSCALING}.minReplicas"),
    "a least over the most of its size": (_operator("medium", minReplicas=11), f"{_AUTOSCALING}.minReplicas"),
    "a most under the least of its size": (_operator("large", maxReplicas=19), f"{_AUTOSCALING}.minReplicas"),
    "gateways that hold nobody": (_operator(targetConnections=0), f"{_AUTOSCALING}.targetConnections"),
    "gateways that hold too many": (_operator(targetConnections=100_001), f"{_AUTOSCALING}.targetConnections"),
    "more than can leave in time": (
        _operator(drain={"timeoutSeconds": 10, "reconnectsPerSecond": 799}), f"{_AUTOSCALING}.targetConnections"),
    "more than can leave in the usual time": (
        _operator(targetConnections=60_001), f"{_AUTOSCALING}.targetConnections"),
    "more than can leave, and nothing said of it": (
        manifest(gateway={"scaling": {"mode": "Operator"}, "drain": {"timeoutSeconds": 39}}),
        f"{_AUTOSCALING}.targetConnections"),
    "headroom for everyone": (_operator(headroomPercent=81), f"{_AUTOSCALING}.headroomPercent"),
    "gateways that accept nobody": (_operator(acceptRatePerPod=0), f"{_AUTOSCALING}.acceptRatePerPod"),
    "a window without end": (
        _operator(scaleDown={"stabilizationSeconds": 3601}), f"{_AUTOSCALING}.scaleDown.stabilizationSeconds"),
    "no drain at all": (
        _operator(scaleDown={"maxConcurrentDrains": 0}), f"{_AUTOSCALING}.scaleDown.maxConcurrentDrains"),
    "an unknown bound": (_operator(targetCPU=80), f"{_AUTOSCALING}.targetCPU"),
    "a drain too short": (_gateway(drain={"timeoutSeconds": 9}), "spec.gateway.drain.timeoutSeconds"),
    "a drain too long": (_gateway(drain={"timeoutSeconds": 3601}), "spec.gateway.drain.timeoutSeconds"),
    "nobody a second": (_gateway(drain={"reconnectsPerSecond": 0}), "spec.gateway.drain.reconnectsPerSecond"),
    "no schedules": (_operator(schedules=[]), _SCHEDULES),
    "too many schedules": (
        _operator(schedules=[{"start": "0 8 * * *", "minutes": 1, "minReplicas": 1}] * 21), _SCHEDULES),
    "a schedule without a start": (_operator(schedules=[{"minutes": 1, "minReplicas": 1}]), f"{_SCHEDULES}[0].start"),
    "a schedule without an end": (
        _operator(schedules=[{"start": "0 8 * * *", "minReplicas": 1}]), f"{_SCHEDULES}[0].minutes"),
    "a schedule of nothing": (
        _operator(schedules=[{"start": "0 8 * * *", "minutes": 1}]), f"{_SCHEDULES}[0].minReplicas"),
    "a schedule over the most": (_window(minReplicas=3), _SCHEDULES),
    "a schedule of no time": (_window(minutes=0), f"{_SCHEDULES}[0].minutes"),
    "a schedule over a week": (_window(minutes=10_081), f"{_SCHEDULES}[0].minutes"),
    **{
        f"a cron line that is none: {line!r}": (_window(line), f"{_SCHEDULES}[0].start")
        for line in ("0 8 * *", "0 8 * * * *", "60 8 * * *", "0 24 * * *", "0 8 0 * *", "0 8 32 * *", "0 8 * 0 *",
                     "0 8 * 13 *", "0 8 * * 8", "0 8 * * MON", "0 8 * jan *", "@daily", "", " 0 8 * * *", "0 8 * * * ",
                     "0  8 * * *", "0\t8 * * *", "*/0 8 * * *", "0/5 8 * * *", "0 8-6 * * *", "0 8 * * 1,5-4",
                     "-1 8 * * *", "0, 8 * * *", "0 1-2-3 * * *", "0 8 * * 1-5\n", "0" + ",0" * 60 + " * * * *")
    },
    "a cron line that is a number": (_window(8), f"{_SCHEDULES}[0].start"),
    "a number and what waits": (
        manifest(cassandra={"managed": {}}, message={"replicas": 2, "autoscaling": {"maxReplicas": 3}}),
        "spec.message"),
    "what waits without a most": (
        manifest(cassandra={"managed": {}}, push={"autoscaling": {"minReplicas": 1}}),
        "spec.push.autoscaling.maxReplicas"),
    "a least of pushes over the most": (_lag("push", minReplicas=11), "spec.push.autoscaling.minReplicas"),
    "a most of messages under the least of its size": (
        manifest(size="large", cassandra={"managed": {}}, message={"autoscaling": {"maxReplicas": 9}}),
        "spec.message.autoscaling.minReplicas"),
    "a most of pushes under the least of its size": (
        manifest(size="medium", cassandra={"managed": {}}, push={"autoscaling": {"maxReplicas": 1}}),
        "spec.push.autoscaling.minReplicas"),
    "nothing may wait": (_lag("message", targetLag=0), "spec.message.autoscaling.targetLag"),
    "messages by what waits on one file": (_lag("message", shared=False), "spec.message.autoscaling"),
    "one of messages by what waits on one file": (
        _lag("message", shared=False, maxReplicas=1), "spec.message.autoscaling"),
    "pushes by what waits on one file": (_lag("push", shared=False, maxReplicas=1), "spec.push.autoscaling"),
    "accounts by what waits": (_lag("auth"), "spec.auth.autoscaling"),
    "presence by what waits": (_lag("presence"), "spec.presence.autoscaling"),
    "the numbers of a broker of ours": (
        manifest(nats={"monitoringUrl": "http://a:8222"}), "spec.nats.monitoringUrl"),
    "the numbers of a cache": (
        manifest(redis={"url": "redis://a:1", "monitoringUrl": "http://a:8222"}), "spec.redis.monitoringUrl"),
    **{
        f"a broker's numbers at {url!r}": (
            manifest(nats={"url": "nats://a:1", "monitoringUrl": url}), "spec.nats.monitoringUrl")
        for url in ("nats://a:1", "a:8222", "http://u:p@a:8222", "http://a:8222/?x=1", "http://a:0", "http://a//b",
                    "http://a/" + "b" * 512, "")
    },
    "text for a mapping": (_gateway(scaling="Fixed"), "spec.gateway.scaling"),
    "an unknown field": (_gateway(replica=1), "spec.gateway.replica"),
    "an unknown part": (manifest(oauth={}), "spec.oauth"),
    "a misspelled top": ({**manifest(), "spce": {}}, "spce"),
    "a quantity in words": (_cpu("lots"), "spec.gateway.resources.limits.cpu"),
    "a quantity below zero": (_cpu(-1), "spec.gateway.resources.limits.cpu"),
    "a quantity as a fraction": (_cpu(0.5), "spec.gateway.resources.limits.cpu"),
    "a quantity without end": (_cpu("1" * 33), "spec.gateway.resources.limits.cpu"),
    "a resource nobody knows": (_gateway(resources={"limits": {"gpu": 1}}), "spec.gateway.resources.limits.gpu"),
    **{
        f"more than the limit of {service}": (
            _resources(service, "cpu", "1001m", 1), f"spec.{service}.resources.requests.cpu")
        for service in ("gateway", "auth", "message", "presence", "push")
    },
    "more memory than the limit": (
        _resources("push", "memory", "1Gi", "1024M"), "spec.push.resources.requests.memory"),
    "more memory than the limit in bytes": (
        _resources("push", "memory", 1025, "1Ki"), "spec.push.resources.requests.memory"),
    "more than a limit of nothing": (_resources("push", "cpu", "0.1", 0), "spec.push.resources.requests.cpu"),
    "two on one file": (manifest(auth={"replicas": 2}), "spec.auth.replicas"),
    "medium on one file": (
        manifest(size="medium", auth={"replicas": 1}, push={"replicas": 1}), "spec.message.replicas"),
    "large on one file": (
        manifest(size="large", auth={"replicas": 1}, message={"replicas": 1}), "spec.push.replicas"),
    "a size that is not there": (manifest(size="tiny"), "spec.size"),
    "paused in words": (manifest(paused="yes"), "spec.paused"),
    "a version as a number": (manifest(version=0.1), "spec.version"),
    "a version with a space": (manifest(version="0 1"), "spec.version"),
    "an empty version": (manifest(version=""), "spec.version"),
    "an image with its tag": (manifest(image={"repository": "push/workload:0.1"}), "spec.image.repository"),
    "an image in capitals": (manifest(image={"repository": "Push"}), "spec.image.repository"),
    "a policy that is not there": (manifest(image={"pullPolicy": "Maybe"}), "spec.image.pullPolicy"),
    "a pull secret that is no name": (manifest(image={"pullSecrets": ["Not A Name"]}), "spec.image.pullSecrets"),
    "a pull secret twice": (manifest(image={"pullSecrets": ["a", "a"]}), "spec.image.pullSecrets"),
    "managed and a url": (manifest(nats={"managed": {}, "url": "nats://a:1"}), "spec.nats"),
    "another scheme": (manifest(nats={"url": "http://a:1"}), "spec.nats.url"),
    "a port too high": (manifest(nats={"url": "nats://a:65536"}), "spec.nats.url"),
    "no host": (manifest(redis={"url": "redis://:6379"}), "spec.redis.url"),
    "half an address": (manifest(redis={"url": "redis://[::1"}), "spec.redis.url"),
    "monitoring in words": (manifest(monitoring={"rules": "yes"}), "spec.monitoring.rules"),
    "monitoring that is not there": (manifest(monitoring={"alerts": True}), "spec.monitoring.alerts"),
    "monitoring as a truth": (manifest(monitoring=True), "spec.monitoring"),
    "a label that is no name": (manifest(monitoring={"labels": {"a b": "c"}}), "spec.monitoring.labels"),
    "a label's name too long": (manifest(monitoring={"labels": {"a" * 64: "c"}}), "spec.monitoring.labels"),
    "a label with an odd value": (manifest(monitoring={"labels": {"a": "b c"}}), "spec.monitoring.labels"),
    "a label's value too long": (manifest(monitoring={"labels": {"a": "b" * 64}}), "spec.monitoring.labels"),
    "a label's value as a number": (manifest(monitoring={"labels": {"a": 1}}), "spec.monitoring.labels"),
    "a label of the operator's": (
        manifest(monitoring={"labels": {"app.kubernetes.io/instance": "x"}}), "spec.monitoring.labels"),
    "the label of dashboards": (manifest(monitoring={"labels": {"grafana_dashboard": "0"}}), "spec.monitoring.labels"),
    "traces to nobody": (manifest(monitoring={"tracing": {"percent": 1}}), "spec.monitoring.tracing.endpoint"),
    "traces to another scheme": (
        manifest(monitoring={"tracing": {"endpoint": "grpc://c:4317"}}), "spec.monitoring.tracing.endpoint"),
    "traces with a password": (
        manifest(monitoring={"tracing": {"endpoint": "http://u:p@c"}}), "spec.monitoring.tracing.endpoint"),
    "no traces": (
        manifest(monitoring={"tracing": {"endpoint": "http://c", "percent": 0}}), "spec.monitoring.tracing.percent"),
    "more traces than messages": (
        manifest(monitoring={"tracing": {"endpoint": "http://c", "percent": 101}}), "spec.monitoring.tracing.percent"),
    "17 labels": (
        manifest(monitoring={"labels": {f"a{number}": "" for number in range(17)}}), "spec.monitoring.labels"),
    "a space in a url": (manifest(redis={"url": "redis://a b:1"}), "spec.redis.url"),
    "a password in a url": (manifest(redis={"url": "redis://u:p@a:1"}), "spec.redis.url"),
    "a login without a url": (manifest(redis={"credentialsSecret": "x"}), "spec.redis.credentialsSecret"),
    "a storage in bytes": (manifest(redis={"managed": {"storage": "1GB"}}), "spec.redis.managed.storage"),
    "a storage of nothing": (manifest(nats={"managed": {"storage": "0Gi"}}), "spec.nats.managed.storage"),
    "a page with a path": (manifest(allowedOrigins=["https://a.example/x"]), "spec.allowedOrigins"),
    "every page": (manifest(allowedOrigins=["*"]), "spec.allowedOrigins"),
    "no page": (manifest(allowedOrigins=[]), "spec.allowedOrigins"),
    "two stores": (_cassandra(embedded={}), "spec.cassandra"),
    "a managed store and one's own": (_cassandra(managed={}), "spec.cassandra"),
    "an embedded store and a managed one": (manifest(cassandra={"embedded": {}, "managed": {}}), "spec.cassandra"),
    "a keyspace for a managed store": (
        manifest(cassandra={"managed": {}, "keyspace": "chat"}), "spec.cassandra.keyspace"),
    "a datacenter for a managed store": (
        manifest(cassandra={"managed": {}, "localDatacenter": "dc1"}), "spec.cassandra.localDatacenter"),
    "copies of a managed store": (
        manifest(cassandra={"managed": {}, "replication": 3}), "spec.cassandra.replication"),
    "a login for a managed store": (
        manifest(cassandra={"managed": {}, "credentialsSecret": "x"}), "spec.cassandra.credentialsSecret"),
    "a managed store's storage in bytes": (
        manifest(cassandra={"managed": {"storage": "20GB"}}), "spec.cassandra.managed.storage"),
    "replicas of a managed store": (
        manifest(cassandra={"managed": {"replicas": 3}}), "spec.cassandra.managed.replicas"),
    "no contact point": (_cassandra(contactPoints=[]), "spec.cassandra.contactPoints"),
    "a contact point with a scheme": (_cassandra(contactPoints=["cql://a"]), "spec.cassandra.contactPoints"),
    "a contact point's port too high": (_cassandra(contactPoints=["a:65536"]), "spec.cassandra.contactPoints"),
    "a keyspace in capitals": (_cassandra(keyspace="Chat"), "spec.cassandra.keyspace"),
    "a keyspace without a cluster": (manifest(cassandra={"keyspace": "chat"}), "spec.cassandra.keyspace"),
    "a cluster without a keyspace": (_cassandra(keyspace=None), "spec.cassandra.keyspace"),
    "a cluster without a datacenter": (_cassandra(localDatacenter=None), "spec.cassandra.localDatacenter"),
    "too many copies": (_cassandra(replication=10), "spec.cassandra.replication"),
    "a login without a cluster": (manifest(cassandra={"credentialsSecret": "x"}), "spec.cassandra.credentialsSecret"),
    "a way in to nowhere": (manifest(expose={}), "spec.expose"),
    "two ways in": (
        manifest(expose={"ingress": {"host": "a"}, "gateway": {"parentRefs": [{"name": "a"}]}}), "spec.expose"),
    "an Ingress without a host": (manifest(expose={"ingress": {}}), _HOST),
    "a host with a port": (_ingress(host="chat.example.com:443"), _HOST),
    "a host in capitals": (_ingress(host="Chat.example.com"), _HOST),
    "a host with a scheme": (_ingress(host="https://chat.example.com"), _HOST),
    "a host that is an address": (_ingress(host="10.0.0.1"), _HOST),
    "every host": (_ingress(host="*.example.com"), _HOST),
    "a host that is empty": (_ingress(host=""), _HOST),
    "a host with a part too long": (_ingress(host="a" * 64 + ".b"), _HOST),
    "a host too long": (_ingress(host="a." * 126 + "bc"), _HOST),
    "a class that is no name": (_ingress(className="My Class"), "spec.expose.ingress.className"),
    "a certificate that is no name": (_ingress(tlsSecret="chat_tls"), "spec.expose.ingress.tlsSecret"),
    "an annotation with a space": (_annotated(**{"a b": "x"}), _ANNOTATIONS),
    "an annotation of nobody": (_annotated(__a="x"), _ANNOTATIONS),
    "an annotation with two slashes": (_annotated(a__b__c="x"), _ANNOTATIONS),
    "an annotation's name too long": (_annotated(**{"a" * 64: "x"}), _ANNOTATIONS),
    "an annotation's owner too long": (_annotated(**{"a" * 254 + "__b": "x"}), _ANNOTATIONS),
    "an annotation that is a number": (_annotated(a=1), _ANNOTATIONS),
    "an annotation too long": (_annotated(a="x" * 4097), _ANNOTATIONS),
    "too many annotations": (_annotated(**{f"a{number}": "x" for number in range(33)}), _ANNOTATIONS),
    "an annotation that is the operator's": (_annotated(**{"pushcluster.io__applied": "x"}), _ANNOTATIONS),
    "a class said twice": (_annotated(**{"kubernetes.io__ingress.class": "x"}), _ANNOTATIONS),
    "a Gateway without a name": (_gateways({"namespace": "edge"}), _PARENTS),
    "no Gateway": (_gateways(), _PARENTS),
    "no Gateways": (manifest(expose={"gateway": {}}), _PARENTS),
    "a Gateway that is text": (_gateways("public"), _PARENTS),
    "too many Gateways": (_gateways(*({"name": f"g{number}"} for number in range(9))), _PARENTS),
    "a Gateway twice": (_gateways({"name": "a"}, {"name": "a"}), _PARENTS),
    "a Gateway and one listener of it": (_gateways({"name": "a"}, {"name": "a", "sectionName": "b"}), _PARENTS),
    "a listener twice": (_gateways(*[{"name": "a", "namespace": "b", "sectionName": "c"}] * 2), _PARENTS),
    "a Gateway's kind": (_gateways({"name": "a", "kind": "Service"}), _PARENTS),
    "a Gateway's namespace that is no name": (_gateways({"name": "a", "namespace": "a.b"}), _PARENTS),
    "a listener that is no name": (_gateways({"name": "a", "sectionName": "A"}), _PARENTS),
    "no hostname": (_gateways({"name": "a"}, hostnames=[]), _HOSTNAMES),
    "too many hostnames": (_gateways({"name": "a"}, hostnames=[f"h{n}" for n in range(17)]), _HOSTNAMES),
    "a hostname that is an address": (_gateways({"name": "a"}, hostnames=["10.0.0.1"]), _HOSTNAMES),
    "a wildcard inside": (_gateways({"name": "a"}, hostnames=["a.*.example.com"]), _HOSTNAMES),
    "a lifetime too short": (manifest(tokens={"accessTokenTtlSeconds": 59}), "spec.tokens.accessTokenTtlSeconds"),
    "a lifetime too long": (
        manifest(tokens={"accessTokenTtlSeconds": 31536001}), "spec.tokens.accessTokenTtlSeconds"),
    "no topics": (_topics(), _TOPICS),
    "too many topics": (
        _topics(*({"prefix": f"t{n}", "read": "everyone", "write": "everyone"} for n in range(201))), _TOPICS),
    "a topic that is text": (_topics("news"), _TOPICS),
    "a topic without a prefix": (_topics({"read": "everyone", "write": "everyone"}), "spec.topics[0].prefix"),
    "a topic that nobody may read": (_topics({"prefix": "a", "write": "everyone"}), "spec.topics[0].read"),
    "a topic that nobody may write": (_topics({"prefix": "a", "read": "everyone"}), "spec.topics[0].write"),
    "a topic twice": (_topics(*[{"prefix": "a", "read": "everyone", "write": "everyone"}] * 2), _TOPICS),
    "every topic": (_topic(""), "spec.topics[0].prefix"),
    "a topic too long": (_topic("t" * 129), "spec.topics[0].prefix"),
    "a topic of two lines": (_topic("a\nb"), "spec.topics[0].prefix"),
    "a topic that ends a line": (_topic("a\n"), "spec.topics[0].prefix"),
    "a topic that is a number": (_topic(1), "spec.topics[0].prefix"),
    "a right that is not there": (_topic(read="owner"), "spec.topics[0].read"),
    "readers that are nobody": (_topic(readers=[]), "spec.topics[0].readers"),
    "too many writers": (_topic(writers=_users(51, 2)), "spec.topics[0].writers"),
    "a reader twice": (_topic(readers=["a", "a"]), "spec.topics[0].readers"),
    "a reader without an id": (_topic(readers=[""]), "spec.topics[0].readers"),
    "a writer too long": (_topic(writers=["u" * 129]), "spec.topics[0].writers"),
    "a topic's unknown field": (_topic(reader=["a"]), "spec.topics[0].reader"),
    "more than topics may hold": (
        _topics(*({"prefix": f"t{n}", "read": "service", "write": "service", "readers": _users(50, 128)}
                  for n in range(3))), _TOPICS),
    "history before it began": (manifest(history={"directDays": -1}), "spec.history.directDays"),
    "history too long": (manifest(history={"groupDays": 7301}), "spec.history.groupDays"),
    "history in words": (manifest(history={"topicDays": "30d"}), "spec.history.topicDays"),
    "history of nothing": (manifest(history={"inboxDays": 1}), "spec.history.inboxDays"),
    "a proxy that is no network": (manifest(auth={"trustedProxies": ["10.0.0.1"]}), "spec.auth.trustedProxies[0]"),
    "no proxies at all": (manifest(auth={"trustedProxies": []}), "spec.auth.trustedProxies"),
    "logins without providers": (manifest(auth={"oauth": {"returnUrls": ["https://a.example/"]}}), "spec.auth.oauth"),
    "logins that return nowhere": (manifest(auth={"oauth": {"providers": [_GITHUB]}}), "spec.auth.oauth"),
    "no logins": (_logins(), "spec.auth.oauth.providers"),
    "a login twice": (_logins(_GITHUB, _GITHUB), "spec.auth.oauth.providers"),
    "a login that returns without TLS": (_logins(_GITHUB, to=["http://a.example/"]), _TO),
    "a login that returns to a program": (_logins(_GITHUB, to=["javascript:a"]), _TO),
    "a login that returns with a query": (_logins(_GITHUB, to=["https://a.example/?b"]), _TO),
    "a login that returns to a part": (_logins(_GITHUB, to=["https://a.example/#b"]), _TO),
    "a login with a name of two words": (_login(name="my-login"), f"{_LOGIN}.name"),
    "a login without a Secret": (_login(credentialsSecret=None), f"{_LOGIN}.credentialsSecret"),
    "a login without a redirect": (_login(redirectUrl=None), f"{_LOGIN}.redirectUrl"),
    "a login with another's redirect": (
        _login(redirectUrl="https://chat.example.com/oauth/github/callback"), f"{_LOGIN}.redirectUrl"),
    "a login with a redirect without TLS": (
        _login(redirectUrl="http://chat.example.com/oauth/acme/callback"), f"{_LOGIN}.redirectUrl"),
    "a login without an issuer": (_login(issuer=None), f"{_LOGIN}.issuer"),
    "a login with an issuer without TLS": (_login(issuer="http://login.example.com"), f"{_LOGIN}.issuer"),
    "a login with an issuer at no port": (_login(issuer="https://login.example.com:65536"), f"{_LOGIN}.issuer"),
    "GitHub with an issuer": (_login(name="github", issuer="https://github.com"), f"{_LOGIN}.issuer"),
    "an OpenID provider with an API": (_login(apiUrl="https://a.example"), f"{_LOGIN}.apiUrl"),
    "a login with a secret in it": (_login(clientSecret="x"), f"{_LOGIN}.clientSecret"),
    "a login with a label of two lines": (_login(label="a\nb"), f"{_LOGIN}.label"),
    "FCM without an account": (manifest(notifications={"fcm": {}}), "spec.notifications.fcm"),
    "APNs without a topic": (manifest(notifications={"apns": {**_APNS, "topic": None}}), "spec.notifications.apns"),
    "a key of nobody's at Apple": (manifest(notifications={"apns": _APNS | {"keyId": "abc123defg"}}),
                                   "spec.notifications.apns.keyId"),
    "Web Push of nobody": (manifest(notifications={"webPush": {"vapidSecret": "own"}}), "spec.notifications.webPush"),
    "Web Push of a bare address": (manifest(notifications={"webPush": {"subject": "a@example.com"}}),
                                   "spec.notifications.webPush.subject"),
    "a hold-off of minutes": (manifest(notifications={"holdOffSeconds": 120}), "spec.notifications.holdOffSeconds"),
    "no notifications at all": (manifest(notifications={"perUserPerMinute": 0}),
                                "spec.notifications.perUserPerMinute"),
    "mails from nowhere": (manifest(mail={"url": "smtp://m", "resetUrl": "http://a"}), "spec.mail"),
    "mails of nobody": (manifest(mail={}), "spec.mail"),
    "mails by another way": (manifest(mail=_MAIL | {"url": "http://m"}), "spec.mail.url"),
    "mails with a password": (manifest(mail=_MAIL | {"url": "smtp://u:p@m"}), "spec.mail.url"),
    "mails from a name": (manifest(mail=_MAIL | {"from": "Push <a@b>"}), "spec.mail.from"),
    "mails from two lines": (manifest(mail=_MAIL | {"from": "a@b\nBcc: c@d"}), "spec.mail.from"),
    "a page with a fragment": (manifest(mail=_MAIL | {"resetUrl": "http://a/#b"}), "spec.mail.resetUrl"),
    "a service credential that is no name": (manifest(serviceKeySecret="a_b"), "spec.serviceKeySecret"),
    "an issuer over plain HTTP": (_issuer(issuer="http://id.example"), _ISSUER),
    "keys over plain HTTP": (_issuer(jwksUrl="http://id.example/keys"), _ISSUER),
    "an issuer with a password": (_issuer(issuer="https://a:b@id.example"), f"{_ISSUER}.issuer"),
    "an issuer that is no address": (_issuer(issuer="pushcluster"), f"{_ISSUER}.issuer"),
    "an issuer twice": (manifest(tokens={"trustedIssuers": [ISSUER, ISSUER]}), "spec.tokens.trustedIssuers"),
    "an issuer for nobody": (_issuer(audience=None), f"{_ISSUER}.audience"),
    "users of whom it is not said what they are called": (_issuer(userIdPrefix=None), f"{_ISSUER}.userIdPrefix"),
    "a prefix that could be anything": (_issuer(userIdPrefix="corp"), f"{_ISSUER}.userIdPrefix"),
    "an algorithm with a shared secret": (_issuer(algorithms=["HS256"]), f"{_ISSUER}.algorithms"),
    "no algorithm": (_issuer(algorithms=[]), f"{_ISSUER}.algorithms"),
    "an unknown right by a claim": (_issuer(topicClaims={"own": "a"}), f"{_ISSUER}.topicClaims.own"),
    "an issuer's unknown field": (_issuer(audiences=["a"]), f"{_ISSUER}.audiences"),
    "a secret that is no name": (manifest(tokens={"signingKeysSecret": "a_b"}), "spec.tokens.signingKeysSecret"),
}  # fmt: skip
