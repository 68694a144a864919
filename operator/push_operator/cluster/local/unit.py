"""One unit: its process is started, watched, and started again after a growing pause, until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from push_operator.cluster.local import guard
from push_operator.cluster.local.logfile import LogFile, one_line
from push_operator.cluster.local.probes import NO_ANSWER, Probe
from push_operator.cluster.local.programs import Launch
from push_operator.plan.observed import Unit

FIRST_PAUSE, LAST_PAUSE, GOOD_LIFE = 0.5, 30.0, 60.0
PROBE_UNTIL_READY, PROBE_WHEN_READY = 0.3, 2.0
MISSES_ALLOWED = 1  # a ready unit on a busy machine may be late once
HUNG_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that it takes to start one unit. `descriptors` are open listening sockets that it inherits.

    After `hung_seconds` in which each probe timed out, the process is replaced.
    """

    name: str
    component: str
    revision: str
    launch: Launch
    probe: Probe
    folder: Path
    log: LogFile
    descriptors: tuple[int, ...] = ()
    admin: str | None = None
    hung_seconds: float = HUNG_SECONDS


class LocalUnit:
    """Lives from `start` to `stop`. `changed` is called whenever what `observe` returns has changed."""

    def __init__(self, recipe: Recipe, changed: Callable[[], None], released: Callable[[], None]) -> None:
        self.recipe = recipe
        self.ready = False
        self.stopping = False
        self._changed, self._released = changed, released
        self._note, self._restarts = "starting", 0
        self._process: Process | None = None
        self._started_at = 0.0
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._live(), name=self.recipe.name)

    async def stop(self, seconds: float) -> None:
        """Asks the process to end, kills it after `seconds`; returns when it is gone. May be called again to hurry."""
        if self._task is None:
            return
        self.leave()
        self._signal(signal.SIGTERM)
        done, _ = await asyncio.wait({self._task}, timeout=seconds)
        if not done:
            self.kill()
            await asyncio.wait({self._task})

    def leave(self) -> None:
        """It is to stop, and counts for nothing from now on."""
        self.stopping = True
        self._stop.set()
        self._show(ready=False, note="stopping")

    def kill(self) -> None:
        """Ends the process and whatever it started, at once."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def observe(self) -> Unit:
        alive = self._process is not None and self._process.returncode is None
        details = {
            "pid": self._process.pid if self._process is not None and alive else None,
            "admin": self.recipe.admin,
            "uptimeSeconds": round(self._uptime(), 1) if alive else 0,
        }
        recipe = self.recipe
        return Unit(recipe.name, recipe.component, recipe.revision, self.ready, self._note, self._restarts, details,
                    address=recipe.admin or "", pending=self._process is None)  # fmt: skip

    async def _live(self) -> None:
        failures = 0
        try:
            while not self._stop.is_set():
                await self._one_life()
                failures = 0 if self._uptime() >= GOOD_LIFE else failures + 1
                if not self._stop.is_set():
                    await self._rest(failures)
        finally:
            self.kill()
            self._released()
            self._changed()

    async def _one_life(self) -> None:
        self._started_at = asyncio.get_running_loop().time()
        try:
            process = self._process = await self._spawn()
        except OSError as error:
            self._show(ready=False, note=f"cannot be started: {error.strerror}")
            return
        if self._stop.is_set():  # asked to stop while the process was being made
            self._signal(signal.SIGTERM)
        watch = asyncio.create_task(self._watch())
        try:
            code = await process.wait()
        finally:
            watch.cancel()
            (hung,) = await asyncio.gather(watch, return_exceptions=True)
        words = self.recipe.log.last_words()
        ended = f"{_how_it_ended(code)}{': ' if words else ''}{words}"
        self._show(ready=False, note=hung if isinstance(hung, str) else ended)

    async def _spawn(self) -> Process:
        """Starts through the guard, so that the process cannot outlive this one, in a session of its own, so that
        Ctrl-C in the terminal reaches only this one."""
        log = self.recipe.log.open()
        try:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), *self.recipe.launch.argv,
                stdin=DEVNULL, stdout=log, stderr=log, env=dict(self.recipe.launch.env), cwd=self.recipe.folder,
                pass_fds=self.recipe.descriptors, start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(log)

    async def _rest(self, failures: int) -> None:
        self._restarts += 1
        growing = min(LAST_PAUSE, FIRST_PAUSE * 2.0 ** min(max(failures - 1, 0), 16))
        pause = growing * random.uniform(0.8, 1.2)  # noqa: S311 - spreads restarts, guards nothing
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._stop.wait()

    async def _watch(self) -> str | None:
        """Shows whether it is ready. Kills it when it hangs and returns a note of that."""
        misses, silences, now = 0, 0, asyncio.get_running_loop().time
        answered_at = now()
        while not self._stop.is_set():
            waiting_for, answered = await self._probe()
            misses = misses + 1 if waiting_for else 0
            silences, answered_at = (0, now()) if answered else (silences + 1, answered_at)
            if silences > MISSES_ALLOWED and now() - answered_at >= self.recipe.hung_seconds:
                self.kill()
                return f"did not answer for {self.recipe.hung_seconds:.0f} s"
            if not self.stopping and (not self.ready or misses > MISSES_ALLOWED or not waiting_for):
                self._show(ready=waiting_for is None, note=waiting_for or "")
            await asyncio.sleep(PROBE_WHEN_READY if self.ready else PROBE_UNTIL_READY)
        return None

    async def _probe(self) -> tuple[str | None, bool]:
        """What it waits for, None when it is ready; and whether that is an answer or silence."""
        try:
            return await self.recipe.probe(), True
        except TimeoutError:
            return NO_ANSWER, False

    def _show(self, *, ready: bool, note: str) -> None:
        before = (self.ready, self._note)
        self.ready, self._note = ready, one_line(note)
        if before != (self.ready, self._note):
            self._changed()

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _uptime(self) -> float:
        return asyncio.get_running_loop().time() - self._started_at


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"exited with {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"
