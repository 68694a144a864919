"""The platform's HTTP side: accounts, history, groups, blocks.

async with Api(Endpoints.local()) as api:
    me = await api.register("me@example.com", "a long enough password", "Me")
    api.token = me.access_token
    for one in (await api.conversations()).items: ...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout
from yarl import URL

from push_client.errors import ApiError
from push_client.events import Message, message_of

TIMEOUT_SECONDS: Final = 10.0
TRIES: Final = 4  # of a call that the platform asks to repeat
MAX_WAIT_SECONDS: Final = 10.0
_AGAIN: Final = frozenset({429, 503})
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the services are, without a slash at the end."""

    auth: str
    message: str

    @classmethod
    def local(cls, offset: int = 0) -> Endpoints:
        """Of `push up` on this machine, with its --port-offset."""
        return cls(f"http://localhost:{8081 + offset}", f"http://localhost:{8082 + offset}")

    @classmethod
    def at(cls, host: str) -> Endpoints:
        """Of a cluster with `spec.expose`: all at one address, such as https://chat.example.com."""
        return cls(host.rstrip("/"), host.rstrip("/"))


@dataclass(frozen=True, slots=True)
class SignedIn:
    """`expires_in` is the access token's, in seconds."""

    user_id: str
    access_token: str
    refresh_token: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class Page:
    """`next` asks for the page after this one; None on the last."""

    items: list[Any]
    next: str | None


