"""A gateway's admin port, as its operator uses it."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import ClientSession

from tests.support.services import InProcess, OwnProcess
from tests.support.waiting import eventually

ADMIN_TOKEN: Final = "a token for tests, of at least 32 bytes"
Answer = dict[str, Any]


class Admin:
    """`epoch` goes with every order."""

    def __init__(self, http: ClientSession, gateway: InProcess | OwnProcess, epoch: int = 1) -> None:
        self._http = http
        self._url = gateway.admin_url
        self.epoch = epoch

    async def stats(self) -> Answer:
        status, answer = await self.get("/stats")
        assert status == 200
        return answer

    async def get(self, path: str) -> tuple[int, Answer]:
        async with self._http.get(self._url + path) as response:
            return response.status, await response.json()

    async def order(self, path: str, /, **fields: Any) -> Answer:
        """The answer to an order that is carried out."""
        status, answer = await self.post(path, **fields)
        assert status in (200, 202), answer
        return answer

    async def post(self, path: str, /, **fields: Any) -> tuple[int, Answer]:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        async with self._http.post(self._url + path, json={"epoch": self.epoch, **fields}, headers=headers) as response:
            return response.status, await response.json()

    async def reaches(self, **stats: Any) -> Answer:
        """The numbers, as soon as they are these."""

        async def told() -> Answer | None:
            answer = await self.stats()
            return answer if all(answer[name] == value for name, value in stats.items()) else None

        answer: Answer = await eventually(told)
        return answer

    async def left(self, count: int) -> Answer:
        """The numbers, as soon as a drain has left so many."""

        async def told() -> Answer | None:
            answer = await self.stats()
            return answer if answer["draining"]["left"] == count else None

        answer: Answer = await eventually(told)
        return answer
