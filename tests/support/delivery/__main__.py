"""`python -m tests.support.delivery KIND`: the checker, large."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

from tests.support.cassandra import CassandraServer
from tests.support.delivery.book import Verdict
from tests.support.delivery.run import Plan, check
from tests.support.servers import running


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["quiet", "cuts", "crashes", "swaps"])
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--sends", type=float, default=50.0, help="a second, over all devices")
    parser.add_argument("--groups", type=int, default=6)
    parser.add_argument("--churn", type=float, default=1.0, help="members added or removed a second")
    parser.add_argument("--cut-every", type=float, default=15.0)
    parser.add_argument("--offline", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cassandra", action="store_true", help="two message services on it; swaps always has it")
    parser.add_argument("--keep", type=Path, help="a folder for the logs")
    asked = vars(parser.parse_args())
    keep, cassandra = asked.pop("keep"), asked.pop("cassandra")
    plan = Plan(**asked)
    with tempfile.TemporaryDirectory() as folder:
        verdict = asyncio.run(_run(plan, keep or Path(folder), cassandra or plan.kind == "swaps"))
    for name, value in asdict(verdict).items():
        print(f"{name:15} {value}")
    print("good" if verdict.good else "NOT GOOD")
    return 0 if verdict.good else 1


async def _run(plan: Plan, folder: Path, on_cassandra: bool) -> Verdict:
    async with AsyncExitStack() as stack:
        server = None
        if on_cassandra:
            server = CassandraServer(folder / "cassandra", durable=True)
            await stack.enter_async_context(running(server))
        return await check(plan, folder, server)


if __name__ == "__main__":
    sys.exit(main())
