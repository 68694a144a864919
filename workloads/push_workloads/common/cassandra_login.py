"""The login of the services at a Cassandra that the operator runs, made by whichever of them comes first.

A fresh node has one user, an administrator whose password everybody knows, and that some seconds after it listens. So
whoever is refused makes the login as that administrator; any number may do so at once. **The login is opened last**: a
service that is let in knows by that that the rights are given and the known password is good no more, and one that was
killed on the way leaves a login that is still refused, so that the next one begins anew. Each statement may run twice.

For two seconds a node believes what it has read of a user (its caches), and a password that was changed it changes no
sooner than five seconds later; what fails by that, the caller tries again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from push_workloads.common.cassandra import RETRY_MS, Cassandra, Refused
from push_workloads.common.cassandra_connect import LoginRefused, connect
from push_workloads.common.cassandra_keyspace import make_keyspace
from push_workloads.common.config import CassandraConfig
from push_workloads.common.errors import Unavailable

ADMIN: Final = "cassandra"
KNOWN_PASSWORD: Final = "cassandra"  # noqa: S105 - of every fresh node
RIGHTS: Final = ("CREATE", "SELECT", "MODIFY")  # on its own keyspace; more of what it creates there itself


async def admitted(config: CassandraConfig) -> Cassandra:
    """One attempt at a session, after the login is made where that is ours to do. Raises Unavailable."""
    try:
        return await connect(config)
    except LoginRefused:
        if config.admin_password is None:
            raise
    await _make_login(config)
    return await connect(config)


async def _make_login(config: CassandraConfig) -> None:
    cassandra = await _as_admin(config)
    try:
        await make_keyspace(cassandra, config)
        for statement in login_statements(config):
            await cassandra.write(statement)
    except Refused as error:
        # Not chained, and without its text: that may repeat the statement, and with it a password.
        raise Unavailable(f"Cassandra does not make the login: {type(error).__name__}") from None
    finally:
        await cassandra.close()


async def _as_admin(config: CassandraConfig) -> Cassandra:
    """Under the password that everybody knows, or under the one that took its place."""
    admin = replace(config, user=ADMIN, password=KNOWN_PASSWORD)
    try:
        return await connect(admin)
    except LoginRefused:
        pass
    try:
        return await connect(replace(admin, password=config.admin_password))
    except LoginRefused as error:
        # For good only where the volume is older than the passwords.
        told = "Cassandra refuses the login, and the administrator's too"
        raise LoginRefused(told, retry_after_ms=RETRY_MS) from error


def login_statements(config: CassandraConfig) -> tuple[str, ...]:
    """What makes the login, in this order. Roles take no bound values: the passwords stand in the text."""
    user, password, admin = (_quoted(text or "") for text in (config.user, config.password, config.admin_password))
    return (
        f"CREATE ROLE IF NOT EXISTS {user} WITH LOGIN = false",
        *(f"GRANT {right} ON KEYSPACE {{ks}} TO {user}" for right in RIGHTS),
        f"ALTER ROLE {ADMIN} WITH PASSWORD = {admin}",
        f"ALTER ROLE {user} WITH PASSWORD = {password} AND LOGIN = true",
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
