"""The arguments of `push`, and the help that teaches them."""

from __future__ import annotations

import argparse
from typing import Any, Final

from push_operator import __version__
from push_operator.cli.broadcasts import ACTIONS as BROADCAST_ACTIONS
from push_operator.cli.broadcasts import PLATFORMS, SEND, WATCHED
from push_operator.cli.choice import KUBE, LOCAL
from push_operator.cli.credentials import CREATE, LIST, REVOKE, SCOPES
from push_operator.cli.dlq import DROP, RETRY
from push_operator.cli.dlq import LIST as LETTERS
from push_operator.cli.output import FORMATS
from push_operator.migrate.kinds import KINDS
from push_operator.migrate.swarm import DEFAULT_NAME
from push_operator.model import SERVICES
from push_operator.plan.steering import ACTIONS

PUSH, PLUGIN = "push", "kubectl push"
ROTATE: Final = "rotate"  # of the keys
STATUS: Final = "status"  # of a rollout; the other words for one are ACTIONS
LOGGED: Final = (*SERVICES, "nats", "valkey", "cassandra")
_HERE: Final = """\
on this machine:
  push up examples/quickstart.yaml      run it here, in the foreground; Ctrl-C stops everything
  push get                              in another terminal: what runs, and where
  push get -o wide                      each process: its pid, uptime and admin address
  push scale gateway 3                  run three gateways
  push rollout status                   the gateways by revision; resume or undo a rollout
  push apply examples/quickstart.yaml   change what runs to what the file says now
  push logs message -f                  follow the log of one component
  push credentials create shop --scope publish   what your own server shows to send messages
  push keys rotate                      a new key for access tokens; list
  push dlq list                         pushes that were given up, and why; retry or drop them
  push broadcast send --all --title News   a notification for all devices; status, stop, list
  push trace MESSAGE_ID                 where a message has been, and what became of it at each device
  push down                             stop it from here

`push up` keeps its data, passwords and logs in a state folder, ./.push unless --state or $PUSH_STATE says otherwise;
the other commands find the platform by that folder. Started again, it finds its data. To begin anew, delete the folder.

"""
_CLUSTER: Final = """\
on Kubernetes, where the operator runs (docs/operator.md):
  {push} apply chat.yaml -n chat          the very same manifest
  {push} get -n chat                      what runs; several PushClusters are a line each
  {push} get chat -n chat -o wide         each pod: its node, address and age
  {push} scale gateway 3 -n chat          run three gateways; --name where there are several PushClusters
  {push} rollout undo -n chat             back to the gateways that were there before; status, resume
  {push} logs message -f -n chat          follow the log of one component, over all its pods
  {push} keys rotate -n chat              a new key for access tokens; list
  {push} broadcast status ID --watch -n chat   how far a broadcast has come; send, stop, list
  {push} trace MESSAGE_ID -n chat         where a message has been, and what became of it at each device
"""
_SWARM: Final = """
from Docker Swarm (docs/migration.md):
  {push} migrate swarm docker-stack.yml > chat.yaml   the manifest that equals an old stack, with a report
"""
_WHERE: Final = """
A command is for the platform that runs here; when none does, for the current context of kubectl. --target says it
outright; so does each of --state, --context, --namespace and --kubeconfig. `kubectl push` is always for Kubernetes.
"""
_MIGRATE_SWARM: Final = """\
Writes the PushCluster that equals a Docker Swarm stack: how many of each service, their resources, servers that stay
where they are, the host of a Traefik label, how long tokens live. Standard error tells what was taken over, what was
not and why, and what is yours to do. Nothing is changed anywhere, and no secret is written: where one is needed, the
report has the command that carries it from the old place into a Kubernetes Secret.

  {push} migrate swarm docker-stack.yml > chat.yaml
  {push} migrate swarm docker-stack.yml docker-stack.prod.yml -n chat -o chat.yaml   as `docker stack deploy -c … -c …`
  {push} migrate swarm docker-stack.yml --service gateway=edge   the gateway is called edge in the stack

Variables such as ${{TAG:-latest}} are filled in from the environment, as `docker stack deploy` does: run it in the
shell that the stack was deployed from, or load what that had: `set -a; . ./.env; set +a`.
"""


