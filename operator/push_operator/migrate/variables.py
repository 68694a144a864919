"""`${VARIABLES}` of a stack file, as `docker stack deploy` fills them in. Pure: the environment comes as a mapping."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from push_operator.errors import Fault, SpecError

MAX_DEPTH: Final = 24
MAX_VALUES: Final = 50_000  # anchors can make a short file long
FILLED_IN: Final = ("services", "networks", "volumes", "secrets", "configs")
_NAME: Final = "[_a-zA-Z][_a-zA-Z0-9]*"
# Docker's own expression: without braces it takes a default too, up to the end of the text.
_WORDS: Final = rf"{_NAME}(?::?[-?][^}}]*)?"
_VARIABLE: Final = re.compile(rf"\$(?:(?P<dollar>\$)|(?P<bare>{_WORDS})|\{{(?P<braced>{_WORDS})\}}|)")
_PARTS: Final = re.compile(rf"({_NAME})(:?)([-?]?)(.*)", re.DOTALL)
_DOLLAR: Final = "has a $ that begins no variable as docker stack deploy knows them: write $$ for the character"
_HOW: Final = "set it as for docker stack deploy, for example with `set -a; . ./.env; set +a`"
_NESTED: Final = "has a variable in a variable's default, which docker stack deploy does not know"


class Filling:
    """Fills in one file after the other. `unset`: the variables that were missing and count as empty, as for Docker."""

    def __init__(self, environment: Mapping[str, str], faults: list[Fault]) -> None:
        self._environment = environment
        self._faults = faults
        self._left = MAX_VALUES
        self.unset: set[str] = set()

    def file(self, document: Mapping[Any, Any]) -> dict[str, Any]:
        """Raises SpecError when the file is too deep or too long to be a stack."""
        return {name: self._value(document[name], name, 0) for name in FILLED_IN if name in document}

    def _value(self, value: Any, path: str, depth: int) -> Any:
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            raise SpecError((Fault(path, "is too deep, or the file too long: this is no stack"),))
        if isinstance(value, Mapping):
            named = [(_key(key), one) for key, one in value.items()]
            return {key: self._value(one, f"{path}.{key}", depth + 1) for key, one in named}
        if isinstance(value, list):
            return [self._value(one, f"{path}[{at}]", depth + 1) for at, one in enumerate(value)]
        return self._text(value, path) if isinstance(value, str) else value

    def _text(self, text: str, path: str) -> str:
        return _VARIABLE.sub(lambda found: self._filled(found, path), text)

    def _filled(self, found: re.Match[str], path: str) -> str:
        if found["dollar"]:
            return "$"
        words = _PARTS.fullmatch(found["bare"] or found["braced"] or "")
        if words is None or "${" in words[4]:
            self._faults.append(Fault(path, _DOLLAR if words is None else _NESTED))
            return ""
        return self._one(words, path)

    def _one(self, words: re.Match[str], path: str) -> str:
        name, colon, operator, rest = words.groups()
        value = self._environment.get(name)
        if value is not None and not (colon and value == ""):
            return value
        if operator == "-":
            return rest
        if operator == "?":
            self._faults.append(Fault(path, f"needs the variable {name}: {_HOW}"))
        elif value is None:
            self.unset.add(name)
        return value or ""


def _key(key: Any) -> str:
    """YAML takes more for keys than texts; of such, numbers are meant for a name now and then."""
    return (
        str(key) if isinstance(key, str) or (isinstance(key, int) and abs(key) < 10**9) else f"a {type(key).__name__}"
    )
