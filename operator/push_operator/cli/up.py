"""`push up`: the composition root of the local platform. Runs in the foreground until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from push_operator.autopilot import Autopilot
from push_operator.cli.display import Display, display
from push_operator.cli.output import is_ready, rows, what_lacks
from push_operator.cli.ownlog import logging_to
from push_operator.cli.web import page_origins, serving_page
from push_operator.cluster.local.adapter import LocalCluster, Settings
from push_operator.cluster.local.control import Control, control_socket
from push_operator.cluster.local.manifest import Manifest, read_manifest
from push_operator.cluster.local.programs import installed_programs
from push_operator.cluster.local.state import StateFolder
from push_operator.loop import control
from push_operator.piloting import piloting

REFRESH_SECONDS = 0.1
EXIT_DOWN, EXIT_INTERRUPTED, EXIT_TERMINATED = 0, 130, 143


@dataclass(frozen=True, slots=True)
class Options:
    """`timeout` in seconds: after it, what is lacking is said; the platform goes on trying."""

    state: Path
    host: str
    port_offset: int
    timeout: float


def up(documents: Sequence[Any], options: Options) -> int:
    """Runs the platform; returns the exit code. Raises OperatorError when it cannot start; then nothing is left."""
    state = StateFolder(options.state)
    manifest = read_manifest(documents)
    with state.locked():
        exit_code = asyncio.run(_run(manifest, state, options))
    sys.stderr.write(f"stopped; its data stays in {state.root}\n")
    return exit_code


async def _run(manifest: Manifest, state: StateFolder, options: Options) -> int:
    stopped = _Stopped()
    settings = Settings(options.host, options.port_offset, page_origins(options.port_offset))
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(LocalCluster.running(state, settings, installed_programs()))
        cluster.put(manifest)
        page = await stack.enter_async_context(serving_page(options.port_offset, lambda: _status(cluster)))
        await stack.enter_async_context(control_socket(state, Control(cluster, page, down=stopped.set)))
        shown = stack.enter_context(display(page))
        stack.enter_context(logging_to(state.logs / "operator.log", shown.say))
        if manifest.wanted.paused:
            shown.say("push: spec.paused is true: nothing is started until `push apply` says otherwise")
        pilot = await stack.enter_async_context(piloting(epoch=lambda: 0))
        await _until_stopped(cluster, pilot, shown, stopped, options.timeout)
        shown.say("stopping")
    return stopped.exit_code


async def _until_stopped(
    cluster: LocalCluster, pilot: Autopilot, shown: Display, stopped: asyncio.Event, timeout: float
) -> None:
    """The control loop and the screen, until the stop; a crash of either is raised.

    Raises BrokenPipeError when nobody reads the screen any more (`push up | head`).
    """
    unread = False
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(control(cluster, pilot)),
                tasks.create_task(_show(cluster, shown)),
                tasks.create_task(_say_what_lacks(cluster, shown, timeout)),
            ]
            await stopped.wait()
            for task in running:
                task.cancel()
    except* BrokenPipeError:
        unread = True
    if unread:
        raise BrokenPipeError


async def _show(cluster: LocalCluster, shown: Display) -> None:
    while True:
        shown.update(cluster.body, [asdict(unit) for unit in cluster.units()])
        await asyncio.sleep(REFRESH_SECONDS)


async def _say_what_lacks(cluster: LocalCluster, shown: Display, timeout: float) -> None:
    """Once, when the platform is not ready in time; a paused one is not waited for."""
    await asyncio.sleep(timeout)
    if not is_ready(cluster.body) and not (cluster.body.get("spec") or {}).get("paused"):
        shown.say(f"push: not ready after {timeout:.0f} s: {what_lacks(cluster.body)}; still trying, Ctrl-C stops it")


def _status(cluster: LocalCluster) -> dict[str, Any]:
    """What the page shows in its header."""
    shown = rows(cluster.body, [asdict(unit) for unit in cluster.units()])
    components = [{"name": row.component, "ready": row.ready, "desired": row.desired} for row in shown]
    return {"ready": is_ready(cluster.body), "components": components}


class _Stopped(asyncio.Event):
    """Set by the first signal, or by `push down`; remembers which."""

    exit_code = EXIT_DOWN

    def __init__(self) -> None:
        super().__init__()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._on_signal, EXIT_INTERRUPTED)
        loop.add_signal_handler(signal.SIGTERM, self._on_signal, EXIT_TERMINATED)
        loop.add_signal_handler(signal.SIGHUP, self._on_signal, EXIT_TERMINATED)

    def _on_signal(self, exit_code: int) -> None:
        if not self.is_set():
            self.exit_code = exit_code
            self.set()
