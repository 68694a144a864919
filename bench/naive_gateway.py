"""The gateway one would write first: aiohttp sockets, a nats-py subscription per user, an awaited publish per copy.

The alternative that `bench/gateway.py` measures against. It does the same for a client (welcome, send_message → ack,
message) and less besides: no order of acks, no gaps, no limits, no heartbeat, no cursors.
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
    js = bus.jetstream()

    async def ws(request: web.Request) -> web.WebSocketResponse:
        me = tokens.verify(request.query["token"]).user_id
        socket = web.WebSocketResponse()
        await socket.prepare(request)

        async def deliver(message: Msg) -> None:
            body = json.loads(message.data)
            if body["from"] != me:
                seq = int((message.headers or {}).get("Nats-Sequence", 0))
                await socket.send_json({"type": "message", "channel": f"user:{me}", "seq": seq, **body})

        subscription = await bus.subscribe(f"dlv.u.{me}", cb=deliver)
        await socket.send_json({"type": "welcome", "user_id": me})
        async for frame in socket:
            if frame.type != WSMsgType.TEXT:
                break
            sent = json.loads(frame.data)
            recipient = sent["recipient_id"]
            body = {"message_id": str(uuid.uuid4()), "from": me, "recipient_id": recipient, "conversation": me}
            body |= {"content": sent["content"], "sent_at": time.time_ns() // 1_000_000}
            payload = json.dumps(body).encode()
            for user in (recipient, me):
                headers = {"Nats-Msg-Id": f"{body['message_id']}:{user}"}
                stored = await js.publish(f"log.0.u.{user}", payload, headers=headers)
            await socket.send_json({"type": "ack", "id": sent.get("id"), "seq": stored.seq})
        await subscription.unsubscribe()
        return socket

    await serve(ws, config.common.public)


if __name__ == "__main__":
    uvloop.run(main())
