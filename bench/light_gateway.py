"""A gateway without durability: aiohttp sockets and core NATS. What is not received at once is gone.

The alternative that `bench/latency.py` and `bench/recovery.py` measure the price of durability against. No log, no
copies for the sender's other devices, no order across a reconnect, nothing to come back to: an `ack` says that the
message was handed to the bus, a `subscribed` only that the client is connected.
"""

from __future__ import annotations

import json
import os
import time
import uuid

import nats
import uvloop
from aiohttp import WSMsgType, web
from nats.aio.msg import Msg

from bench.around import serve
from push_workloads.common.tokens import Tokens
from push_workloads.gateway.config import GatewayConfig


async def main() -> None:
    config = GatewayConfig.parse(os.environ)
    tokens = Tokens(config.tokens)
    bus = await nats.connect(config.nats.url)

    async def ws(request: web.Request) -> web.WebSocketResponse:
        me = tokens.verify(request.query["token"]).user_id
        socket = web.WebSocketResponse()
        await socket.prepare(request)

        async def deliver(message: Msg) -> None:
            await socket.send_json({"type": "message", "channel": f"user:{me}", **json.loads(message.data)})

        subscription = await bus.subscribe(f"light.{me}", cb=deliver)
        await socket.send_json({"type": "welcome", "user_id": me})
        await socket.send_json({"type": "subscribed", "channel": f"user:{me}", "recovered": False})
        async for frame in socket:
            if frame.type != WSMsgType.TEXT:
                break
            sent = json.loads(frame.data)
            body = {"message_id": str(uuid.uuid4()), "from": me, "recipient_id": sent["recipient_id"]}
            body |= {"content": sent["content"], "sent_at": time.time_ns() // 1_000_000}
            await bus.publish(f"light.{sent['recipient_id']}", json.dumps(body).encode())
            await socket.send_json({"type": "ack", "id": sent.get("id"), "message_id": body["message_id"]})
        await subscription.unsubscribe()
        return socket

    await serve(ws, config.common.public)


if __name__ == "__main__":
    uvloop.run(main())
