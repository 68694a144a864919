"""`push`: the command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from push_operator import __version__
from push_operator.cli.client import PlatformClient
from push_operator.cli.files import load_documents
from push_operator.cli.logs import follow, last_lines, show
from push_operator.cli.output import FORMATS, rendered
from push_operator.cluster.local.state import StateFolder
from push_operator.errors import OperatorError, SpecError
from push_operator.model import SERVICES

EXIT_ERROR, EXIT_INTERRUPTED = 1, 130
LOGGED: Final = (*SERVICES, "nats", "valkey")
_HELP: Final = """\
Runs a PushCluster - chat, notifications and presence - from one manifest, on this machine.

examples:
  push up examples/quickstart.yaml      run it here, in the foreground; Ctrl-C stops everything
  push get                              in another terminal: what runs, and where
  push get -o wide                      each process: its pid, uptime and admin address
  push scale gateway 3                  run three gateways
  push apply examples/quickstart.yaml   change what runs to what the file says now
  push logs message -f                  follow the log of one component
  push down                             stop it from here

`push up` keeps its data, passwords and logs in a state folder, ./.push unless --state or $PUSH_STATE says otherwise;
the other commands find the platform by that folder. Started again, it finds its data. To begin anew, delete the folder.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, 1 for an error, 2 for wrong usage, 130 for Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        code = _run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # `push get | head -1`
        _mute()
        return EXIT_ERROR
    return code


def _run(options: argparse.Namespace) -> int:
    try:
        return int(options.run(options))
    except SpecError as error:
        for fault in error.faults:
            _complain(f"{options.file}: {fault}" if hasattr(options, "file") else str(fault))
    except OperatorError as error:
        _complain(str(error))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return EXIT_ERROR


def _mute() -> None:
    """What is still in the buffers goes nowhere, so that the end of the interpreter does not complain of the pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


def _up(options: argparse.Namespace) -> int:
    from push_operator.cli.up import Options, up  # half a second of imports that the other commands do without

    documents = load_documents(options.file)
    return up(documents, Options(_state(options).root, options.host, options.port_offset, options.timeout))


def _down(options: argparse.Namespace) -> int:
    PlatformClient(_state(options)).down()
    print("stopped")
    return 0


def _get(options: argparse.Namespace) -> int:
    print(rendered(PlatformClient(_state(options)).platform(), options.output))
    return 0


def _apply(options: argparse.Namespace) -> int:
    generation = PlatformClient(_state(options)).put(load_documents(options.file))
    print(f"applied (generation {generation}); `push get` shows how it comes about")
    return 0


def _scale(options: argparse.Namespace) -> int:
    PlatformClient(_state(options)).scale(options.component, options.replicas)
    print(f"{options.component} scaled to {options.replicas}; `push get` shows how it comes about")
    return 0


def _logs(options: argparse.Namespace) -> int:
    folder = _state(options).logs
    if not folder.is_dir():
        raise OperatorError(f"no platform has run in {folder.parent}: start one with `push up FILE`")
    for line in last_lines(folder, options.component, options.tail):
        show(line, options.raw)
    if options.follow:
        for line in follow(folder, options.component):
            show(line, options.raw)
    return 0


def _state(options: argparse.Namespace) -> StateFolder:
    return StateFolder(Path(options.state or os.environ.get("PUSH_STATE") or ".push"))


def _complain(text: str) -> None:
    sys.stderr.write(f"push: {text}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="push", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=__version__)
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--state", metavar="DIR", help="the platform's folder (default: $PUSH_STATE, else ./.push)")
    every.add_argument("--target", choices=("local",), default="local", help="where the platform runs (default: local)")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    up = commands.add_parser("up", parents=[every], help="run a manifest here, in the foreground")
    up.add_argument("file", metavar="FILE", help="a PushCluster, with any Secrets it names")
    up.add_argument("--host", default="127.0.0.1", help="address that the services listen on (default: %(default)s)")
    up.add_argument("--port-offset", type=_offset, default=0, metavar="N", help="added to each port (default: 0)")
    up.add_argument("--timeout", type=_seconds, default=120.0, metavar="SECONDS",
                    help="when to say what keeps it from being ready (default: 120)")  # fmt: skip
    up.set_defaults(run=_up)

    down = commands.add_parser("down", parents=[every], help="stop the running platform")
    down.set_defaults(run=_down)

    get = commands.add_parser("get", parents=[every], help="show what runs, and where")
    get.add_argument("-o", "--output", choices=FORMATS, default="table", help="default: %(default)s")
    get.set_defaults(run=_get)

    apply = commands.add_parser("apply", parents=[every], help="change the running platform to a manifest")
    apply.add_argument("file", metavar="FILE", help="a PushCluster, with any Secrets it names")
    apply.set_defaults(run=_apply)

    scale = commands.add_parser("scale", parents=[every], help="run another number of one component")
    scale.add_argument("component", choices=SERVICES, metavar="COMPONENT", help=", ".join(SERVICES))
    scale.add_argument("replicas", type=int, metavar="N")
    scale.set_defaults(run=_scale)

    logs = commands.add_parser("logs", parents=[every], help="print the log of one component")
    logs.add_argument("component", choices=LOGGED, metavar="COMPONENT", help=", ".join(LOGGED))
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now on")
    logs.add_argument("--tail", type=_count, default=100, metavar="N", help="lines to begin with (default: 100)")
    logs.add_argument("--raw", action="store_true", help="the lines as they were written (JSON)")
    logs.set_defaults(run=_logs)
    return parser


def _offset(text: str) -> int:
    return _number(text, 0, 57_000)


def _count(text: str) -> int:
    return _number(text, 0, 1_000_000)


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


if __name__ == "__main__":
    sys.exit(main())
