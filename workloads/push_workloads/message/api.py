"""Messages over HTTP: sending them, and their history."""

from __future__ import annotations

from push_workloads.common.http import Route
from push_workloads.message.access import Access
from push_workloads.message.history_api import history_routes
from push_workloads.message.list_api import list_route
from push_workloads.message.receipts.api import receipt_routes
from push_workloads.message.receipts.desk import ReceiptDesk
from push_workloads.message.send_api import send_route
from push_workloads.message.sender import Sender
from push_workloads.message.store import HistoryStore


def routes(store: HistoryStore, access: Access, sender: Sender, desk: ReceiptDesk, max_bytes: int) -> list[Route]:
    return [
        send_route(sender, max_bytes),
        list_route(store, access),
        *history_routes(store, access),
        *receipt_routes(store, access, desk),
    ]
