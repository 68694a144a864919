"""Four dashboards of a PushCluster: how users fare, the gateways, the messages' way, the operator. Pure.

A test asks a real Prometheus, which has read a real run, every query of theirs.
"""

from __future__ import annotations

from push_operator.render.alerts import matchers
from push_operator.render.objectives import OBJECTIVES, WINDOWS
from push_operator.render.objects import Owner
from push_operator.render.panels import RATE, Json, Panel, Row, board

SHARES = (("0.5", "half"), ("0.95", "19 of 20"), ("0.99", "99 of 100"))


def dashboards(owner: Owner) -> dict[str, Json]:
    """By name."""
    own, told = matchers(owner)
    rows = {"overview": _overview(own, told), "gateways": _gateways(own), "messages": _messages(own),
            "operator": _operator(told)}  # fmt: skip
    place = f"{owner.namespace}/{owner.name}"
    return {name: board(place, name, one) for name, one in rows.items()}


def _rate(metric: str, matched: str, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{matched}}}[{RATE}]))"


def _quantiles(metric: str, matched: str) -> tuple[tuple[str, str], ...]:
    """How long it takes to be over for a share of all."""
    buckets = _rate(f"{metric}_bucket", matched, "le")
    return tuple((f"histogram_quantile({share}, {buckets})", legend) for share, legend in SHARES)


def _overview(own: str, told: str) -> list[Row]:
    return [
        Row("Now", (
            Panel("Clients", "short", ((f"sum(push_gateway_connections{{{own}}})", ""),), stat=True),
            Panel("Messages a second", "mps", ((_rate("push_gateway_ack_seconds_count", own), ""),), stat=True),
            Panel("Gateways that serve", "short", ((f'sum(push_ready{{{own},component="gateway"}})', ""),), stat=True),
            Panel("Ready", "bool", ((f'push_cluster_condition{{{told},type="Ready",status="True"}}', ""),), stat=True),
        )),
        Row("What users are promised", tuple(
            Panel(one.summary, "percentunit",
                  tuple((one.ratio(own, window), window) for window in WINDOWS if window in ("5m", "1h")),
                  meaning=f"Over 30 days at most {one.budget:.1%}")
            for one in OBJECTIVES
        )),
        Row("Requests", (
            Panel("Rate by service", "reqps", (
                (_rate("push_http_requests_total", own, "component"), "{{component}}"),)),
            Panel("Errors by service", "reqps", (
                (_rate("push_http_requests_total", f'{own},status="5xx"', "component"), "{{component}} own"),
                (_rate("push_http_requests_total", f'{own},status="4xx"', "component"), "{{component}} the client's"))),
            Panel("Duration, 19 of 20, by service", "s", (
                (f"histogram_quantile(0.95, {_rate('push_http_request_seconds_bucket', own, 'component, le')})",
                 "{{component}}"),)),
        )),
        Row("Processes", (
            Panel("Not ready", "short", (
                (f"sum by (component, check) (push_waiting{{{own}}})", "{{component}} {{check}}"),)),
            Panel("CPU", "none", ((_rate("process_cpu_seconds_total", own, "component"), "{{component}}"),)),
            Panel("Memory", "bytes", (
                (f"sum by (component) (process_resident_memory_bytes{{{own}}})", "{{component}}"),)),
        )),
    ]  # fmt: skip


def _gateways(own: str) -> list[Row]:
    gateway = f'{own},component="gateway"'
    return [
        Row("Clients", (
            Panel("Open sockets", "short", ((f"push_gateway_connections{{{own}}}", "{{pod}}"),)),
            Panel("Come and go", "cps", (
                (_rate("push_gateway_accepted_total", own), "accepted"),
                (_rate("push_gateway_disconnects_total", own), "gone"),
                (_rate("push_gateway_reconnects_asked_total", own), "asked to come back elsewhere"))),
            Panel("Refused, by status", "cps", ((_rate("push_gateway_refused_total", own, "status"), "{{status}}"),)),
            Panel("Draining", "short", ((f"push_gateway_draining{{{own}}}", "{{pod}}"),)),
        )),
        Row("Load", (
            Panel("Loop lag", "s", ((f"push_gateway_loop_lag_seconds{{{own}}}", "{{pod}}"),)),
            Panel("Pressure", "short", ((f"push_gateway_pressure{{{own}}}", "{{pod}}"),),
                  meaning="0 calm, 1 some sockets wait for their turn, 2 no new ones"),
            Panel("Sockets left unread", "short", ((f"push_gateway_unread{{{own}}}", "{{pod}}"),)),
            Panel("Waits for slow clients", "bytes", ((f"push_gateway_outbound_bytes{{{own}}}", "{{pod}}"),)),
        )),
        Row("Frames", (
            Panel("Frames", "mps", ((_rate("push_gateway_frames_in_total", own), "in"),
                                    (_rate("push_gateway_frames_out_total", own), "out"))),
            Panel("Errors, by code", "mps", ((_rate("push_gateway_errors_total", own, "code"), "{{code}}"),)),
            Panel("Closed by us", "cps", (
                (_rate("push_gateway_displaced_total", own), "the same device elsewhere"),
                (_rate("push_gateway_fell_behind_total", own), "read too slowly"))),
        )),
        Row("What one gateway costs", (
            Panel("CPU", "none", ((f"rate(process_cpu_seconds_total{{{gateway}}}[{RATE}])", "{{pod}}"),)),
            Panel("Memory", "bytes", ((f"process_resident_memory_bytes{{{gateway}}}", "{{pod}}"),)),
            Panel("Channels", "short", ((f"push_gateway_channels{{{own}}}", "{{pod}}"),)),
        )),
    ]  # fmt: skip


