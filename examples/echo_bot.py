"""A bot that answers whatever it is told, in direct conversations and in groups.

    pip install "pushcluster[client]"
    python examples/echo_bot.py bot@example.com "a long enough password"

It makes its account when there is none, prints its user id, and goes on where it stopped when it is started again.
Against another platform than the one of `make run`: --host https://chat.example.com.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from pathlib import Path

from push_client import Api, ApiError, Client, Endpoints, FileState, Gap, Membership, Message


async def signed_in(api: Api, email: str, password: str) -> str:
    """The bot's access token; its account is made when there is none."""
    try:
        account = await api.register(email, password, "Echo")
    except ApiError as error:
        if error.status != 409:
            raise
        account = await api.login(email, password)
    return account.access_token


async def answer(client: Client, message: Message) -> None:
    """A crash in the middle brings the message again; its answer has the same key then, so it is given once."""
    client.read(message)
    to, channel = message.target
    client.typing(to=to, channel=channel)
    key = f"echo-{message.message_id}"
    await client.send(to=to, channel=channel, content=message.content, dedup_id=key, retry=message.replayed)


async def run(endpoints: Endpoints, gateway: str, email: str, password: str, state: Path) -> None:
    async with Api(endpoints) as api:

        async def token() -> str:
            return await signed_in(api, email, password)

        async with Client(gateway, token, state=FileState(state)) as client:
            await client.until_connected()
            print("ready", client.user_id, flush=True)
            async for event in client.events():
                if isinstance(event, Message) and event.kind == "text" and event.sender != client.user_id:
                    await answer(client, event)
                elif isinstance(event, Membership) and event.mine and event.change == "added":
                    await client.send(channel=event.channel, content="Hello! I repeat what you say.")
                elif isinstance(event, Gap):
                    print("some messages can only be read in the history:", event.reason, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="A bot that answers whatever it is told.")
    parser.add_argument("email")
    parser.add_argument("password")
    parser.add_argument("--host", help="of a platform in a cluster, such as https://chat.example.com")
    parser.add_argument("--port-offset", type=int, default=0, help="as given to `push up`")
    parser.add_argument("--state", type=Path, default=Path("echo_bot.json"), help="where it keeps how far it came")
    given = parser.parse_args()
    if given.host:
        endpoints, gateway = Endpoints.at(given.host), given.host.replace("http", "ws", 1).rstrip("/") + "/ws"
    else:
        endpoints, gateway = Endpoints.local(given.port_offset), f"ws://localhost:{8080 + given.port_offset}/ws"
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(endpoints, gateway, given.email, given.password, given.state))


if __name__ == "__main__":
    main()
