"""Reads typed values out of a decoded manifest, collecting every fault with its path. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from push_operator.errors import Fault

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?")
_MAX_QUANTITY, _MAX_URL, _MAX_NAMES, _MAX_ENTRY = 32, 512, 16, 4096
_HOST = r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_PORT = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
# The same expressions as in crds/pushcluster.yaml, so that the API server and `push up` judge the same.
_AFTER_SCHEME = rf"://{_HOST}(:{_PORT})?([/?][!-~]*)?"
_ROOT = rf"(?=.{{1,{_MAX_URL}}}$)https?://{_HOST}(:{_PORT})?(/[A-Za-z0-9._~-]+)*/?"
# A label's or an annotation's name: a name, after a domain of its own or not.
QUALIFIED = (
    r"(?=(.{1,253}/)?[^/]{1,63}$)([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
)
_LOGIN = re.compile(r"[^/?#]*//[^/?#]*@")


class Node:
    """One mapping of the manifest at one path. Each read names a field; `done` reports the names nobody read."""

    def __init__(self, value: Any, path: str, faults: list[Fault]) -> None:
        self.path = path
        self._faults = faults
        self._known: list[str] = []
        self.given = value is not None
        if value is not None and not isinstance(value, Mapping):
            self.fault("", f"must be a mapping of fields, not {_kind(value)}")
            value = None
        self._value: Mapping[str, Any] = value or {}

    def fault(self, name: str, message: str) -> None:
        self._faults.append(Fault(f"{self.path}.{name}" if name else self.path, message))

    def has(self, name: str) -> bool:
        return self._value.get(name) is not None

    def child(self, name: str) -> Node:
        """The mapping under `name`; absent is an empty one with `given` False."""
        return Node(self.raw(name), f"{self.path}.{name}", self._faults)

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fault(name, f"must be a whole number from {low} to {high}")
            return default
        return value

    def boolean(self, name: str, default: bool) -> bool:
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fault(name, "must be true or false")
            return default
        return value

    def choice(self, name: str, default: str, allowed: Sequence[str]) -> str:
        value = self.raw(name)
        if value is None:
            return default
        if value not in allowed:
            self.fault(name, f"must be one of {', '.join(allowed)}")
            return default
        return str(value)

    def text(self, name: str, default: str, pattern: str, means: str) -> str:
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            hint = " (put the number in quotes)" if isinstance(value, int | float) else ""
            self.fault(name, f"must be {means}{hint}")
            return default
        return value

    def texts(self, name: str, pattern: str, means: str, most: int) -> tuple[str, ...]:
        """A list of texts, 1 to `most`; empty when absent."""
        value = self.raw(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            self.fault(name, f"must be a list of 1 to {most}, each {means}")
            return ()
        for at, one in enumerate(value):
            if not isinstance(one, str) or not re.fullmatch(pattern, one):
                self.fault(f"{name}[{at}]", f"must be {means}")
        return tuple(str(one) for one in value)

    def text_map(self, name: str, pattern: str, means: str, most: int) -> dict[str, str]:
        """At most `most` texts by names that the manifest chooses; empty when absent."""
        value = self.raw(name)
        if value is not None and (not isinstance(value, Mapping) or len(value) > most):
            self.fault(name, f"must be a mapping of at most {most} names to texts")
        if not isinstance(value, Mapping):
            return {}
        for key, entry in value.items():
            if not isinstance(key, str) or not re.fullmatch(pattern, key):
                self.fault(f"{name}.{key}", f"must be {means}")
            if not isinstance(entry, str) or len(entry) > _MAX_ENTRY:
                self.fault(f"{name}.{key}", f"must be text of at most {_MAX_ENTRY} characters (put it in quotes)")
        return {str(key): str(entry) for key, entry in value.items()}

    def children(self, name: str, most: int) -> list[Node]:
        """The mappings of a list, 1 to `most`; none when absent."""
        value = self.raw(name)
        if value is None:
            return []
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            self.fault(name, f"must be a list of 1 to {most}")
            return []
        return [Node(one, f"{self.path}.{name}[{at}]", self._faults) for at, one in enumerate(value)]

    def name_of(self, name: str) -> str | None:
        """The name of another object (RFC 1123 label), None when absent."""
        value = self.raw(name)
        if value is None:
            return None
        if not _is_name(value):
            self.fault(name, "must be an object's name: lower-case letters, digits and '-'")
            return None
        return str(value)

    def names_of(self, name: str) -> tuple[str, ...]:
        """The names of other objects, each once."""
        value = self.raw(name)
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > _MAX_NAMES or not all(map(_is_name, value)):
            self.fault(name, f"must be a list of at most {_MAX_NAMES} names of objects")
            return ()
        if len(set(value)) != len(value):
            self.fault(name, "must not name one twice")
        return tuple(value)

    def url(self, name: str, schemes: Sequence[str]) -> str | None:
        value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, str) and _LOGIN.match(value):
            self.fault(name, "must not hold a password: put it in a Secret and name that in credentialsSecret")
            return None
        pattern = f"({'|'.join(schemes)}){_AFTER_SCHEME}"
        if not isinstance(value, str) or len(value) > _MAX_URL or not re.fullmatch(pattern, value):
            self.fault(name, "must look like " + " or ".join(f"{scheme}://HOST:PORT" for scheme in schemes))
            return None
        return value

    def root(self, name: str) -> str | None:
        """Of what is asked over HTTP: an address to which a path can be added."""
        return self.text(name, "", _ROOT, "an address such as http://HOST:PORT, without a password") or None

    def quantities(self, name: str) -> dict[str, str]:
        """`{cpu, memory}` as Kubernetes quantities."""
        node = self.child(name)
        read = {}
        for key in ("cpu", "memory"):
            value = node.raw(key)
            if value is None:
                continue
            if isinstance(value, bool | float) or not _is_quantity(str(value)):
                hint = " (put the number in quotes)" if isinstance(value, float) else ""
                node.fault(key, f"must be a quantity such as 500m, 2 or 256Mi{hint}")
            else:
                read[key] = str(value)
        node.done()
        return read

    def done(self) -> None:
        """Every field that was never asked for is unknown: refused, with the likely name meant."""
        for name in self._value:
            if name not in self._known:
                near = get_close_matches(str(name), self._known, n=1)
                meant = f"did you mean {near[0]}? " if near else ""
                self.fault(str(name), f"unknown field: {meant}allowed here: {', '.join(self._known)}")

    def raw(self, name: str) -> Any:
        """The undecoded value of a field, which thereby counts as known."""
        self._known.append(name)
        return self._value.get(name)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 253 and _NAME.fullmatch(value) is not None


def _is_quantity(text: str) -> bool:
    return len(text) <= _MAX_QUANTITY and _QUANTITY.fullmatch(text) is not None


def _kind(value: object) -> str:
    return {str: "text", bool: "true/false", int: "a number", float: "a number", list: "a list"}.get(
        type(value), "that"
    )
