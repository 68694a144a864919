"""The environment of each service: the only way in which the operator talks to a workload's configuration."""

from __future__ import annotations

from push_operator.channels import policies_text
from push_operator.mail import Mail
from push_operator.model import SERVICES, External, PushCluster
from push_operator.notifications import Apns, WebPush
from push_operator.oauth import KNOWN, LoginProvider, LoginProviders
from push_operator.plan.cassandra import cassandra_env
from push_operator.plan.names import (
    ADMIN_KEY,
    REFRESH_KEY,
    VAPID_SEED,
    credentials_name,
    password_key,
    signing_key_names,
)
from push_operator.plan.workload import PUBLIC, Address, DataPath, EnvValue, SecretKey
from push_operator.quantities import mebibytes
from push_operator.stores import Embedded, Managed
from push_operator.tokens import issuers_text

LOG_SHARDS = 1  # fixed for the life of a cluster
LOG_MAX_AGE_HOURS = 72
KEY_BYTES = 32  # what the services ask for, of JWT_SECRET (HS256: RFC 7518 §3.2) and of the other two
PRIVATE_NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
USES_REDIS = frozenset(SERVICES)  # all hear from there which tokens are revoked
USES_NATS = frozenset({"gateway", "message", "presence", "push"})
TRACES = frozenset({"gateway", "message"})


def service_env(cluster: PushCluster, service: str, origins: tuple[str, ...], stop_seconds: int) -> dict[str, EnvValue]:
    """Variables of one service, without what only the cluster knows (its ports, its instance name)."""
    env: dict[str, EnvValue] = {
        "STOP_SECONDS": str(stop_seconds),
        "ACCESS_TOKEN_TTL_SECONDS": str(cluster.tokens.access_token_ttl_seconds),
        **_token_keys(cluster, service),
    }
    if origins:
        env["ALLOWED_ORIGINS"] = ",".join(origins)
    if service in USES_NATS:
        env |= _nats(cluster, service)
    if service in USES_REDIS:
        env |= _redis(cluster)
    if service in TRACES:
        env |= _tracing(cluster)
    if service in _OWN:
        env |= _OWN[service](cluster)
    return env


def _token_keys(cluster: PushCluster, service: str) -> dict[str, EnvValue]:
    """What access tokens are checked with. Private keys are the auth service's alone: others ask it for the public
    ones."""
    tokens = cluster.tokens
    env: dict[str, EnvValue] = {}
    if tokens.signing_keys_secret is not None:
        env["JWT_SECRET"] = SecretKey(tokens.signing_keys_secret, "JWT_SECRET", min_bytes=KEY_BYTES)
    if service == "auth":
        env |= _private_keys(cluster)
    elif tokens.private_keys_secret is not None or tokens.makes_keys:
        env["AUTH_URL"] = Address("auth", PUBLIC, "http")
    if tokens.trusted_issuers:
        env["TRUSTED_ISSUERS"] = issuers_text(tokens.trusted_issuers)
    return env


def _private_keys(cluster: PushCluster) -> dict[str, EnvValue]:
    own = credentials_name(cluster.name)
    env: dict[str, EnvValue] = {REFRESH_KEY: SecretKey(own, REFRESH_KEY, min_bytes=KEY_BYTES)}
    if cluster.tokens.private_keys_secret is not None:
        env["SIGNING_KEYS"] = SecretKey(cluster.tokens.private_keys_secret, "SIGNING_KEYS")
    return env | {name: SecretKey(own, name, min_bytes=KEY_BYTES) for name in signing_key_names(cluster.tokens)}


def service_key(cluster: PushCluster) -> SecretKey:
    """The credential of one's own servers that may do all."""
    secret = cluster.service_key_secret or credentials_name(cluster.name)
    return SecretKey(secret, "SERVICE_KEY", min_bytes=KEY_BYTES)


def _admin_token(cluster: PushCluster) -> SecretKey:
    return SecretKey(credentials_name(cluster.name), ADMIN_KEY, min_bytes=KEY_BYTES)


