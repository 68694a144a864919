"""Carries notifications to Apple."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from push_workloads.common.config import ConfigError
from push_workloads.push.apns.config import ApnsConfig
from push_workloads.push.apns.connection import Limits
from push_workloads.push.apns.outcome import Answered, NotProcessed, Outcome
from push_workloads.push.apns.payload import Request, request_of
from push_workloads.push.apns.pool import Pool, Unreachable, context_of
from push_workloads.push.apns.provider_token import ProviderToken
from push_workloads.push.apns.reasons import BAD_TOKEN, OK, WRONG_TOPIC, is_expired_token, meaning, taken
from push_workloads.push.carrier import Answer, Carrier, Later, Refused, Unknown
from push_workloads.push.devices import Device
from push_workloads.push.notification import Notification
from push_workloads.push.retry_after import retry_after

LIMITS: Final = Limits()
UNREACHABLE_AFTER_S: Final = 1.0


class ApnsCarrier:
    """`clock`: Unix seconds."""

    def __init__(self, config: ApnsConfig, pool: Pool, clock: Callable[[], float]) -> None:
        self._topic = config.topic
        self._pool = pool
        self._token = ProviderToken(config, clock)
        self._clock = clock
        # Until one was taken Apple's word may be about our environment or our topic.
        self._doubted = {BAD_TOKEN, WRONG_TOPIC}

    async def send(self, device: Device, notification: Notification) -> Answer:
        request = request_of(device.address, device.app, self._topic, notification)
        if isinstance(request, Refused):
            return request
        return self._answer(request, await self._post(request))

    async def _post(self, request: Request) -> Outcome | Unreachable:
        """Once more with a new provider token, if Apple finds ours too old."""
        header = self._token.get_header()
        outcome = await self._pool.post(request, header)
        expired = isinstance(outcome, Answered) and is_expired_token(outcome.status, outcome.body)
        if expired and self._token.renew(header):
            return await self._pool.post(request, self._token.get_header())
        return outcome

    def _answer(self, request: Request, outcome: Outcome | Unreachable) -> Answer:
        match outcome:
            case Answered(status=status) if status == OK:
                self._doubted.discard(BAD_TOKEN)
                if not request.own_topic:
                    self._doubted.discard(WRONG_TOPIC)
                return taken(outcome.apns_id)
            case Answered(status, body):
                return meaning(
                    status, body, retry_after(outcome.retry_after, self._clock()),
                    guessed_topic=request.guessed_topic, own_topic=request.own_topic, doubted=self._doubted,
                )  # fmt: skip
            case NotProcessed(reason=reason):
                return Later(reason)
            case Unreachable(reason, ours):
                return Later(reason, UNREACHABLE_AFTER_S, ours=ours)
        return Unknown(outcome.reason)


@asynccontextmanager
async def apns_carrier(
    config: ApnsConfig, clock: Callable[[], float] = time.time, limits: Limits = LIMITS
) -> AsyncIterator[Carrier]:
    """Connects when there is something to send. Raises ConfigError when APNS_CA cannot be used."""
    try:
        trusted = context_of(config.ca)
    except OSError as error:
        raise ConfigError([f"APNS_CA must be a PEM file of certificates that can be read: {error.strerror}"]) from error
    pool = Pool(config, trusted, limits)
    try:
        yield ApnsCarrier(config, pool, clock)
    finally:
        await pool.aclose()