def parser(program: str) -> argparse.ArgumentParser:
    """`program` is PUSH, or PLUGIN, which is for Kubernetes unless told otherwise."""
    plugin = program == PLUGIN
    about = "from one manifest." if plugin else "from one manifest, on this machine or on Kubernetes."
    cluster, swarm = _CLUSTER.format(push=program), _SWARM.format(push=program)
    made = argparse.ArgumentParser(
        prog=program, formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"Runs a PushCluster - chat, notifications and presence - {about}\n\n"
        + (cluster + swarm if plugin else _HERE + cluster + swarm + _WHERE),
    )  # fmt: skip
    made.add_argument("--version", action="version", version=__version__)
    made.set_defaults(otherwise=KUBE if plugin else None)
    commands = made.add_subparsers(
        title="commands", metavar="COMMAND", required=True, dest="command", parser_class=_Command
    )
    here, anywhere = _here(), _anywhere(plugin)
    _up(commands, here)
    commands.add_parser("down", parents=[here], help="stop the platform that runs here")
    _get(commands, anywhere)
    _apply(commands, anywhere)
    _scale(commands, anywhere)
    _rollout(commands, anywhere)
    _logs(commands, anywhere)
    _credentials(commands, anywhere)
    _keys(commands, anywhere)
    _dlq(commands, anywhere)
    _broadcast(commands, anywhere)
    _trace(commands, anywhere)
    _migrate(commands, program)
    return made


