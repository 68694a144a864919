"""What users have received and read, on its way to the message service: coalesced, and kept until it is stored there.

A receipt of 500 messages is one report. One that is lost with this process costs a later report, no message.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from nats.aio.client import Client

from push_workloads.common import questions
from push_workloads.common.asking import request
from push_workloads.common.errors import Unavailable
from push_workloads.common.questions import MAX_REPORTS, Done, Report, Reports

FLUSH_SECONDS: Final = 0.2
PAUSE_SECONDS: Final = 1.0
MAX_WAITING: Final = 50_000
_log = logging.getLogger(__name__)
_Key = tuple[str, str, str, str | None]


class ReceiptWriter:
    """Only the newest report of a user, kind, channel and conversation waits."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._waiting: dict[_Key, Report] = {}
        self.dropped = 0

    def reported(self, report: Report) -> None:
        key = (report.kind, report.user_id, report.channel, report.conversation)
        held = self._waiting.get(key)
        if held is None or held.epoch != report.epoch or held.seq < report.seq:
            self._waiting[key] = report
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]
            self.dropped += 1

    async def run(self) -> None:
        failing = False
        while True:
            await asyncio.sleep(PAUSE_SECONDS if failing else FLUSH_SECONDS)
            failed = not await self.flush()
            if failed and not failing:
                _log.warning("receipts wait: the message service does not store them")
            failing = failed

    async def flush(self) -> bool:
        """Sends what waits; False when it must go on waiting."""
        while self._waiting:
            batch = dict(list(self._waiting.items())[:MAX_REPORTS])
            try:
                answer = await request(self._client, questions.RECEIPTS, Reports(list(batch.values())))
            except Unavailable:
                return False
            if not isinstance(answer, Done):
                return False
            for key, report in batch.items():
                if self._waiting.get(key) is report:
                    del self._waiting[key]
        return True
