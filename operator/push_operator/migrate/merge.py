"""Several stack files as one, as `docker stack deploy -c BASE -c MORE` lays the later over the earlier. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, Final

_MAPPINGS: Final = (("environment",), ("labels",), ("deploy", "labels"))  # of a service; may be written as lists


def merged(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of two values the later, of two mappings the union, of two lists one after the other."""
    made: dict[str, Any] = reduce(_over, [_without_lists(one) for one in documents], {})
    return made


def _over(base: Any, later: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(later, Mapping):
        return {**base, **{key: _over(base.get(key), value) for key, value in later.items()}}
    if isinstance(base, list) and isinstance(later, list):
        return base + [one for one in later if one not in base]
    return base if later is None else later


def _without_lists(document: Mapping[str, Any]) -> Mapping[str, Any]:
    services = document.get("services")
    if not isinstance(services, Mapping):
        return document
    return {**document, "services": {name: _service(one) for name, one in services.items()}}


def _service(service: Any) -> Any:
    for path in _MAPPINGS:
        service = _rewritten(service, path)
    return service


def _rewritten(value: Any, path: tuple[str, ...]) -> Any:
    """The value with `NAME=TEXT` lists at this path as mappings; a list of anything else stays, to be refused."""
    if not path:
        texts = isinstance(value, list) and all(isinstance(one, str) for one in value)
        return dict(_pair(one) for one in value) if texts else value
    if not isinstance(value, Mapping) or path[0] not in value:
        return value
    return {**value, path[0]: _rewritten(value[path[0]], path[1:])}


def _pair(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    return name, value if equals else None
