"""`python -m push_workloads NAME`: one service, configured by its environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from push_workloads.common.service import run

EXIT_USAGE = 2
SERVICES = {
    "gateway": "WebSocket connections of clients; needs NATS and Redis",
    "auth": "accounts, passwords and access tokens; needs Redis and a store",
    "message": "message history; needs NATS and a store",
    "presence": "who is online; needs Redis",
    "push": "devices and push notifications; needs NATS and a store",
}
ENVIRONMENT = """\
Settings are environment variables; what is missing or wrong is told at the start, all of it at once.
  all         JWT_SECRET (at least 32 bytes), or AUTH_URL where the auth service has private keys; TRUSTED_ISSUERS
              PORT, ADMIN_PORT, LOG_LEVEL, ALLOWED_ORIGINS, STOP_SECONDS
  NATS        NATS_URL, NATS_USER, NATS_PASSWORD
  Redis       REDIS_URL, REDIS_USER, REDIS_PASSWORD
  data        SQLITE_PATH; or CASSANDRA_CONTACT_POINTS, CASSANDRA_KEYSPACE, CASSANDRA_LOCAL_DATACENTER,
              CASSANDRA_USER, CASSANDRA_PASSWORD, CASSANDRA_REPLICATION
  auth        MAIL_URL, MAIL_FROM, MAIL_RESET_URL, MAIL_USER, MAIL_PASSWORD; TRUSTED_PROXIES, ADMIN_TOKEN
              SIGNING_KEYS (private keys in PEM) with REFRESH_SECRET; REGISTRATIONS_PER_HOUR
              OAUTH_GOOGLE_CLIENT_ID, OAUTH_GOOGLE_CLIENT_SECRET, OAUTH_GOOGLE_REDIRECT_URL; OAUTH_GITHUB_…;
              OAUTH_PROVIDERS, OAUTH_RETURN_URLS
  gateway     DRAIN_SECONDS, DRAIN_RATE, ADMIN_TOKEN, MAX_CONNECTIONS
  traces      TRACING_ENDPOINT (off without), TRACING_RATIO (0.01): gateway, message
"""


def usage() -> str:
    width = max(map(len, SERVICES))
    services = "".join(f"  {name:<{width}}  {text}\n" for name, text in SERVICES.items())
    return f"usage: python -m push_workloads SERVICE\n\n{services}\n{ENVIRONMENT}"


def main(arguments: Sequence[str]) -> int:
    name = arguments[0] if len(arguments) == 1 else None
    if name not in SERVICES:
        wrong = f"there is no service {name!r}\n\n" if name and not name.startswith("-") else ""
        sys.stderr.write(wrong + usage())
        return EXIT_USAGE
    # Only the service asked for: the others' libraries would cost memory and start-up time.
    module = import_module(f"push_workloads.{name}.service")
    return run(name, module.parse, module.serve, os.environ)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
