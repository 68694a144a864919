"""Who may come in: answered in one step from memory (picows' factory is synchronous), refused as HTTP with JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from picows import WSListener, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener

from push_workloads.common.errors import (
    BadRequest,
    Forbidden,
    NotFound,
    PushError,
    Unavailable,
)
from push_workloads.common.presence_keys import AWAY
from push_workloads.common.revocations import Verifier
from push_workloads.common.tokens import Identity, bearer
from push_workloads.gateway.actions import Who

PATH: Final = "/ws"
SUBPROTOCOL: Final = "push.v1"
RETRY_AFTER_MS: Final = 2000
ONLINE: Final = "online"
_DEVICE = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
NewWho = Callable[[Identity, str | None, bool, bool, bool], Who]
"""identity, device id or None, whether the device resumes, whether it places itself, whether its user is away"""


class Door:
    """Admits or refuses upgrade requests. `full` says why nobody can come in now, None when they can."""

    def __init__(
        self, tokens: Verifier, origins: tuple[str, ...], full: Callable[[], str | None], new_who: NewWho
    ) -> None:
        self._tokens = tokens
        self._origins = frozenset(origins)
        self._full = full
        self._new_who = new_who
        self.refused: dict[int, int] = {}  # by HTTP status

    def admit(self, request: WSUpgradeRequest, make: Callable[[Who], WSListener]) -> WSUpgradeResponseWithListener:
        """The answer to one request. Never raises: picows would send the exception's text to the client."""
        try:
            who = self._who(request)
        except PushError as error:
            self.count(error)
            return WSUpgradeResponseWithListener(_refusal(error), None)
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        chosen = {"Sec-WebSocket-Protocol": SUBPROTOCOL} if SUBPROTOCOL in _list(offered) else None
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(chosen), make(who))

    def count(self, refusal: PushError) -> None:
        """Notes that somebody was refused."""
        self.refused[refusal.status] = self.refused.get(refusal.status, 0) + 1

    def _who(self, request: WSUpgradeRequest) -> Who:
        path, _, query = request.path.decode("latin-1").partition("?")
        if path != PATH:
            raise NotFound(f"sockets are at {PATH}")
        _check_upgrade(request.headers)
        return self.who(query, request.headers)

    def who(self, query: str, headers: Any) -> Who:
        """Whose session this will be. Raises PushError when nobody's."""
        origin = headers.get("Origin")
        if origin is not None and self._origins and origin not in self._origins:
            raise Forbidden("this origin may not connect")
        asked = _query(query)
        identity = self._identity(asked.get("token"), headers.get("Authorization"))
        device = asked.get("device_id")
        if device is not None and not _DEVICE.fullmatch(device):
            raise BadRequest("device_id is 1 to 64 of A-Z a-z 0-9 _ -")
        resume = asked.get("resume")
        if resume not in (None, "client"):
            raise BadRequest("resume is `client`, or not given")
        status = asked.get("status", ONLINE)
        if status not in (ONLINE, AWAY):
            raise BadRequest("status is `online`, `away`, or not given")
        reason = self._full()
        if reason:
            raise Unavailable(reason, retry_after_ms=RETRY_AFTER_MS)
        places_itself = resume is not None
        resumes = device is not None and not places_itself
        return self._new_who(identity, device, resumes, places_itself, status == AWAY)

    def _identity(self, in_query: str | None, header: str | None) -> Identity:
        return self._tokens.verify(in_query if in_query is not None else bearer(header))


def _check_upgrade(headers: Any) -> None:
    """The parts of an upgrade request (RFC 6455 §4.2.1) that deserve an answer in words."""
    if "websocket" not in _list(headers.get("Upgrade", "").lower()):
        raise BadRequest("this is a WebSocket endpoint: send an upgrade request")
    if headers.get("Sec-WebSocket-Version") != "13":
        raise BadRequest("Sec-WebSocket-Version must be 13")


def _query(text: str) -> dict[str, str]:
    try:
        parsed = parse_qs(text, keep_blank_values=True, max_num_fields=16, errors="strict")
    except ValueError as error:
        raise BadRequest("the query string cannot be read") from error
    return {name: values[0] for name, values in parsed.items()}


def _list(header: str) -> list[str]:
    return [part.strip() for part in header.split(",")]


def _refusal(error: PushError) -> WSUpgradeResponse:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if error.status in (429, 503):
        headers["Retry-After"] = str(RETRY_AFTER_MS // 1000)
    body = msgspec.json.encode({"error": {"code": error.code, "message": error.message}})
    made: WSUpgradeResponse = WSUpgradeResponse.create_error_response(error.status, body, headers)
    return made
