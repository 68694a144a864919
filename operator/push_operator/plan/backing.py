"""NATS and Valkey, when the operator runs them: their configuration and the rights of each workload on the bus.

Nobody publishes to `dlv.>`: only the log does, by republishing what it stored. Only the message service manages
streams. Each has its own inbox prefix, so that no workload can read another's answers. A gateway reads channels by
name, and nothing of the logs themselves: who may subscribe `log.>` hears everybody.
"""

from __future__ import annotations

from push_operator.model import PushCluster
from push_operator.plan.cassandra import ADMIN_PASSWORD_KEY, PASSWORD_KEY, cassandra_workload
from push_operator.plan.names import component_name, credentials_name, password_key, revision
from push_operator.plan.workload import Port, SecretKey, Workload
from push_operator.quantities import mebibytes
from push_operator.stores import Managed

NATS_CLIENT, NATS_MONITOR, VALKEY_PORT = 4222, 8222, 6379
STOP_SECONDS = 10
SYNC_INTERVAL_SECONDS = 1  # what an acknowledged message may wait for the disk; power loss only, not a crash

# What a user has not read, and who is in a group, whoever wants to know: nobody else is told that.
_PUSH_ASKS = ("svc.message.unread", "svc.message.members")
_PUSH_CONSUMERS = ("push", "push-groups", "push-fcm", "push-apns", "push-webpush")
_RIGHTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # service: what it may publish, what it may subscribe besides its own inbox; "SUBJECT QUEUE" in that queue only
    "gateway": (("log.>", "eph.>", "presence.*", "svc.message.*", "$JS.API.STREAM.MSG.GET.*", "$JS.API.DIRECT.GET.*",
                 "$JS.API.STREAM.INFO.*", "ctl.gateway.*", "_INBOX_gateway.>"),
                ("*.u.*", "*.g.*", "*.t.*", "presence.*", "ctl.gateway.*", "ctl.blocks.*", "ctl.privacy.*",
                 "ctl.topics")),
    "message": (("log.>", "eph.>", "ctl.blocks.*", "ctl.privacy.*", "ctl.topics", "ctl.message.*",
                 "$JS.API.>", "$JS.ACK.>", "push.>"),
                ("svc.message.* message", "ctl.message.*")),
    "presence": (("presence.*", "svc.message.watch"), ()),
    "push": (("push.>", "svc.message.topic", *_PUSH_ASKS, "$JS.API.STREAM.PURGE.PUSH",
              "$JS.API.STREAM.MSG.GET.PUSH_DEAD", "$JS.API.STREAM.MSG.DELETE.PUSH_DEAD", *(
                  subject.format(consumer) for consumer in _PUSH_CONSUMERS for subject in (
                      "$JS.API.CONSUMER.INFO.PUSH.{}", "$JS.API.CONSUMER.CREATE.PUSH.{}.>",
                      "$JS.API.CONSUMER.MSG.NEXT.PUSH.{}", "$JS.ACK.PUSH.{}.>"))), ()),
}  # fmt: skip
# What it may not publish, although its rights say so.
_DENIED = {"gateway": _PUSH_ASKS}
# Once, to each question that it was asked, for so long: no right on the inboxes of those who ask.
_ANSWERS = {"message": '{max: 1, expires: "10s"}'}


def backing_workloads(cluster: PushCluster) -> tuple[Workload, ...]:
    """The servers that this cluster asked the operator to run."""
    made = []
    if isinstance(cluster.nats, Managed):
        made.append(_nats(cluster, cluster.nats))
    if isinstance(cluster.redis, Managed):
        made.append(_valkey(cluster, cluster.redis))
    if isinstance(cluster.store, Managed):
        made.append(cassandra_workload(cluster, cluster.store))
    return tuple(made)


def generated_keys(cluster: PushCluster) -> tuple[str, ...]:
    """The passwords that those servers need."""
    keys: list[str] = []
    if isinstance(cluster.nats, Managed):
        keys += [password_key("nats", service) for service in _RIGHTS]
    if isinstance(cluster.redis, Managed):
        keys.append("VALKEY_PASSWORD")
    if isinstance(cluster.store, Managed):
        keys += [PASSWORD_KEY, ADMIN_PASSWORD_KEY]
    return tuple(keys)


def _nats(cluster: PushCluster, managed: Managed) -> Workload:
    secret = credentials_name(cluster.name)
    config = nats_config(mebibytes(managed.storage))
    return Workload(
        component="nats",
        name=component_name(cluster.name, "nats"),
        revision=revision("nats", config),
        replicas=1,
        env={key: SecretKey(secret, key) for key in (password_key("nats", service) for service in _RIGHTS)},
        ports=(Port("client", NATS_CLIENT), Port("monitor", NATS_MONITOR)),
        stop_seconds=STOP_SECONDS,
        storage=managed.storage,
        retain=managed.retain,
        config=config,
    )


def nats_config(storage_mib: int) -> str:
    """The server's configuration file. Passwords are environment variables of the server, never in the file."""
    users = ",\n".join(_user(service) for service in _RIGHTS)
    return f"""\
max_payload: 1MB
write_deadline: "10s"
jetstream {{
  store_dir: $NATS_STORE
  max_file: {storage_mib * 1024 * 1024}
  sync_interval: "{SYNC_INTERVAL_SECONDS}s"
}}
accounts {{
  PUSH {{
    jetstream: enabled
    users: [
{users}
    ]
  }}
}}
"""


def _user(service: str) -> str:
    publish, subscribe = _RIGHTS[service]
    allowed, denied = _listed(publish), _listed(_DENIED.get(service, ()))
    listed = f"publish: {{allow: {allowed}, deny: {denied}}}, subscribe: {_listed((*subscribe, f'_INBOX_{service}.>'))}"
    if service in _ANSWERS:
        listed += f", allow_responses: {_ANSWERS[service]}"
    return f"      {{user: {service}, password: ${password_key('nats', service)}, permissions: {{{listed}}}}}"


def _listed(subjects: tuple[str, ...]) -> str:
    quoted = [f'"{subject}"' for subject in subjects]
    return f"[{', '.join(quoted)}]"


def _valkey(cluster: PushCluster, managed: Managed) -> Workload:
    return Workload(
        component="valkey",
        name=component_name(cluster.name, "valkey"),
        revision=revision("valkey", managed.storage),
        replicas=1,
        env={"VALKEY_PASSWORD": SecretKey(credentials_name(cluster.name), "VALKEY_PASSWORD")},
        ports=(Port("client", VALKEY_PORT),),
        stop_seconds=STOP_SECONDS,
        storage=managed.storage,
        retain=managed.retain,
    )
