"""Fields of somebody else's, checked against shapes that say what is allowed: each fault with its path. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from push_operator.errors import Fault
from push_operator.fields import QUALIFIED

MAX_ENTRIES: Final = 64  # of one list or mapping


@dataclass(frozen=True, slots=True)
class Leaf:
    """A single value. `fits` is an expression for texts, or says it of any value. `number`: a whole number is taken as
    its text. `unsaid`: a value that means the same as none."""

    means: str
    fits: str | Callable[[Any], bool]
    number: bool = False
    unsaid: Any = None

    def takes(self, value: Any) -> bool:
        if isinstance(self.fits, str):
            return isinstance(value, str) and re.fullmatch(self.fits, value) is not None
        return self.fits(value)


@dataclass(frozen=True, slots=True)
class Each:
    """A list, every one of `shape`."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Names:
    """A mapping whose names its writer chooses."""

    key: Leaf
    shape: Leaf


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping of these fields. `one`: exactly one of these is there. `refused`: why a field is not to be had."""

    fields: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    one: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)


Shape = Leaf | Each | Names | Fields


def one_of(*words: str) -> Leaf:
    return Leaf(" or ".join(words), lambda value: value in words)


def whole(low: int, high: int, unsaid: int | None = None) -> Leaf:
    return Leaf(
        f"a whole number from {low} to {high}", lambda value: type(value) is int and low <= value <= high, unsaid=unsaid
    )


def read(value: Any, shape: Shape, path: str, faults: list[Fault]) -> Any:
    """The value as Kubernetes keeps it: without what says nothing, quantities as texts. What does not fit is told in
    `faults`, and the value then is of no use."""
    match shape:
        case Leaf():
            return _leaf(value, shape, path, faults)
        case Each():
            return _each(value, shape, path, faults)
        case Names():
            return _names(value, shape, path, faults)
        case Fields():
            return _fields(value, shape, path, faults)


def _leaf(value: Any, shape: Leaf, path: str, faults: list[Fault]) -> Any:
    if shape.number and type(value) is int:
        value = str(value)
    if not shape.takes(value):
        hint = " (put it in quotes)" if isinstance(shape.fits, str) and isinstance(value, int | float) else ""
        faults.append(Fault(path, f"must be {shape.means}{hint}"))
    return value


def _each(value: Any, shape: Each, path: str, faults: list[Fault]) -> list[Any]:
    if not isinstance(value, list) or len(value) > MAX_ENTRIES:
        faults.append(Fault(path, f"must be a list of at most {MAX_ENTRIES}"))
        return []
    return [read(one, shape.shape, f"{path}[{at}]", faults) for at, one in enumerate(value)]


def _names(value: Any, shape: Names, path: str, faults: list[Fault]) -> dict[str, Any]:
    if not isinstance(value, Mapping) or len(value) > MAX_ENTRIES:
        faults.append(Fault(path, f"must be a mapping of at most {MAX_ENTRIES} names"))
        return {}
    for name in value:
        _leaf(name, shape.key, f"{path}.{name}", faults)
    return {name: read(one, shape.shape, f"{path}.{name}", faults) for name, one in value.items()}


def _fields(value: Any, shape: Fields, path: str, faults: list[Fault]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        faults.append(Fault(path, f"must be a mapping of fields: {', '.join(shape.fields)}"))
        return {}
    given = {name: one for name, one in value.items() if one is not None}
    faults += [Fault(f"{path}.{name}", _unknown(str(name), shape)) for name in given if name not in shape.fields]
    faults += [Fault(f"{path}.{name}", "required") for name in shape.required if name not in given]
    if shape.one and sum(name in given for name in shape.one) != 1:
        faults.append(Fault(path, f"give one of {', '.join(shape.one)}"))
    made = {name: read(one, shape.fields[name], f"{path}.{name}", faults)
            for name, one in given.items() if name in shape.fields}  # fmt: skip
    return {name: one for name, one in made.items() if not _says_nothing(one, shape.fields[name])}


def _says_nothing(value: Any, shape: Shape) -> bool:
    return isinstance(shape, Leaf) and shape.unsaid is not None and value == shape.unsaid


def _unknown(name: str, shape: Fields) -> str:
    if name in shape.refused:
        return f"must not be given: {shape.refused[name]}"
    near = get_close_matches(name, shape.fields, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"may not be set here: {meant}allowed: {', '.join(shape.fields)}"


# Single values --------------------------------------------------------------------------------------------------------

_PATH_MEANS: Final = "an absolute path without '..'"
TEXT: Final = Leaf("text", lambda value: isinstance(value, str))
SWITCH: Final = Leaf("true or false", lambda value: isinstance(value, bool))
OFF: Final = Leaf("true or false", lambda value: isinstance(value, bool), unsaid=False)  # false is the same as not said
QUANTITY: Final = Leaf("a quantity such as 500m, 2 or 256Mi", r"[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?", number=True)
NAME: Final = Leaf(
    "an object's name: lower-case letters, digits, '-' and '.'", r"(?=.{1,253}$)[a-z0-9]([-.a-z0-9]*[a-z0-9])?"
)
LABEL: Final = Leaf(
    "a name of at most 63 lower-case letters, digits and '-'", r"(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?"
)
KEY: Final = Leaf("a label's name such as example.com/team", QUALIFIED)
VALUE: Final = Leaf(
    "a label's value: at most 63 letters, digits, '-', '_' or '.'",
    r"(?=.{0,63}$)([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?",
)
VARIABLE: Final = Leaf("a variable's name such as HTTPS_PROXY", r"[A-Za-z_][A-Za-z0-9_]{0,254}")
PATH: Final = Leaf(_PATH_MEANS, r"(?!(.*/)?\.\.(/|$))/[^:]*")
RELATIVE: Final = Leaf("a path inside of the volume, without '..'", r"(?!/)(?!(.*/)?\.\.(/|$)).*")
SECONDS: Final = whole(0, 86_400)
ID: Final = whole(1, 2**31 - 1)
MODE: Final = whole(0, 0o777)
PORT: Final = Leaf(
    "a port: 1 to 65535, or its name",
    lambda value: 1 <= value <= 65_535 if type(value) is int else isinstance(value, str) and 1 <= len(value) <= 15,
)
TEXTS: Final = Each(TEXT)


def only(word: Any) -> Leaf:
    """The one value that a switch may have."""
    return Leaf(f"{str(word).lower()}, as it is anyway", lambda value: value is word)
