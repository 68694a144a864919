"""Manifest files: YAML documents, with faults named by file and line."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from push_operator.errors import OperatorError


class _StrictLoader(yaml.SafeLoader):
    """YAML proper lets the second of two equal keys win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(None, None, "a key must be text, not a list or a mapping", key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(None, None, f"the key {key.value} stands here twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read(path: str) -> str:
    """The text of a manifest file. Raises OperatorError when it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise OperatorError(f"{path}: cannot be read: {reason}") from error


def documents_in(text: str, path: str) -> list[Any]:
    """The documents of a manifest. Raises OperatorError with `path:line` when it is not YAML."""
    try:
        return list(yaml.load_all(text, Loader=_StrictLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        raise OperatorError(f"{path}{line}: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise OperatorError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
