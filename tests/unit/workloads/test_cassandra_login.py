"""What makes a login at a Cassandra of the operator's: in which order, and whatever a password is made of."""

from __future__ import annotations

from dataclasses import replace

from push_workloads.common.cassandra_login import login_statements
from push_workloads.common.config import CassandraConfig

CONFIG = CassandraConfig((("node", 9042),), "chat", "datacenter1", "push", "one", 1, "two")


def test_the_login_is_opened_when_all_else_is_done() -> None:
    assert login_statements(CONFIG) == (
        "CREATE ROLE IF NOT EXISTS 'push' WITH LOGIN = false",
        "GRANT CREATE ON KEYSPACE {ks} TO 'push'",
        "GRANT SELECT ON KEYSPACE {ks} TO 'push'",
        "GRANT MODIFY ON KEYSPACE {ks} TO 'push'",
        "ALTER ROLE cassandra WITH PASSWORD = 'two'",
        "ALTER ROLE 'push' WITH PASSWORD = 'one' AND LOGIN = true",
    )


def test_a_quote_in_a_password_ends_nothing() -> None:
    made = login_statements(replace(CONFIG, admin_password="x' OR '"))
    assert made[-2] == "ALTER ROLE cassandra WITH PASSWORD = 'x'' OR '''"
