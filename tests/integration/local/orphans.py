"""Run as a program (FOLDER, PORT OFFSET): a cluster with two units; prints their pids and waits to be killed."""

import asyncio
import sys
from pathlib import Path

from tests.integration.local.conftest import Bench, fake_programs, workload

from push_operator.cluster.local.adapter import LocalCluster, Settings
from push_operator.cluster.local.state import StateFolder
from push_operator.plan.workload import Plan


async def main(folder: Path, offset: int) -> None:
    state = StateFolder(folder)
    with state.locked():
        async with LocalCluster.running(state, Settings("127.0.0.1", offset, ()), fake_programs()) as cluster:
            bench = Bench(cluster, state, 0)
            plan = Plan((workload(replicas=2, FAKE="stubborn"),))
            await bench.until(plan, lambda: bench.ready() == 2)
            pids = [str((unit.details or {})["pid"]) for unit in bench.units()]
            sys.stdout.write(" ".join(pids) + "\n")
            sys.stdout.flush()
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
