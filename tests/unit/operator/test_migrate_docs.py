"""The commands in docs/migration.md are commands of this program."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from push_operator.cli.arguments import PUSH, parser

DOCS = (Path(__file__).parents[3] / "docs" / "migration.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", DOCS, re.DOTALL)
LINES = [line for block in BLOCKS for line in block.splitlines() if line.startswith("push ")]
TOLD = re.findall(r"`push ([^`]+)`", DOCS)
NOT_IN_EVERY_VERSION = {"rollout"}  # the page says so where it stands


@pytest.mark.parametrize("line", [*LINES, *(f"push {words}" for words in TOLD if len(words.split()) > 2)])
def test_a_whole_command_is_understood(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    assert parser(PUSH).parse_args(words).command == words[0]


def test_every_command_word_is_known() -> None:
    usage = parser(PUSH).format_help().partition("\ncommands:\n")[2]
    known = set(re.findall(r"^    (\w+) ", usage, re.MULTILINE))
    assert {"get", "migrate"} <= known
    assert {words.split()[0] for words in TOLD} <= known | NOT_IN_EVERY_VERSION
