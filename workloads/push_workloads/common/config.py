"""Settings are read once, from a mapping that is passed in, into frozen values; all faults are told together.

The names of the system that this one replaces keep working: NATS_URL, REDIS_URL, JWT_SECRET, JWT_EXPIRY_HOURS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from push_workloads.common.issuers import BadIssuers, TrustedIssuer, read_issuers
from push_workloads.common.keys import BadKey, SigningKey, from_pem, from_seed, in_turn

JWT_SECRET_MIN_BYTES = 32  # HS256 wants a key at least as long as its hash (RFC 7518 §3.2)
SERVICE_KEY_MIN_BYTES = 32
ADMIN_TOKEN_MIN_BYTES = 32
SIGNING_KEY_PREFIX = "SIGNING_KEY_"  # and the moment at which it was made, in Unix seconds
CASSANDRA_PORT = 9042
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([A-Za-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")  # RFC 6454 §6.2
_DATACENTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEYSPACE = re.compile(r"[a-z][a-z0-9_]{0,47}")  # unquoted, and 48 is what Cassandra takes


class ConfigError(Exception):
    """The environment is not usable. `faults` has one sentence for each variable, none with a secret in it."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class Env:
    """Reads typed values from a mapping, collecting faults until `check` raises them all at once."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._faults: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        value = self._values.get(name, "") or default
        if value is None:
            self._faults.append(f"{name} is required")
            return ""
        return value

    def beginning(self, prefix: str) -> dict[str, str]:
        """All variables whose names begin so, by the rest of their names."""
        return {name.removeprefix(prefix): value for name, value in self._values.items() if name.startswith(prefix)}

    def optional(self, name: str) -> str | None:
        return self._values.get(name) or None

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        value = self._values.get(name, "")
        if not value:
            return default
        try:
            number = int(value)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            self._faults.append(f"{name} must be a whole number from {low} to {high}")
            return default
        return number

    def number(self, name: str, default: float, low: float, high: float) -> float:
        value = self._values.get(name, "")
        if not value:
            return default
        try:
            read = float(value)
        except ValueError:
            read = low - 1
        if not low <= read <= high:
            self._faults.append(f"{name} must be a number from {low:g} to {high:g}")
            return default
        return read

    def url(self, name: str, schemes: tuple[str, ...]) -> str:
        value = self.text(name)
        if value and not _is_url(value, schemes):
            wanted = " or ".join(f"{scheme}://HOST:PORT" for scheme in schemes)
            self._faults.append(f"{name} must look like {wanted}")
        return value

    def secret(self, name: str, min_bytes: int) -> bytes:
        value = self.text(name).encode()
        if value and len(value) < min_bytes:
            self._faults.append(
                f"{name} has {len(value)} bytes and needs at least {min_bytes}: make one with `openssl rand -hex 32`"
            )
        return value

    def words(self, name: str) -> tuple[str, ...]:
        """A comma-separated list; empty when unset."""
        return tuple(word.strip() for word in self._values.get(name, "").split(",") if word.strip())

    def fault(self, message: str) -> None:
        self._faults.append(message)

    def check(self) -> None:
        """Raises ConfigError when anything read so far was missing or wrong."""
        if self._faults:
            raise ConfigError(self._faults)


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # half a bracket, a port that is no number or over 65535
        return False


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to accept connections: an inherited listening socket when `fd` is set, else host and port."""

    host: str
    port: int
    fd: int | None

    @classmethod
    def read(cls, env: Env, prefix: str, default_port: int) -> Listen:
        return cls(
            host=env.text(f"{prefix}HOST", "0.0.0.0"),  # noqa: S104 - inside a pod; the local platform passes sockets
            port=env.integer(f"{prefix}PORT", default_port, 1, 65535),
            fd=env.integer(f"{prefix}FD", -1, 0, 1_000_000) if env.optional(f"{prefix}FD") else None,
        )


@dataclass(frozen=True, slots=True)
class Common:
    """What every service needs, whatever it does."""

    instance: str
    public: Listen
    admin: Listen
    log_level: str
    stop_seconds: int
    origins: tuple[str, ...]

    @classmethod
    def read(cls, env: Env, default_port: int) -> Common:
        level = env.text("LOG_LEVEL", "info").upper()
        return cls(
            instance=env.text("INSTANCE", "local"),
            public=Listen.read(env, "", default_port),
            admin=Listen.read(env, "ADMIN_", 9090),
            log_level=level if level in ("DEBUG", "INFO", "WARNING", "ERROR") else "INFO",
            stop_seconds=env.integer("STOP_SECONDS", 30, 1, 3660),
            origins=_origins(env),
        )


