"""`push`, and `kubectl push`: the command line."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Final

from push_operator.cli.arguments import PLUGIN, PUSH, ROTATE, STATUS, parser
from push_operator.cli.broadcasts import broadcasts
from push_operator.cli.choice import state_of, target_of
from push_operator.cli.client import PlatformClient
from push_operator.cli.credentials import credentials
from push_operator.cli.dlq import dlq
from push_operator.cli.files import documents_in, read
from push_operator.cli.gateways import rollout_status
from push_operator.cli.keys import keys_told
from push_operator.cli.logs import show
from push_operator.cli.migrate import migrate
from push_operator.cli.output import complain, rendered
from push_operator.cli.trace import trace
from push_operator.errors import OperatorError, SpecError

EXIT_ERROR, EXIT_INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None, program: str = PUSH) -> int:
    """The exit code: 0, 1 for an error, 2 for wrong usage, 130 for Ctrl-C."""
    options = parser(program).parse_args(arguments)
    try:
        code = _run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # `push get | head -1`
        _mute()
        return EXIT_ERROR
    return code


def kubectl_push() -> int:
    """kubectl runs a program of this name on the PATH as `kubectl push`."""
    return main(program=PLUGIN)


def _run(options: Namespace) -> int:
    try:
        return _COMMANDS[options.command](options)
    except SpecError as error:
        for fault in error.faults:
            complain(f"{_file(options)}{fault}")
    except OperatorError as error:
        complain(str(error))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return EXIT_ERROR


def _file(options: Namespace) -> str:
    """The file or files that a fault is in, as what goes before it."""
    files = getattr(options, "file", ())
    return " + ".join([files] if isinstance(files, str) else files) + ": " if files else ""


def _mute() -> None:
    """What is still in the buffers goes nowhere, so that the end of the interpreter does not complain of the pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


def _up(options: Namespace) -> int:
    from push_operator.cli.up import Options, up  # half a second of imports that the other commands do without

    documents = documents_in(read(options.file), options.file)
    return up(documents, Options(state_of(options).root, options.host, options.port_offset, options.timeout))


def _down(options: Namespace) -> int:
    PlatformClient(state_of(options)).down()
    print("stopped")
    return 0


def _get(options: Namespace) -> int:
    print(rendered(target_of(options).platforms(), options.output, datetime.now(UTC)))
    return 0


def _apply(options: Namespace) -> int:
    print(f"{target_of(options).put(options.file)}; `push get` shows how it comes about")
    return 0


def _scale(options: Namespace) -> int:
    done = target_of(options).scale(options.component, options.replicas)
    print(f"{done}; `push get` shows how it comes about")
    return 0


def _rollout(options: Namespace) -> int:
    target = target_of(options)
    if options.action == STATUS:
        print("\n\n".join(rollout_status(one) for one in target.platforms()))
    else:
        print(f"{target.steer(options.action)}; `push rollout status` shows how it comes about")
    return 0


def _credentials(options: Namespace) -> int:
    print(credentials(target_of(options), options))
    return 0


def _dlq(options: Namespace) -> int:
    print(dlq(target_of(options), options))
    return 0


def _keys(options: Namespace) -> int:
    target = target_of(options)
    if options.action == ROTATE:
        print(f"{target.rotate_keys(at_once=options.now)}; `push keys list` shows all")
    else:
        now = datetime.now(UTC)
        print("\n\n".join(keys_told(one, now) for one in target.platforms()))
    return 0


def _broadcast(options: Namespace) -> int:
    broadcasts(target_of(options), options)
    return 0


def _trace(options: Namespace) -> int:
    print(trace(target_of(options), options))
    return 0


def _migrate(options: Namespace) -> int:
    return migrate(options, os.environ)


def _logs(options: Namespace) -> int:
    with closing(target_of(options).logs(options.component, options.tail, follow=options.follow)) as lines:
        for line in lines:
            show(line, options.raw)
    return 0


_COMMANDS: Final[Mapping[str, Callable[[Namespace], int]]] = {
    "up": _up, "down": _down, "get": _get, "apply": _apply, "scale": _scale, "rollout": _rollout, "logs": _logs,
    "credentials": _credentials, "keys": _keys, "dlq": _dlq, "broadcast": _broadcast, "trace": _trace,
    "migrate": _migrate,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
