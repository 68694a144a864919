"""The door of the gateway: a server that accepts WebSockets."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from picows import ws_create_server

from push_workloads.common.config import Listen
from push_workloads.common.ids import uuid7
from push_workloads.common.listening import Listener, Stop, listening
from push_workloads.common.tokens import Identity
from push_workloads.gateway.actions import Who
from push_workloads.gateway.gateway import Gateway
from push_workloads.gateway.handshake import Door
from push_workloads.gateway.websocket import Socket

LISTEN_BACKLOG: Final = 4096
FIRST_READ_BYTES: Final = 512  # grows with the frames that come; 16 KiB each would be most of an idle socket's memory


@asynccontextmanager
async def accepting(gateway: Gateway, door: Door, listen: Listen) -> AsyncIterator[Listener]:
    """Accepts sockets while open."""

    def enter(request: Any) -> Any:
        return door.admit(request, lambda who: Socket(gateway, who))

    async def start(shared: socket.socket | None) -> Stop:
        where: dict[str, Any] = {"host": listen.host, "port": listen.port} if shared is None else {"sock": shared}
        server = await ws_create_server(
            enter,
            **where,
            backlog=LISTEN_BACKLOG,
            websocket_handshake_timeout=5,
            max_frame_size=2 * gateway.config.limits.max_frame_bytes,
            read_buffer_init_size=FIRST_READ_BYTES,
            use_aiofastnet=False,
            # An adapter instead of a logger: picows makes a child logger per connection of the latter.
            logger_name=cast(Any, logging.LoggerAdapter(logging.getLogger("picows"), {})),
        )

        async def stop() -> None:
            server.close()  # and its sockets stay, so nobody waits for them

        return stop

    # It says a line for every connection and every broken frame, and at its lowest level the token of the request.
    logging.getLogger("picows").setLevel(logging.CRITICAL)
    async with listening(listen, start) as listener:
        yield listener


def new_who(identity: Identity, device_id: str | None, resumes: bool, places_itself: bool, away: bool) -> Who:
    """A session of its own, on a device that is named or new."""
    wall_ms = time.time_ns() // 1_000_000
    ends_at = time.monotonic() + identity.expires_at - wall_ms / 1000
    session_id = uuid7(wall_ms, os.urandom(10))
    return Who(
        identity.user_id, device_id or uuid7(wall_ms, os.urandom(10)), session_id, ends_at, resumes, places_itself,
        identity.session_id, identity.issued_at, identity.grants, away,
    )  # fmt: skip
