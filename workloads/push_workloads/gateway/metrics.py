"""The gateway's numbers, read when Prometheus asks: the hot path only counts integers."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from push_workloads.gateway.gateway import Gateway
from push_workloads.gateway.handshake import Door


class GatewayCollector(Collector):
    def __init__(self, gateway: Gateway, door: Door) -> None:
        self._gateway = gateway
        self._door = door

    def collect(self) -> Iterable[Metric]:
        gateway = self._gateway
        yield GaugeMetricFamily("push_gateway_connections", "Open sockets", value=len(gateway.clients))
        yield GaugeMetricFamily("push_gateway_channels", "Channels present here", value=gateway.hub.channels)
        yield GaugeMetricFamily("push_gateway_publishes_in_flight", "Not yet answered", value=gateway.log.unanswered)
        ingress = gateway.ingress
        yield GaugeMetricFamily("push_gateway_pressure", "0 calm, 1 pressed, 2 overloaded", value=ingress.level)
        yield GaugeMetricFamily("push_gateway_unread", "Sockets that wait for their turn", value=ingress.held)
        yield CounterMetricFamily("push_gateway_paused", "Times a socket was left unread", value=ingress.times_held)
        yield CounterMetricFamily("push_gateway_accepted", "Sockets accepted", value=gateway.accepted)
        yield CounterMetricFamily("push_gateway_frames_in", "Messages from clients", value=gateway.frames_in)
        yield CounterMetricFamily("push_gateway_frames_out", "Messages to clients", value=gateway.frames_out)
        yield CounterMetricFamily("push_gateway_delivered", "Log messages passed on", value=gateway.hub.delivered)
        yield CounterMetricFamily("push_gateway_gaps", "Gaps filled from the log", value=gateway.hub.gaps)
        yield CounterMetricFamily("push_gateway_replayed", "Messages read for sockets", value=gateway.catchup.replayed)
        yield CounterMetricFamily("push_gateway_displaced", "Sockets closed with 4409", value=gateway.displaced)
        yield CounterMetricFamily("push_gateway_fell_behind", "Sockets closed with 4410", value=gateway.fell_behind)
        yield CounterMetricFamily("push_gateway_disconnects", "Clients that left", value=gateway.disconnects)
        asked = gateway.reconnects_asked
        yield CounterMetricFamily("push_gateway_reconnects_asked", "Clients told to come back elsewhere", value=asked)
        yield GaugeMetricFamily("push_gateway_draining", "1 while it takes no clients", value=int(gateway.draining))
        slow = len(gateway.slow)
        yield GaugeMetricFamily("push_gateway_slow", "Clients that read more slowly than they are sent", value=slow)
        waiting = gateway.outbound_bytes()
        yield GaugeMetricFamily("push_gateway_outbound_bytes", "What waits for slow clients", value=waiting)
        lag = ingress.worst_lag()
        yield GaugeMetricFamily("push_gateway_loop_lag_seconds", "The event loop's worst in 10 s", value=lag)
        yield CounterMetricFamily("push_gateway_receipts_dropped", "Never stored", value=gateway.receipts.dropped)
        pairs = gateway.watching.table.pairs
        yield GaugeMetricFamily("push_gateway_watched", "Pairs of a socket and a user it watches", value=pairs)
        shed = CounterMetricFamily("push_gateway_shed", "Not stored, and not sent to a slow client", labels=["type"])
        for kind, count in gateway.shed.items():
            shed.add_metric([kind], count)
        yield shed
        # From the start: a rate needs a first value to grow from.
        refused = CounterMetricFamily("push_gateway_refused", "Handshakes refused", labels=["status"])
        for status, count in ({503: 0} | self._door.refused).items():
            refused.add_metric([str(status)], count)
        yield refused
        lost = CounterMetricFamily("push_gateway_not_recovered", "Cursors of no use", labels=["reason"])
        for reason, count in gateway.catchup.refused.items():
            lost.add_metric([reason], count)
        yield lost
        yield from gateway.measures.families()
