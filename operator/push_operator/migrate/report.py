"""What a migration tells a person: what was taken over, what was left out and why, and what is theirs to do. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from push_operator.migrate.commands import Command, preparation

INDENT: Final = "  "


class Kind(Enum):
    """The heading under which a note stands."""

    TAKEN = "taken over"
    LEFT = "left out"
    TODO = "to do"


@dataclass(frozen=True, slots=True)
class Note:
    """One line. `path`: where in the stack, empty where it is about the whole. No note holds the value of a secret."""

    kind: Kind
    path: str
    text: str
    command: Command | None = None


@dataclass(slots=True)
class Report:
    """Collects notes in the order in which they are made."""

    notes: list[Note] = field(default_factory=list)

    def taken(self, path: str, text: str) -> None:
        self.notes.append(Note(Kind.TAKEN, path, text))

    def left(self, path: str, text: str) -> None:
        self.notes.append(Note(Kind.LEFT, path, text))

    def todo(self, path: str, text: str, command: Command | None = None) -> None:
        self.notes.append(Note(Kind.TODO, path, text, command))


def lines(notes: Sequence[Note]) -> Iterator[str]:
    """The report as text. Notes that say the same of several places are one; commands stand below, ready to be run."""
    for kind in Kind:
        own = [note for note in notes if note.kind is kind]
        if own:
            yield f"{kind.value}:"
        for text in dict.fromkeys(note.text for note in own):
            paths = together([note.path for note in own if note.text == text and note.path])
            yield f"{INDENT}{paths}: {text}" if paths else f"{INDENT}{text}"
    commands = [note.command for note in notes if note.command is not None]
    if commands:
        yield "commands, for bash:"
        yield from (f"{INDENT}{line}" for line in (*preparation(commands), *(one.line for one in commands)))


def together(paths: Sequence[str]) -> str:
    """Paths in a few words: those that differ in the second part only are one."""
    alike: dict[tuple[str, str], list[str]] = {}
    for path in dict.fromkeys(paths):
        first, _, others = path.partition(".")
        second, _, rest = others.partition(".")
        alike.setdefault((first, rest), []).append(second)
    return ", ".join(
        ".".join(filter(None, (first, f"{{{', '.join(names)}}}" if len(names) > 1 else names[0], rest)))
        for (first, rest), names in alike.items()
    )