class _Command(argparse.ArgumentParser):
    """Whole names only: `--name` would be taken for `--namespace` where there is no `--name`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)


def _here() -> _Command:
    made = _Command(add_help=False)
    made.add_argument("--state", metavar="DIR", help="the platform's folder (default: $PUSH_STATE, else ./.push)")
    return made


def _anywhere(plugin: bool) -> _Command:
    made = _Command(add_help=False, parents=[_here()])
    default = KUBE if plugin else f"{LOCAL} when a platform runs here, else {KUBE}"
    made.add_argument("--target", choices=(LOCAL, KUBE), help=f"where it is (default: {default})")
    kube = made.add_argument_group("on Kubernetes, as kubectl has them")
    kube.add_argument("--context", metavar="NAME", help="the context of the kubeconfig (default: the current one)")
    kube.add_argument("-n", "--namespace", metavar="NAME", help="the namespace (default: that of the context)")
    kube.add_argument("--kubeconfig", metavar="FILE", help="the kubeconfig (default: $KUBECONFIG, else ~/.kube/config)")
    return made


def _up(commands: Any, here: _Command) -> None:
    up = commands.add_parser("up", parents=[here], help="run a manifest here, in the foreground")
    up.add_argument("file", metavar="FILE", help="a PushCluster, with any Secrets it names")
    up.add_argument("--host", default="127.0.0.1", help="address that the services listen on (default: %(default)s)")
    up.add_argument("--port-offset", type=_offset, default=0, metavar="N", help="added to each port (default: 0)")
    up.add_argument("--timeout", type=_seconds, default=120.0, metavar="SECONDS",
                    help="when to say what keeps it from being ready (default: 120)")  # fmt: skip


def _get(commands: Any, anywhere: _Command) -> None:
    get = commands.add_parser("get", parents=[anywhere], help="show what runs, and where")
    get.add_argument("name", metavar="NAME", nargs="?", help="one PushCluster (default: all of the namespace)")
    get.add_argument("-o", "--output", choices=FORMATS, default="table", help="default: %(default)s")


def _apply(commands: Any, anywhere: _Command) -> None:
    apply = commands.add_parser("apply", parents=[anywhere], help="change what runs to a manifest")
    apply.add_argument("file", metavar="FILE", help="a PushCluster, with any Secrets it names")


def _scale(commands: Any, anywhere: _Command) -> None:
    scale = commands.add_parser("scale", parents=[anywhere], help="run another number of one component")
    scale.add_argument("component", choices=SERVICES, metavar="COMPONENT", help=", ".join(SERVICES))
    scale.add_argument("replicas", type=int, metavar="N")
    _add_name(scale)


def _rollout(commands: Any, anywhere: _Command) -> None:
    rollout = commands.add_parser(
        "rollout", parents=[anywhere], help="see how gateways are replaced, resume or undo it"
    )
    rollout.add_argument("action", choices=(STATUS, *ACTIONS), metavar="ACTION", help=", ".join((STATUS, *ACTIONS)))
    rollout.add_argument("name", metavar="NAME", nargs="?", help="one PushCluster, where there are several")


def _logs(commands: Any, anywhere: _Command) -> None:
    logs = commands.add_parser("logs", parents=[anywhere], help="print the log of one component")
    logs.add_argument("component", choices=LOGGED, metavar="COMPONENT", help=", ".join(LOGGED))
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now on")
    logs.add_argument("--tail", type=_count, default=100, metavar="N", help="lines to begin with (default: 100)")
    logs.add_argument("--raw", action="store_true", help="the lines as they were written (JSON)")
    _add_name(logs)


def _credentials(commands: Any, anywhere: _Command) -> None:
    made = commands.add_parser("credentials", help="what your own servers show: make one, list them, revoke one")
    actions = made.add_subparsers(metavar="ACTION", required=True, dest="action", parser_class=_Command)
    create = actions.add_parser(CREATE, parents=[anywhere], help="make one; it is shown this once")
    create.add_argument("title", metavar="TITLE", help="what it is for, as the list will show it")
    create.add_argument("--scope", action="append", required=True, choices=SCOPES, metavar="SCOPE",
                        help=f"what it may do, once for each: {', '.join(SCOPES)}")  # fmt: skip
    revoke = actions.add_parser(REVOKE, parents=[anywhere], help="make one useless, within a second")
    revoke.add_argument("id", metavar="ID", help="as the list has it")
    listing = actions.add_parser(LIST, parents=[anywhere], help="which there are")
    for one in (create, revoke, listing):
        one.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: %(default)s")
        _add_name(one)


def _keys(commands: Any, anywhere: _Command) -> None:
    keys = commands.add_parser("keys", parents=[anywhere], help="see the keys that sign access tokens, or rotate them")
    keys.add_argument("action", choices=("list", ROTATE), metavar="ACTION", help=f"list, {ROTATE}")
    keys.add_argument("--now", action="store_true",
                      help=f"{ROTATE}: the new key signs at once, and every token of the others is void")  # fmt: skip
    _add_name(keys)


def _dlq(commands: Any, anywhere: _Command) -> None:
    made = commands.add_parser("dlq", help="entries of the push queue that were given up: list, retry or drop them")
    actions = made.add_subparsers(metavar="ACTION", required=True, dest="action", parser_class=_Command)
    listing = actions.add_parser(LETTERS, parents=[anywhere], help="which there are, the oldest first, and why")
    listing.add_argument("--limit", type=_count, default=1000, metavar="N", help="at most (default: 1000)")
    listing.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: %(default)s")
    retry = actions.add_parser(RETRY, parents=[anywhere], help="put them back into the queue")
    drop = actions.add_parser(DROP, parents=[anywhere], help="forget them")
    for one in (retry, drop):
        which = one.add_mutually_exclusive_group(required=True)
        which.add_argument("seq", metavar="SEQ", nargs="*", type=_seq, default=[], help="as the list has it")
        which.add_argument("--all", action="store_true", help="all that there are")
    for one in (listing, retry, drop):
        _add_name(one)


def _broadcast(commands: Any, anywhere: _Command) -> None:
    made = commands.add_parser("broadcast", help="one notification for many devices: send, follow, stop, list")
    actions = made.add_subparsers(metavar="ACTION", required=True, dest="action", parser_class=_Command)
    for action, told in BROADCAST_ACTIONS.items():
        one = actions.add_parser(action, parents=[anywhere], help=told)
        if action == SEND:
            _broadcast_send(one)
        elif action != "list":
            one.add_argument("id", metavar="ID", help="as `send` and `list` show it")
        if action in WATCHED:
            one.add_argument("-w", "--watch", action="store_true", help="go on showing it until it is over")
        one.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: %(default)s")
        _add_name(one)


def _broadcast_send(send: argparse.ArgumentParser) -> None:
    to = send.add_argument_group("to whom: --all, --topic, or what must hold of a device")
    to.add_argument("--all", action="store_true", help="all devices")
    to.add_argument("--topic", metavar="NAME", help="those who follow it")
    to.add_argument("--platform", action="append", choices=PLATFORMS, help="once for each")
    to.add_argument("--app", metavar="ID", help="its bundle id or package")
    to.add_argument("--app-version", metavar="RANGE", help="4.2.1, or a range such as '>=4.2,<5'")
    to.add_argument("--locale", action="append", metavar="TAG", help="de has de-CH too; once for each")
    what = send.add_argument_group("what")
    what.add_argument("--title", metavar="TEXT")
    what.add_argument("--body", metavar="TEXT")
    what.add_argument("--template", metavar="TEMPLATE", help="in place of a title and body; filled in with --data")
    what.add_argument("--data", metavar="JSON", help="an object, for the template and for the app")
    what.add_argument("--silent", action="store_true", help="show nothing; hand --data to the app")
    what.add_argument("--collapse-key", metavar="KEY", help="a later one with it takes the place of this one")
    how = send.add_argument_group("when")
    how.add_argument("--at", metavar="TIME", help="as 2030-01-31T08:00+01:00 (default: now)")
    how.add_argument("--ttl", type=_count, metavar="SECONDS", help="for how long it is worth telling (default: a day)")
    how.add_argument("--rate", type=_rate, metavar="N", help="devices a second (default: 500)")
    how.add_argument("--dedup-id", metavar="ID",
                     help="16 to 128 characters; the same command again with the same one is not sent twice "
                     "(default: a new one, which the error names when no answer comes)")  # fmt: skip


def _rate(text: str) -> int:
    return _number(text, 1, 10_000)


def _trace(commands: Any, anywhere: _Command) -> None:
    trace = commands.add_parser(
        "trace", parents=[anywhere], help="show a message's whole way, from the log to each device"
    )
    trace.add_argument("id", metavar="MESSAGE_ID", help="as its ack, or the message itself, has it")
    trace.add_argument("--limit", type=_some, default=100, metavar="N", help="recipients to show (default: 100)")
    trace.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: %(default)s")
    _add_name(trace)


def _migrate(commands: Any, program: str) -> None:
    migrate = commands.add_parser("migrate", help="write the manifest that equals another deployment")
    sources = migrate.add_subparsers(metavar="SOURCE", required=True, dest="source", parser_class=_Command)
    swarm = sources.add_parser(
        "swarm", formatter_class=argparse.RawDescriptionHelpFormatter, help="a Docker Swarm stack",
        description=_MIGRATE_SWARM.format(push=program),
    )  # fmt: skip
    swarm.add_argument("file", metavar="FILE", nargs="+", help="stack files; each is laid over those before it")
    swarm.add_argument("--name", default=DEFAULT_NAME, help="of the PushCluster (default: %(default)s)")
    swarm.add_argument("-n", "--namespace", metavar="NAME", help="written into the manifest and into the commands")
    swarm.add_argument("--service", metavar="KIND=NAME", type=_pair, action="append", default=[],
                       help=f"what a service is, where its name does not say so: {', '.join(KINDS)}")  # fmt: skip
    swarm.add_argument("-o", "--output", metavar="NEW", help="a new file for the manifest (default: standard output)")


def _pair(text: str) -> tuple[str, str]:
    kind, equals, name = text.partition("=")
    if kind not in KINDS or not equals or not name:
        raise argparse.ArgumentTypeError(f"must be KIND=NAME, with one of {', '.join(KINDS)} as KIND")
    return kind, name


def _add_name(command: argparse.ArgumentParser) -> None:
    command.add_argument("--name", help="which PushCluster, where there are several")


def _offset(text: str) -> int:
    return _number(text, 0, 57_000)


def _count(text: str) -> int:
    return _number(text, 0, 1_000_000)


def _seq(text: str) -> int:
    return _number(text, 1, 2**63 - 1)


def _some(text: str) -> int:
    return _number(text, 1, 100_000)


def _number(text: str, low: int, high: int) -> int:
    if not text.isdecimal() or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(f"must be a whole number from {low} to {high}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        raise argparse.ArgumentTypeError("must be a number of seconds above 0")
    return seconds