def _nats(cluster: PushCluster, service: str) -> dict[str, EnvValue]:
    shards: dict[str, EnvValue] = {"LOG_SHARDS": str(LOG_SHARDS)}
    if isinstance(cluster.nats, Managed):
        secret = SecretKey(credentials_name(cluster.name), password_key("nats", service))
        return shards | {"NATS_URL": Address("nats", "client", "nats"), "NATS_USER": service, "NATS_PASSWORD": secret}
    return shards | {"NATS_URL": cluster.nats.url, **_login(cluster.nats, "NATS_USER", "NATS_PASSWORD")}


def _redis(cluster: PushCluster) -> dict[str, EnvValue]:
    if isinstance(cluster.redis, Managed):
        secret = SecretKey(credentials_name(cluster.name), "VALKEY_PASSWORD")
        return {"REDIS_URL": Address("valkey", "client", "redis"), "REDIS_PASSWORD": secret}
    return {"REDIS_URL": cluster.redis.url, **_login(cluster.redis, "REDIS_USER", "REDIS_PASSWORD")}


def _store(cluster: PushCluster, file: str) -> dict[str, EnvValue]:
    """A file of its own, or the tables of its own in the keyspace that all share."""
    store = cluster.store
    if isinstance(store, Embedded):
        return {"SQLITE_PATH": DataPath(file)}
    if isinstance(store, Managed):
        return cassandra_env(cluster)
    env: dict[str, EnvValue] = {
        "CASSANDRA_CONTACT_POINTS": ",".join(store.contact_points),
        "CASSANDRA_KEYSPACE": store.keyspace,
        "CASSANDRA_LOCAL_DATACENTER": store.local_datacenter,
        "CASSANDRA_REPLICATION": str(store.replication),
    }
    if store.credentials_secret is not None:
        env["CASSANDRA_USER"] = SecretKey(store.credentials_secret, "username")
        env["CASSANDRA_PASSWORD"] = SecretKey(store.credentials_secret, "password")
    return env


def _login(external: External, user: str, password: str) -> dict[str, EnvValue]:
    secret = external.credentials_secret
    if secret is None:
        return {}
    return {user: SecretKey(secret, "username", optional=True), password: SecretKey(secret, "password")}


def _tracing(cluster: PushCluster) -> dict[str, EnvValue]:
    wanted = cluster.monitoring.tracing
    if wanted is None:
        return {}
    return {"TRACING_ENDPOINT": wanted.endpoint, "TRACING_RATIO": str(wanted.percent / 100)}


def _gateway(cluster: PushCluster) -> dict[str, EnvValue]:
    drain = cluster.scaling.drain
    return {
        "ADMIN_TOKEN": _admin_token(cluster),
        "DRAIN_SECONDS": str(drain.timeout_seconds),
        "DRAIN_RATE": str(drain.reconnects_per_second),
        **_grace(cluster),
    }


def _grace(cluster: PushCluster) -> dict[str, EnvValue]:
    return {"PRESENCE_GRACE_SECONDS": str(cluster.presence.offline_grace_seconds)}


def _auth(cluster: PushCluster) -> dict[str, EnvValue]:
    own: dict[str, EnvValue] = {
        "ADMIN_TOKEN": _admin_token(cluster),
        "REGISTRATIONS_PER_HOUR": str(cluster.registrations_per_hour),
    }
    # What an Ingress or a Gateway has is an address of the cluster's own.
    proxies = cluster.trusted_proxies or (PRIVATE_NETWORKS if cluster.expose is not None else ())
    if proxies:
        own["TRUSTED_PROXIES"] = ",".join(proxies)
    return {**_store(cluster, "accounts.db"), **own, **_mail(cluster.mail), **_oauth(cluster.login_providers)}


def _mail(mail: Mail | None) -> dict[str, EnvValue]:
    if mail is None:
        return {}
    env: dict[str, EnvValue] = {"MAIL_URL": mail.url, "MAIL_FROM": mail.sender, "MAIL_RESET_URL": mail.reset_url}
    if mail.credentials_secret is not None:
        env["MAIL_USER"] = SecretKey(mail.credentials_secret, "username")
        env["MAIL_PASSWORD"] = SecretKey(mail.credentials_secret, "password")
    return env


