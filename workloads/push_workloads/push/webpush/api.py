"""The key that a page needs before it can subscribe."""

from __future__ import annotations

from msgspec import Struct

from push_workloads.common.errors import NotFound
from push_workloads.common.http import Call, Route


class WebPushKey(Struct):
    """For `pushManager.subscribe({userVisibleOnly: true, applicationServerKey: key})`."""

    key: str


def key_routes(public_key: str | None) -> list[Route]:
    """`public_key` None: there is no Web Push here."""

    async def key(_: Call) -> WebPushKey:
        if public_key is None:
            raise NotFound("there is no Web Push here: it has no VAPID key")
        return WebPushKey(public_key)

    summary = "The key with which a page subscribes to Web Push; no token is needed"
    return [Route("GET", "/devices/webpush/key", key, summary, WebPushKey, auth=False, errors=(404,))]
