"""A client of a PushCluster: stays connected, loses nothing, delivers each message once. See docs/clients.md."""

from push_client.client import Client
from push_client.errors import (
    ApiError,
    Displaced,
    Ended,
    Misused,
    PushClientError,
    Refused,
    Stopped,
    Unauthorized,
    Unconfirmed,
)
from push_client.events import (
    Connected,
    Cursor,
    Disconnected,
    Event,
    Gap,
    Limits,
    Membership,
    Message,
    Receipt,
    Saved,
    Sent,
    Subscribed,
    Target,
    Typing,
)
from push_client.fold import Shown, fold
from push_client.http import Api, Endpoints, Page, SignedIn
from push_client.state import FileState, MemoryState, State

__all__ = [
    "Api",
    "ApiError",
    "Client",
    "Connected",
    "Cursor",
    "Disconnected",
    "Displaced",
    "Ended",
    "Endpoints",
    "Event",
    "FileState",
    "Gap",
    "Limits",
    "Membership",
    "MemoryState",
    "Message",
    "Misused",
    "Page",
    "PushClientError",
    "Receipt",
    "Refused",
    "Saved",
    "Sent",
    "Shown",
    "SignedIn",
    "State",
    "Stopped",
    "Subscribed",
    "Target",
    "Typing",
    "Unauthorized",
    "Unconfirmed",
    "fold",
]
