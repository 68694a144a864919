"""FCM as far as a sender sees it: Google's token endpoint, and `messages:send`, which takes nothing but what Google's
own description of the API allows (in the package `google-api-python-client`)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import googleapiclient
import jsonschema_rs
import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.services import listening

PROJECT: Final = "a-project-of-tests"
SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
AUDIENCE: Final = "https://oauth2.googleapis.com/token"  # wherever it is asked: google-auth knows no other
QUOTA_FAILURE: Final = "type.googleapis.com/google.rpc.QuotaFailure"
FCM_ERROR: Final = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_FORMATS: Final = {"google-duration": r"^[0-9]+(\.[0-9]{1,9})?s$"}
Answer = tuple[int, Any, dict[str, str]]


def failure(status: int, word: str, code: str | None = None, **headers: str) -> Answer:
    """An error as Google writes it; `code`: FCM's own, in the details."""
    details = [{"@type": FCM_ERROR, "errorCode": code}] if code else []
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"error": {"code": status, "message": "as told", "status": word, "details": details}}, headers


def over_quota(*violations: Any, **headers: str) -> Answer:
    """As Google says which quotas were exceeded."""
    status, body, told = failure(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", **headers)
    body["error"]["details"].append({"@type": QUOTA_FAILURE, "violations": [*violations]})
    return status, body, told


@cache
def request_schema() -> Any:
    """Whether a request is one, by Google's description turned into JSON Schema."""
    path = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents" / "fcm.v1.json"
    described = json.loads(path.read_bytes())["schemas"]
    definitions = {name: _schema(one) for name, one in described.items()}
    return jsonschema_rs.validator_for({"$ref": "#/$defs/SendMessageRequest", "$defs": definitions})


def _schema(described: dict[str, Any]) -> dict[str, Any]:
    """Nothing that is not described is allowed. A name may be written in either way (proto3's JSON mapping)."""
    if "$ref" in described:
        return {"$ref": f"#/$defs/{described['$ref']}"}
    made: dict[str, Any] = {name: described[name] for name in ("type", "enum") if name in described}
    if made.get("type") == "any":
        return {}
    if described.get("format") in _FORMATS:
        made["pattern"] = _FORMATS[described["format"]]
    if "items" in described:
        made["items"] = _schema(described["items"])
    if made.get("type") == "object":
        fields = {name: _schema(one) for name, one in described.get("properties", {}).items()}
        made["properties"] = fields | {_snake(name): one for name, one in fields.items()}
        made["additionalProperties"] = _schema(described.get("additionalProperties", {"type": "any"}))
        if "additionalProperties" not in described:
            made["additionalProperties"] = False
    return made


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda capital: f"_{capital[0].lower()}", name)


class FcmPeer:
    """`messages`: what was taken, by the order it came. `answer`: what a send is answered. `grants`: how often a token
    was asked for; `life`: of a token, in seconds; `grant_status`: what the token endpoint answers."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._key = rsa.generate_private_key(65537, 2048)
        self.messages: list[dict[str, Any]] = []
        self.sends = 0
        self.faults: list[str] = []
        self.grants = 0
        self.grant_status = 200
        self.life = 3600
        self.good: set[str] = set()
        self.answer: Callable[[dict[str, Any]], Awaitable[Answer | None]] = _take

    @property
    def account(self) -> dict[str, str]:
        """The JSON key of a service account, as the console gives it."""
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "1",
            "private_key": pem,
            "client_email": f"push@{PROJECT}.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": f"{self.url}/token",
        }

    @property
    def environ(self) -> dict[str, str]:
        return {"FCM_SERVICE_ACCOUNT": json.dumps(self.account), "FCM_URL": self.url}

    async def grant(self, request: web.Request) -> web.Response:
        """RFC 7523 §2.1."""
        self.grants += 1
        form = parse_qs((await request.read()).decode())
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        claims = jwt.decode(form["assertion"][0], self._key.public_key(), algorithms=["RS256"], audience=AUDIENCE)
        assert (claims["iss"], claims["scope"]) == (self.account["client_email"], SCOPE)
        assert 0 < claims["exp"] - time.time() <= 3600
        if self.grant_status != 200:
            return web.json_response({"error": "invalid_grant"}, status=self.grant_status)
        token = f"token-{self.grants}"
        self.good.add(token)
        return web.json_response({"access_token": token, "expires_in": self.life, "token_type": "Bearer"})

    async def send(self, request: web.Request) -> web.Response:
        self.sends += 1
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.good:
            return _response(failure(401, "UNAUTHENTICATED"))
        asked = json.loads(await request.read())
        self.faults += [f"{one.instance_path}: {one.message}" for one in request_schema().iter_errors(asked)]
        if self.faults:
            return _response(failure(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"))
        answer = await self.answer(asked["message"])
        if answer is not None:
            return _response(answer)
        self.messages.append(asked["message"])
        return web.json_response({"name": f"projects/{PROJECT}/messages/0:{len(self.messages)}"})


async def _take(_: dict[str, Any]) -> Answer | None:
    return None


def _response(answer: Answer) -> web.Response:
    status, body, headers = answer
    return web.json_response(body, status=status, headers=headers)


@asynccontextmanager
async def fcm_peer() -> AsyncIterator[FcmPeer]:
    own = listening()
    peer = FcmPeer(own.getsockname()[1])
    app = web.Application()
    app.router.add_post("/token", peer.grant)
    app.router.add_post(f"/v1/projects/{PROJECT}/messages:send", peer.send)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, own).start()
    try:
        yield peer
    finally:
        await runner.cleanup()
