"""What is not stored is the first to go when a client reads too slowly: typing, receipts, presence."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar, cast

from tests.unit.gateway.test_session import opened

from push_workloads.gateway.actions import Limits, Who
from push_workloads.gateway.frames import typing_frame
from push_workloads.gateway.gateway import Gateway
from push_workloads.gateway.peer import Peer
from push_workloads.gateway.recovery import Told


class Paper:
    """A wire that takes everything."""

    kind: ClassVar[str] = "ws"

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def send(self, frame: bytes) -> None:
        self.written.append(frame)


async def test_a_slow_client_is_spared_what_is_not_stored() -> None:
    again: list[Any] = []
    shared = SimpleNamespace(
        config=SimpleNamespace(limits=Limits()), slow=set(), shed={}, frames_out=0,
        watching=SimpleNamespace(reads_again=again.append),
    )  # fmt: skip
    peer, wire = Peer(cast(Gateway, shared), Who("ann", "d1", "s1", 1e9)), Paper()
    peer.state, peer._wire = opened(), cast(Any, wire)
    typing = Told(typing_frame("bob", None, "start"), "typing", "bob")
    peer.pause()
    peer.told("user:ann", typing)
    assert not peer.presence(b"{}")
    assert (wire.written, shared.shed) == ([], {"typing": 1, "presence": 1})
    peer.resume()
    assert again == [peer]  # what it was spared of presence comes now; typing is over by then
    peer.told("user:ann", typing)
    assert peer.presence(b"{}")
    assert wire.written == [typing.frame, b"{}"]