def admin_token(env: Env) -> bytes | None:
    """What makes orders on the admin port good; None: there are none."""
    return env.secret("ADMIN_TOKEN", ADMIN_TOKEN_MIN_BYTES) if env.optional("ADMIN_TOKEN") else None


def presence_grace_ms(env: Env) -> int:
    """How long a user without a session is not told to be offline, in milliseconds."""
    return 1000 * env.integer("PRESENCE_GRACE_SECONDS", 15, 0, 300)


def _origins(env: Env) -> tuple[str, ...]:
    """As browsers send them, so that one comparison decides: what never fits would be a page that is refused, and a
    `*` a door that nobody meant to open."""
    given = env.words("ALLOWED_ORIGINS")
    if not all(_ORIGIN.fullmatch(one) for one in given):
        env.fault(
            "ALLOWED_ORIGINS must be origins such as https://chat.example.com, separated by commas: no path, no *"
        )
    return given


@dataclass(frozen=True, slots=True)
class NatsConfig:
    url: str
    user: str | None
    password: str | None
    shards: int

    @classmethod
    def read(cls, env: Env) -> NatsConfig:
        return cls(
            url=env.url("NATS_URL", ("nats", "tls")),
            user=env.optional("NATS_USER"),
            password=env.optional("NATS_PASSWORD"),
            shards=env.integer("LOG_SHARDS", 1, 1, 256),
        )


@dataclass(frozen=True, slots=True)
class RedisConfig:
    url: str
    user: str | None
    password: str | None

    @classmethod
    def read(cls, env: Env) -> RedisConfig:
        url = env.url("REDIS_URL", ("redis", "rediss"))
        return cls(url=url, user=env.optional("REDIS_USER"), password=env.optional("REDIS_PASSWORD"))


@dataclass(frozen=True, slots=True)
class SqliteConfig:
    """The embedded store: a file of this process's own."""

    path: str


@dataclass(frozen=True, slots=True)
class CassandraConfig:
    """The store that replicas share. `replication`: copies in the local datacenter, when the keyspace is made here.
    `admin_password`: where the operator runs it, whose login is made by whoever comes first."""

    contact_points: tuple[tuple[str, int], ...]
    keyspace: str
    local_datacenter: str
    user: str | None
    password: str | None
    replication: int
    admin_password: str | None = None

    @classmethod
    def read(cls, env: Env) -> CassandraConfig:
        keyspace = env.text("CASSANDRA_KEYSPACE")
        if keyspace and not _KEYSPACE.fullmatch(keyspace):
            env.fault("CASSANDRA_KEYSPACE must be 1 to 48 of a-z 0-9 _, beginning with a letter")
        datacenter = env.text("CASSANDRA_LOCAL_DATACENTER")
        if datacenter and not _DATACENTER.fullmatch(datacenter):
            env.fault("CASSANDRA_LOCAL_DATACENTER must be 1 to 64 of A-Z a-z 0-9 . _ -")
        user, password = env.optional("CASSANDRA_USER"), env.optional("CASSANDRA_PASSWORD")
        admin_password = env.optional("CASSANDRA_ADMIN_PASSWORD")
        if admin_password and not (user and password):
            env.fault("CASSANDRA_ADMIN_PASSWORD goes with CASSANDRA_USER and CASSANDRA_PASSWORD")
        return cls(
            contact_points=tuple(_contact_point(env, word) for word in env.words("CASSANDRA_CONTACT_POINTS")),
            keyspace=keyspace,
            local_datacenter=datacenter,
            user=user,
            password=password,
            replication=env.integer("CASSANDRA_REPLICATION", 3, 1, 9),
            admin_password=admin_password,
        )


StoreConfig = SqliteConfig | CassandraConfig


def read_store(env: Env) -> StoreConfig:
    """Exactly one of the two stores: with both set, half of the data could end up where nobody looks."""
    shared = bool(env.words("CASSANDRA_CONTACT_POINTS"))
    path = env.optional("SQLITE_PATH")
    if shared and path:
        env.fault("SQLITE_PATH and CASSANDRA_CONTACT_POINTS exclude each other: set one of them")
    if not shared and not path:
        env.fault("SQLITE_PATH or CASSANDRA_CONTACT_POINTS is required")
    return CassandraConfig.read(env) if shared else SqliteConfig(path or "")