def _oauth(given: LoginProviders) -> dict[str, EnvValue]:
    if not given.providers:
        return {}
    own = [one.name for one in given.providers if one.name not in KNOWN]
    env: dict[str, EnvValue] = {"OAUTH_RETURN_URLS": ",".join(given.return_urls)}
    env |= {"OAUTH_PROVIDERS": ",".join(own)} if own else {}
    return env | {name: value for one in given.providers for name, value in _provider(one).items()}


def _provider(one: LoginProvider) -> dict[str, EnvValue]:
    texts = {
        "LABEL": one.label, "REDIRECT_URL": one.redirect_url, "ISSUER": one.issuer, "URL": one.url,
        "API_URL": one.api_url,
    }  # fmt: skip
    secrets = {key: SecretKey(one.credentials_secret, key) for key in ("CLIENT_ID", "CLIENT_SECRET")}
    given: dict[str, EnvValue] = {name: text for name, text in texts.items() if text}
    return {f"OAUTH_{one.name.upper()}_{name}": value for name, value in (given | secrets).items()}


def _message(cluster: PushCluster) -> dict[str, EnvValue]:
    # The log gets four fifths of the broker's disk; the push queue and the broker's own files share the rest.
    disk = mebibytes(cluster.nats.storage if isinstance(cluster.nats, Managed) else "10Gi")
    env = {
        **_store(cluster, "history.db"),
        "SERVICE_KEY": service_key(cluster),
        "LOG_MAX_BYTES": str(disk * 1024 * 1024 * 4 // 5),
        "LOG_MAX_AGE_HOURS": str(LOG_MAX_AGE_HOURS),
        "HISTORY_DAYS_DIRECT": str(cluster.history.direct),
        "HISTORY_DAYS_GROUP": str(cluster.history.group),
        "HISTORY_DAYS_TOPIC": str(cluster.history.topic),
        "PRESENCE_VISIBLE_TO": cluster.presence.visible_to,
    }
    return env | ({"TOPIC_POLICIES": policies_text(cluster.topics)} if cluster.topics else {})


def _push(cluster: PushCluster) -> dict[str, EnvValue]:
    wanted = cluster.notifications
    env: dict[str, EnvValue] = {
        "SERVICE_KEY": service_key(cluster),
        "ADMIN_TOKEN": _admin_token(cluster),
        "PUSH_HOLD_OFF_SECONDS": str(wanted.hold_off_seconds),
        "PUSH_PER_USER_PER_MINUTE": str(wanted.per_user_per_minute),
    }
    if wanted.fcm_secret is not None:
        env["FCM_SERVICE_ACCOUNT"] = SecretKey(wanted.fcm_secret, "FCM_SERVICE_ACCOUNT")
    if wanted.apns is not None:
        env |= _apns(wanted.apns)
    return {**_store(cluster, "devices.db"), **env, **_web_push(cluster, wanted.web_push)}


def _apns(wanted: Apns) -> dict[str, EnvValue]:
    return {
        "APNS_KEY": SecretKey(wanted.key_secret, "APNS_KEY"),
        "APNS_KEY_ID": wanted.key_id,
        "APNS_TEAM_ID": wanted.team_id,
        "APNS_TOPIC": wanted.topic,
        "APNS_SANDBOX": str(int(wanted.sandbox)),
    }


def _web_push(cluster: PushCluster, wanted: WebPush) -> dict[str, EnvValue]:
    """With a key of the user's, or one that is made of what the operator has generated."""
    env: dict[str, EnvValue] = {"VAPID_SUBJECT": wanted.subject}
    if wanted.vapid_secret is not None:
        return env | {"VAPID_PRIVATE_KEY": SecretKey(wanted.vapid_secret, "VAPID_PRIVATE_KEY")}
    return env | {VAPID_SEED: SecretKey(credentials_name(cluster.name), VAPID_SEED, min_bytes=KEY_BYTES)}


def _presence(cluster: PushCluster) -> dict[str, EnvValue]:
    return {"SERVICE_KEY": service_key(cluster), **_grace(cluster)}


_OWN = {"gateway": _gateway, "auth": _auth, "message": _message, "presence": _presence, "push": _push}