def _messages(own: str) -> list[Row]:
    return [
        Row("From a client to the log", (
            Panel("Acks a second", "mps", ((_rate("push_gateway_ack_seconds_count", own), "acks"),)),
            Panel("Time to the ack", "s", _quantiles("push_gateway_ack_seconds", own)),
            Panel("Not yet answered by the log", "short", ((f"push_gateway_publishes_in_flight{{{own}}}", "{{pod}}"),)),
        )),
        Row("From the log to sockets", (
            Panel("Deliveries a second", "mps", ((_rate("push_gateway_delivery_seconds_count", own), "deliveries"),)),
            Panel("Time to the socket", "s", _quantiles("push_gateway_delivery_seconds", own)),
            Panel("Caught up with", "mps", (
                (_rate("push_gateway_replayed_total", own), "read for those who return"),
                (_rate("push_gateway_gaps_total", own), "gaps filled"))),
        )),
        Row("From the log to history and pushes", (
            Panel("Handled", "mps", ((_rate("push_consumer_handled_total", own, "stream"), "{{stream}}"),)),
            Panel("Not handled yet", "short", (
                (f"max by (stream) (push_consumer_pending{{{own}}})", "{{stream}}"),)),
            Panel("Failed and come again", "mps", (
                (_rate("push_consumer_failed_total", own, "stream"), "{{stream}} failed"),
                (_rate("push_consumer_redelivered_total", own, "stream"), "{{stream}} came again"))),
            Panel("Time for a batch", "s", _quantiles("push_consumer_batch_seconds", own)),
        )),
        Row("Questions of the gateways", (
            Panel("Answered", "reqps", (
                (_rate("push_questions_total", own, "question, outcome"), "{{question}} {{outcome}}"),)),
            Panel("Time to the answer", "s", _quantiles("push_question_seconds", own)),
        )),
    ]  # fmt: skip


def _operator(told: str) -> list[Row]:
    return [
        Row("The gateways' number", (
            Panel("Gateways", "short", (
                (f"push_cluster_gateways{{{told}}}", "{{state}}"),
                (f"push_cluster_desired_gateways{{{told}}}", "desired"))),
            Panel("Clients", "short", ((f"push_cluster_connections{{{told}}}", "clients"),)),
            Panel("Drains", "short", ((f"push_cluster_drains{{{told}}}", "drains"),)),
            Panel("Rollout", "short", ((f"push_cluster_rollout{{{told}}}", "{{state}}"),)),
        )),
        Row("Conditions", (
            Panel("That hold", "short", ((f'push_cluster_condition{{{told},status="True"}}', "{{type}}"),)),
            Panel("Held for want of numbers", "short", ((f"push_cluster_autoscaler_held{{{told}}}", "held"),)),
        )),
        Row("Its work, for all PushClusters", (
            Panel("Leads", "short", (("push_operator_leading", "{{pod}}"),)),
            Panel("Reconciles", "ops", ((_rate("push_operator_reconciles_total", "", "result"), "{{result}}"),)),
            Panel("Time for one", "s", _quantiles("push_operator_reconcile_seconds", "")),
            Panel("The longest wait", "s", (("max(push_operator_queue_oldest_seconds)", "seconds"),)),
        )),
        Row("The API server", (
            Panel("Requests", "reqps", (
                (_rate("push_operator_api_requests_total", "", "verb, status"), "{{verb}} {{status}}"),)),
            Panel("Time to its answer", "s", _quantiles("push_operator_api_request_seconds", "")),
        )),
    ]  # fmt: skip
