"""Shell commands that carry secrets from the old place to a Kubernetes Secret, so that none goes through us. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from push_operator.migrate.settings import InEnvironment, InFile, Source

# A value goes through pipes only: what stands on a command line can be read by whoever may list processes.
_VARIABLE: Final = (
    'old_variable() { docker service inspect "${STACK}_$1" '
    "--format '{{range .Spec.TaskTemplate.ContainerSpec.Env}}{{println .}}{{end}}' "
    "| sed -n \"s/^$2=//p\" | tr -d '\\n'; }"
)
_FILE: Final = (
    'old_file() { docker exec "$(docker ps --quiet --filter "name=${STACK}_$1." | head -n 1)" cat "$2" '
    "| tr -d '\\n'; }  # on a node where that service runs"
)
_FIRST_IN_URL: Final = "| sed -E 's|^[^/]*//([^:@]*)(:[^@]*)?@.*|\\1|'"
_SECOND_IN_URL: Final = "| sed -E 's|^[^/]*//[^:@]*:([^@]*)@.*|\\1|'"


@dataclass(frozen=True, slots=True)
class Command:
    """One line of bash, and which of the helper functions it calls."""

    line: str
    helpers: tuple[str, ...] = ()


def preparation(commands: Sequence[Command]) -> list[str]:
    """What goes before the commands: the helpers that they call."""
    needed = {helper for one in commands for helper in one.helpers}
    called = [helper for helper in (_VARIABLE, _FILE) if helper in needed]
    return ["STACK=push  # the old stack, as `docker stack ls` calls it", *called] if called else []


def create_secret(name: str, namespace: str | None, keys: Mapping[str, str], sources: Sequence[Source]) -> Command:
    """Makes a Secret of what these words print, by key."""
    words = ["kubectl", *(("-n", namespace) if namespace else ()), "create", "secret", "generic", name]
    files = [f"--from-file={key}=<({printing})" for key, printing in keys.items()]
    helpers = [_VARIABLE if isinstance(one, InEnvironment) else _FILE for one in sources if _helped(one)]
    return Command(" ".join([*map(shlex.quote, words), *files]), tuple(helpers))


def printing(source: Source) -> str:
    """Words that print a value, without the newline that files end with."""
    if isinstance(source, InEnvironment):
        return f"old_variable {shlex.quote(source.service)} {source.variable}"
    if source.stack_file is not None:
        return f"tr -d '\\n' < {shlex.quote(source.stack_file)}"
    return f"old_file {shlex.quote(source.service)} {shlex.quote(source.path)}"


def user_in_url(source: Source) -> str:
    return f"{printing(source)} {_FIRST_IN_URL}"


def password_in_url(source: Source) -> str:
    return f"{printing(source)} {_SECOND_IN_URL}"


def _helped(source: Source) -> bool:
    return not (isinstance(source, InFile) and source.stack_file is not None)
