"""The tables of routes of the services that speak HTTP, without anything behind them."""

from __future__ import annotations

from typing import Any, cast

import prometheus_client

from push_workloads.auth import api as auth
from push_workloads.auth.jwks import jwks_route
from push_workloads.message import api as message
from push_workloads.message.groups.api import group_routes
from push_workloads.message.groups.rights_api import block_routes, topic_routes
from push_workloads.message.groups.watchers import privacy_routes
from push_workloads.message.trace_api import trace_route
from push_workloads.presence import api as presence
from push_workloads.push import api as push
from push_workloads.push.broadcast.api import broadcast_routes
from push_workloads.push.broadcast.topics_api import topic_routes as push_topic_routes
from push_workloads.push.delivery_api import delivery_route
from push_workloads.push.preference_api import preference_routes
from push_workloads.push.requests_api import push_routes
from push_workloads.push.templates_api import template_routes
from push_workloads.push.webpush.api import key_routes

NOTHING = cast(Any, None)  # what a table of routes is made of is not touched until a route is called
TABLES = {
    "auth": [
        *auth.routes(NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, 60, prometheus_client.CollectorRegistry()),
        jwks_route(NOTHING),
    ],
    "message": [
        *message.routes(NOTHING, NOTHING, NOTHING, NOTHING, 65_536),
        *group_routes(NOTHING, NOTHING, NOTHING),
        *block_routes(NOTHING, NOTHING),
        *topic_routes(NOTHING, NOTHING, NOTHING),
        *privacy_routes(NOTHING, NOTHING),
        trace_route(NOTHING),
    ],
    "push": [
        *push.routes(NOTHING, lambda: 0),
        *preference_routes(NOTHING, lambda: 0),
        delivery_route(NOTHING),
        *key_routes(None),
        *template_routes(NOTHING),
        *push_topic_routes(NOTHING, NOTHING),
        *push_routes(NOTHING),
        *broadcast_routes(NOTHING),
    ],
    "presence": presence.routes(NOTHING, NOTHING, NOTHING),
}
