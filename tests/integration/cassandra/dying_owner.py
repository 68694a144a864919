"""A process that dies in the middle of a change of the schema: it has the lock, and made one table of three.

Run as a program by test_schema.py, which kills it when it has said so.
"""

from __future__ import annotations

import asyncio
import os
import sys

from push_workloads.common.cassandra_connect import connect
from push_workloads.common.cassandra_schema import Migrator, ensure_keyspace
from push_workloads.common.config import CassandraConfig, Env


async def main(statements: list[str]) -> None:
    env = Env(os.environ)
    config = CassandraConfig.read(env)
    env.check()
    cassandra = await connect(config)
    await ensure_keyspace(cassandra, config)
    change_schema, made = cassandra.change_schema, 0

    async def change_once(text: str) -> None:
        nonlocal made
        if made:
            sys.stdout.write("in the middle\n")
            sys.stdout.flush()
            await asyncio.Event().wait()
        made += 1
        await change_schema(text)

    cassandra.change_schema = change_once  # type: ignore[method-assign]
    await Migrator(cassandra, "test", statements, lock_seconds=2).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
