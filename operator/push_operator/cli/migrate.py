"""`push migrate`: a manifest on standard output or in a new file, what there is to say of it on standard error."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from push_operator.cli.files import documents_in, read
from push_operator.errors import Fault, OperatorError, SpecError
from push_operator.migrate.kinds import CHOSEN
from push_operator.migrate.report import lines
from push_operator.migrate.swarm import Wishes, migrated

_HEAD: Final = """\
# Made of a Docker Swarm stack by `push migrate swarm`. No secret is in it: those that it names are yours to make, as
# the report said. What comes next: docs/migration.md.
"""


def migrate(options: Namespace, environment: Mapping[str, str]) -> int:
    """Raises SpecError when the stack is refused, OperatorError when a file cannot be read or written."""
    wishes = Wishes(options.name, options.namespace, _chosen(options.service))
    made = migrated([_stack(file) for file in options.file], environment, wishes)
    text = _HEAD + yaml.safe_dump(dict(made.body), sort_keys=False)
    _write(text, options.output)
    for line in lines(made.notes):
        sys.stderr.write(_printable(line) + "\n")
    return 0


def _printable(line: str) -> str:
    """Names in a stack may hold what would move a terminal's cursor."""
    return "".join(one if one.isprintable() else " " for one in line)


def _chosen(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    chosen = dict(pairs)
    if len(chosen) < len(pairs):
        raise SpecError((Fault(CHOSEN, "gives one kind twice"),))
    return chosen


def _stack(file: str) -> Any:
    documents = documents_in(read(file), file)
    if len(documents) != 1:
        raise OperatorError(f"{file}: must hold one stack, not {len(documents)} documents")
    return documents[0]


def _write(text: str, output: str | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    try:
        with Path(output).open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise OperatorError(f"{output}: is there already, and stays: give another name, or remove it first") from error
    except OSError as error:
        raise OperatorError(f"{output}: cannot be written: {error.strerror}") from error