class Api:
    """All calls raise ApiError: with the platform's own code and words, or with status 0 when there is no answer. What
    the platform asks to repeat (429, 503) is repeated as it asks, a few times; so is what got no answer, unless that
    could do something twice."""

    def __init__(self, endpoints: Endpoints, token: str | None = None) -> None:
        self.token = token
        self._endpoints = endpoints
        self._http: ClientSession

    async def __aenter__(self) -> Self:
        self._http = ClientSession(timeout=ClientTimeout(total=TIMEOUT_SECONDS))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    # Accounts

    async def register(self, email: str, password: str, name: str | None = None) -> SignedIn:
        body = {"email": email, "password": password} | ({"name": name} if name else {})
        return _signed_in(await self._auth("/auth/register", body))

    async def login(self, email: str, password: str) -> SignedIn:
        return _signed_in(await self._auth("/auth/login", {"email": email, "password": password}))

    async def refresh(self, refresh_token: str) -> SignedIn:
        """A new pair of tokens; the old refresh token is worth nothing then."""
        return _signed_in(await self._auth("/auth/refresh", {"refresh_token": refresh_token}))

    async def logout(self, refresh_token: str) -> None:
        """Ends the session of these tokens: they are refused from now on, and its sockets are closed."""
        await self._auth("/auth/logout", {"refresh_token": refresh_token})

    async def _auth(self, path: str, body: Json) -> Json:
        return await self._call("POST", f"{self._endpoints.auth}{path}", json=body, once=True)

    # Conversations and history

    async def conversations(self, after: str | None = None, limit: int | None = None) -> Page:
        """Lines {user_id or channel, last_message, unread, …}, the one with the newest message first."""
        answer = await self._message("GET", "/conversations", params=_given(after=after, limit=limit))
        return Page(answer["conversations"], answer.get("next"))

    async def history(
        self, conversation: str, *, before: str | None = None, after: str | None = None, limit: int | None = None
    ) -> Page:
        """Messages with one user, or of a channel: newest first, or oldest first with `after`. `before` and `after`
        are the `next` of a page, or SENT_AT.MESSAGE_ID of a message."""
        named = conversation.startswith(("group:", "topic:"))
        path = f"/{'channels' if named else 'conversations'}/{quote(conversation, safe='')}/messages"
        answer = await self._message("GET", path, params=_given(before=before, after=after, limit=limit))
        messages = [message_of({"conversation": conversation} | _unplaced(one)) for one in answer["messages"]]
        return Page(messages, answer.get("next"))

    async def all_history(self, conversation: str, *, page: int = 200) -> AsyncIterator[Message]:
        """Every message, newest first, page after page."""
        before = None
        while True:
            got = await self.history(conversation, before=before, limit=page)
            for message in got.items:
                yield message
            before = got.next
            if before is None:
                return

    # Groups

    async def create_group(self, name: str, members: Iterable[str] = (), dedup_id: str | None = None) -> Json:
        """As `group` gives it, with the caller as owner. The same `dedup_id` (≥16 characters) is the same group."""
        body = {"name": name, "members": list(members)} | _given(dedup_id=dedup_id)
        return await self._message("POST", "/groups", json=body, once=dedup_id is None)

    async def groups(self) -> list[Json]:
        answer = await self._message("GET", "/groups")
        groups: list[Json] = answer["groups"]
        return groups

    async def group(self, group_id: str) -> Json:
        """{group_id, channel, name, role, owner, members, created_at}."""
        return await self._message("GET", _group(group_id))

    async def rename_group(self, group_id: str, name: str) -> Json:
        return await self._message("PATCH", _group(group_id), json={"name": name})

    async def delete_group(self, group_id: str) -> None:
        await self._message("DELETE", _group(group_id))

    async def members(self, group_id: str, after: str | None = None, limit: int | None = None) -> Page:
        """Lines {user_id, role}."""
        answer = await self._message("GET", f"{_group(group_id)}/members", params=_given(after=after, limit=limit))
        return Page(answer["members"], answer.get("next"))

    async def add_members(self, group_id: str, user_ids: Iterable[str]) -> Json:
        """At most 100 at once; who is there stays as they are."""
        return await self._message("POST", f"{_group(group_id)}/members", json={"user_ids": list(user_ids)})

    async def set_role(self, group_id: str, user_id: str, role: str) -> None:
        """`role` is owner, admin or member."""
        await self._message("PUT", f"{_group(group_id)}/members/{quote(user_id, safe='')}", json={"role": role})

    async def remove_member(self, group_id: str, user_id: str) -> None:
        """One's own id: leaves the group."""
        await self._message("DELETE", f"{_group(group_id)}/members/{quote(user_id, safe='')}")

    # Blocks

    async def blocks(self) -> list[str]:
        """The users from whom the caller takes no direct messages."""
        answer = await self._message("GET", "/blocks")
        user_ids: list[str] = answer["user_ids"]
        return user_ids

    async def block(self, user_id: str) -> None:
        await self._message("PUT", f"/blocks/{quote(user_id, safe='')}")

    async def unblock(self, user_id: str) -> None:
        await self._message("DELETE", f"/blocks/{quote(user_id, safe='')}")

    # One call

    async def _message(self, method: str, path: str, **more: Any) -> Json:
        return await self._call(method, f"{self._endpoints.message}{path}", **more)

    async def _call(self, method: str, url: str, *, once: bool = False, **more: Any) -> Json:
        """`once`: it is not repeated when there was no answer."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        for left in reversed(range(TRIES)):
            try:
                async with self._http.request(method, URL(url, encoded=True), headers=headers, **more) as response:
                    return await _answer(response)
            except (ClientError, TimeoutError, OSError) as error:
                problem = ApiError(0, "unreachable", f"{method} {url}: {error!r}")
                again = not once
            except ApiError as error:
                problem, again = error, error.status in _AGAIN
            if not again or not left:
                raise problem
            await asyncio.sleep(min(MAX_WAIT_SECONDS, problem.retry_after or 0.5))
        raise AssertionError("the last try returns or raises")


async def _answer(response: ClientResponse) -> Json:
    """Raises ApiError."""
    try:
        answer = await response.json(content_type=None) if response.status != 204 else {}
    except ValueError:
        answer = None
    if response.status < 300:
        return answer if isinstance(answer, dict) else {}
    error = answer.get("error", {}) if isinstance(answer, dict) else {}
    told = response.headers.get("Retry-After", "")
    words = error.get("message", f"status {response.status}")
    raise ApiError(response.status, error.get("code", "internal"), words, float(told) if told.isdecimal() else None)


def _signed_in(answer: Json) -> SignedIn:
    return SignedIn(answer["user"]["id"], answer["access_token"], answer["refresh_token"], answer["expires_in"])


def _given(**values: Any) -> Json:
    return {name: value for name, value in values.items() if value is not None}


def _unplaced(message: Json) -> Json:
    return {name: value for name, value in message.items() if name not in ("seq", "epoch")}


def _group(group_id: str) -> str:
    return f"/groups/{quote(group_id, safe='')}"