def _contact_point(env: Env, word: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{word}")
        host, port = parts.hostname, parts.port or CASSANDRA_PORT
    except ValueError:
        host, port = None, CASSANDRA_PORT
    if not host or word.count("@") or not set(word).isdisjoint("/?#"):
        env.fault("CASSANDRA_CONTACT_POINTS must be HOST or HOST:PORT, several separated by commas")
    return host or "", port


@dataclass(frozen=True, slots=True)
class TokenConfig:
    """How access tokens are signed and checked. `secret`: shared by all services (HS256). `signing_keys`: our own
    private ones, which sign in its place; in the order in which they begin. `keys_url`: the auth service, where others
    get the public ones. `trusted`: who else may sign. `refresh_secret`: what refresh tokens are made with.
    `service_key`: the service credential, where one is accepted."""

    secret: bytes | None
    ttl_seconds: int
    issuer: str
    service_key: bytes | None = None
    signing_keys: tuple[SigningKey, ...] = ()
    keys_url: str | None = None
    trusted: tuple[TrustedIssuer, ...] = ()
    refresh_secret: bytes = b""

    @classmethod
    def read(cls, env: Env, *, signs: bool = False) -> TokenConfig:
        """`signs`: of the service that issues tokens."""
        hours = env.integer("JWT_EXPIRY_HOURS", 24, 1, 24 * 365)
        ttl_seconds = env.integer("ACCESS_TOKEN_TTL_SECONDS", hours * 3600, 60, 365 * 86400)
        secret = env.secret("JWT_SECRET", JWT_SECRET_MIN_BYTES) if env.optional("JWT_SECRET") else None
        keys = _signing_keys(env, ttl_seconds) if signs else ()
        keys_url = env.url("AUTH_URL", ("http", "https")).rstrip("/") if env.optional("AUTH_URL") else None
        if secret is None and not (keys if signs else keys_url):
            env.fault("JWT_SECRET is required")
        issuer = env.text("TOKEN_ISSUER", "pushcluster")
        return cls(
            secret=secret,
            ttl_seconds=ttl_seconds,
            issuer=issuer,
            service_key=env.secret("SERVICE_KEY", SERVICE_KEY_MIN_BYTES) if env.optional("SERVICE_KEY") else None,
            signing_keys=keys,
            keys_url=keys_url,
            trusted=_trusted(env, issuer),
            refresh_secret=_refresh_secret(env, secret, keys) if signs else b"",
        )


def _signing_keys(env: Env, ttl_seconds: int) -> tuple[SigningKey, ...]:
    """The user's own in SIGNING_KEYS, or those that the operator has made, each under the moment of that."""
    given, made = env.optional("SIGNING_KEYS"), env.beginning(SIGNING_KEY_PREFIX)
    name = "SIGNING_KEYS"
    try:
        if given:
            return from_pem(given)
        seeds: dict[int, SigningKey] = {}
        for moment, seed in made.items():
            name = SIGNING_KEY_PREFIX + moment
            if not moment.isdecimal():
                raise BadKey("must end in the Unix seconds at which it was made")
            seeds[int(moment)] = from_seed(seed)
        return in_turn(seeds, ttl_seconds) if seeds else ()
    except BadKey as error:
        env.fault(f"{name} {error}")
        return ()


def _refresh_secret(env: Env, secret: bytes | None, keys: tuple[SigningKey, ...]) -> bytes:
    """Apart from the keys that sign: those come and go, and logins stay."""
    if env.optional("REFRESH_SECRET"):
        return env.secret("REFRESH_SECRET", JWT_SECRET_MIN_BYTES)
    if secret is None and keys:
        env.fault("REFRESH_SECRET is required where there is no JWT_SECRET: make one with `openssl rand -hex 32`")
    return secret or b""


def _trusted(env: Env, own: str) -> tuple[TrustedIssuer, ...]:
    try:
        found = read_issuers(env.text("TRUSTED_ISSUERS", "[]"))
    except BadIssuers as error:
        env.fault(f"TRUSTED_ISSUERS must be a JSON list of issuers: {error}")
        return ()
    if any(one.issuer == own for one in found):
        env.fault(f"TRUSTED_ISSUERS must not name {own}: that is us (TOKEN_ISSUER)")
    return found
