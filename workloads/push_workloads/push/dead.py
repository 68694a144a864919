"""Dead letters: entries of the queue that can never be handled, with the reason. Kept for people to look at, to put
back, or to drop.

An entry that was on `push.jobs.ann` lies on `push.dead.push.jobs.ann` of the stream PUSH_DEAD, so where it goes back to
stands in its subject. It is put there before it leaves the queue: nothing is dropped without a word.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from nats.aio.client import Client
from nats.errors import Error as NatsError

from push_workloads.common import push_jobs
from push_workloads.common.bus import Bus
from push_workloads.common.errors import NotFound, Unavailable
from push_workloads.push.outbox import ANSWER_SECONDS

PREFIX: Final = "push.dead."
REASON, ATTEMPTS, SINCE = "Push-Reason", "Push-Attempts", "Push-Since"
MAX_REASON: Final = 200
MAX_PAGE: Final = 100
_API: Final = "$JS.API.STREAM.MSG."
_NO_MESSAGE: Final = 10037  # the server's code for a seq that is not there (any more), or none behind it


class Dead(NamedTuple):
    """`subject`: where it was. `attempts`: how often it was delivered or tried. `since`: when it came into the queue,
    Unix milliseconds."""

    seq: int
    subject: str
    reason: str
    attempts: int
    since: int
    size: int


class DeadLetters(Protocol):
    """Each may raise Unavailable."""

    async def put(self, subject: str, payload: bytes, reason: str, attempts: int, since: int, entry_id: str) -> None:
        """`entry_id`: the same one again, within two minutes, changes nothing."""

    async def page(self, after: int, limit: int) -> list[Dead]:
        """In the order in which they came, behind that seq."""

    async def retry(self, seq: int) -> None:
        """Puts it back into the queue. Raises NotFound."""

    async def drop(self, seq: int) -> None:
        """Raises NotFound."""


class JetStreamDeadLetters:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        client: Client = bus.client
        self._js = client.jetstream(timeout=ANSWER_SECONDS)

    async def put(self, subject: str, payload: bytes, reason: str, attempts: int, since: int, entry_id: str) -> None:
        headers = {
            "Nats-Msg-Id": entry_id, REASON: _one_line(reason), ATTEMPTS: str(attempts), SINCE: str(since),
        }  # fmt: skip
        await self._publish(PREFIX + subject, payload, headers)

    async def page(self, after: int, limit: int) -> list[Dead]:
        found: list[Dead] = []
        while len(found) < min(limit, MAX_PAGE):
            message = await self._get({"seq": after + 1, "next_by_subj": push_jobs.DEAD_SUBJECTS[0]})
            if message is None:
                break
            found.append(_dead(message))
            after = found[-1].seq
        return found

    async def retry(self, seq: int) -> None:
        message = await self._get({"seq": seq})
        if message is None:
            raise _no_such(seq)
        payload = base64.b64decode(message.get("data", ""))
        await self._publish(message["subject"].removeprefix(PREFIX), payload, {"Nats-Msg-Id": f"dead:{seq}"})
        await self.drop(seq)

    async def drop(self, seq: int) -> None:
        if not await self._asked("DELETE", {"seq": seq}):
            raise _no_such(seq)

    async def _get(self, body: dict[str, Any]) -> dict[str, Any] | None:
        answer = await self._asked("GET", body)
        message: dict[str, Any] | None = answer["message"] if answer else None
        return message

    async def _asked(self, verb: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """None when there is no such message."""
        answer = await self._bus.ask(f"{_API}{verb}.{push_jobs.DEAD_STREAM}", body)
        error = answer.get("error")
        if error is None:
            return answer
        if error.get("err_code") == _NO_MESSAGE or error.get("description", "").startswith("no message"):
            return None
        raise Unavailable(f"dead letters are not available now: {error.get('description')}", retry_after_ms=1000)

    async def _publish(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        try:
            await self._js.publish(subject, payload, headers=headers)
        except (NatsError, OSError, TimeoutError) as error:
            raise Unavailable("dead letters are not available now", retry_after_ms=1000) from error


class MemoryDeadLetters:
    """For tests."""

    def __init__(self) -> None:
        self.held: dict[int, tuple[Dead, bytes]] = {}
        self.put_back: list[tuple[str, bytes]] = []
        self._ids: set[str] = set()

    async def put(self, subject: str, payload: bytes, reason: str, attempts: int, since: int, entry_id: str) -> None:
        if entry_id not in self._ids:
            self._ids.add(entry_id)
            seq = len(self._ids)
            self.held[seq] = Dead(seq, subject, reason, attempts, since, len(payload)), payload

    async def page(self, after: int, limit: int) -> list[Dead]:
        return [dead for seq, (dead, _) in sorted(self.held.items()) if seq > after][: min(limit, MAX_PAGE)]

    async def retry(self, seq: int) -> None:
        dead, payload = self._taken(seq)
        self.put_back.append((dead.subject, payload))

    async def drop(self, seq: int) -> None:
        self._taken(seq)

    def _taken(self, seq: int) -> tuple[Dead, bytes]:
        if seq not in self.held:
            raise _no_such(seq)
        return self.held.pop(seq)


def _no_such(seq: int) -> NotFound:
    return NotFound(f"there is no dead letter {seq}: list them")


def _one_line(text: str) -> str:
    return " ".join(text.encode("ascii", "replace").decode().split())[:MAX_REASON]


def _dead(message: Mapping[str, Any]) -> Dead:
    headers = _headers(base64.b64decode(message.get("hdrs", "")))
    size = len(base64.b64decode(message.get("data", "")))
    subject = message["subject"].removeprefix(PREFIX)
    attempts, since = _number(headers.get(ATTEMPTS)), _number(headers.get(SINCE))
    return Dead(message["seq"], subject, headers.get(REASON, ""), attempts, since, size)


def _headers(block: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in block.decode("utf-8", "replace").split("\r\n")[1:])
    return {name: value.strip() for name, colon, value in lines if colon}


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
