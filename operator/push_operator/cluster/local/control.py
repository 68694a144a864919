"""The control socket: HTTP with JSON on a socket in the state folder, which only its owner can reach.

    GET  /platform            the object, its units, and whose process this is
    PUT  /object              {"documents": […]} → {"generation": n}
    POST /scale               {"component": …, "replicas": n} → {"generation": n}
    POST /rollout             {"action": "resume" or "undo"} → {"revision": …}
    POST /keys                {"at_once": bool} → {"keys": text}: one more key that signs access tokens
    POST /down                the platform ends

A refusal is {"error": text}, or {"faults": [{"path", "message"}]} with status 422.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from aiohttp import web

from push_operator.cluster.local.adapter import LocalCluster
from push_operator.cluster.local.manifest import Manifest, read_manifest, with_replicas
from push_operator.cluster.local.state import StateFolder
from push_operator.errors import OperatorError, SpecError
from push_operator.model import SERVICES, parse
from push_operator.plan.steering import ACTIONS, ROLLOUT, refuse_number, rollout_order
from push_operator.tokens import KEYS_ANNOTATION, rotated

MAX_BODY_BYTES = 4 * 1024 * 1024
_log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """The six requests; `down` is called when someone asks for the end."""

    def __init__(self, cluster: LocalCluster, page: str, down: Callable[[], None]) -> None:
        self._cluster, self._page, self._down = cluster, page, down

    async def platform(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "pid": os.getpid(),
                "page": self._page,
                "object": self._cluster.body,
                "units": [asdict(unit) for unit in self._cluster.units()],
            }
        )

    async def put(self, request: web.Request) -> web.Response:
        asked = await _json(request)
        documents = asked.get("documents")
        if not isinstance(documents, list):
            raise OperatorError("`documents` must be a list")
        return web.json_response({"generation": self._cluster.put(read_manifest(documents))})

    async def scale(self, request: web.Request) -> web.Response:
        asked = await _json(request)
        component = asked.get("component")
        if component not in SERVICES:
            raise OperatorError(f"what can be scaled: {', '.join(SERVICES)}")
        refuse_number(self._cluster.body, component)
        body = with_replicas(self._cluster.body, component, asked.get("replicas"))  # type: ignore[arg-type]  # parse judges it
        return web.json_response({"generation": self._cluster.put(Manifest(body, parse(body), {}))})

    async def rollout(self, request: web.Request) -> web.Response:
        action = (await _json(request)).get("action")
        if action not in ACTIONS:
            raise OperatorError(f"what can be done with a rollout: {', '.join(ACTIONS)}")
        order = rollout_order(self._cluster.body, action)
        self._cluster.annotate(ROLLOUT, order)
        return web.json_response({"revision": order.partition(":")[2]})

    async def keys(self, request: web.Request) -> web.Response:
        at_once = (await _json(request)).get("at_once")
        order = rotated(parse(self._cluster.body).tokens, int(time.time()), at_once=at_once is True)
        self._cluster.annotate(KEYS_ANNOTATION, order)
        return web.json_response({"keys": order})

    async def end(self, _: web.Request) -> web.Response:
        self._down()
        return web.json_response({"pid": os.getpid()}, status=202)


@asynccontextmanager
async def control_socket(state: StateFolder, control: Control) -> AsyncIterator[None]:
    """Answers requests while the context is open. The caller holds the lock: a socket file left there is a dead one."""
    app = web.Application(middlewares=[_refusals], client_max_size=MAX_BODY_BYTES)
    app.router.add_get("/platform", control.platform)
    app.router.add_put("/object", control.put)
    app.router.add_post("/scale", control.scale)
    app.router.add_post("/rollout", control.rollout)
    app.router.add_post("/keys", control.keys)
    app.router.add_post("/down", control.end)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    state.control_socket.unlink(missing_ok=True)
    try:
        await web.UnixSite(runner, str(state.control_socket)).start()
        state.control_socket.chmod(0o600)
        yield
    finally:
        await runner.cleanup()
        state.control_socket.unlink(missing_ok=True)


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except SpecError as error:
        return web.json_response({"faults": [asdict(fault) for fault in error.faults]}, status=422)
    except OperatorError as error:
        return web.json_response({"error": str(error)}, status=400)
    except web.HTTPException as error:
        return web.json_response({"error": error.reason}, status=error.status)
    except Exception:  # noqa: BLE001 - one request must not end the platform
        _log.exception("a control request failed")
        return web.json_response({"error": "the platform failed at this: see logs/operator.log"}, status=500)


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        asked = await request.json()
    except (ValueError, RecursionError) as error:
        raise OperatorError(f"the request is no JSON: {error}") from error
    if not isinstance(asked, dict):
        raise OperatorError("the request must be a JSON object")
    return asked
