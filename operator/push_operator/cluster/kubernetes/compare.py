"""Whether a live object is what is wanted, so that nothing is written when nothing differs. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from push_operator.quantities import amount
from push_operator.render.objects import Object

_WHOLE: Final = frozenset({"selector", "podSelector", "matchLabels"})  # one label more finds other pods
APPLIED: Final = "pushcluster.io/applied"  # annotation: the hash of what was applied last


def stamped(wanted: Object, kept: Collection[str] = ()) -> Object:
    """The object with the hash of itself: what is *no longer* wanted in it is seen by that alone. `kept`: fields of its
    spec that are said as they were found, and are nobody's wish."""
    spec = {key: value for key, value in wanted.get("spec", {}).items() if key not in kept}
    text = json.dumps({**wanted, "spec": spec} if kept else wanted, sort_keys=True, separators=(",", ":"))
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    meta = wanted["metadata"]
    return {**wanted, "metadata": {**meta, "annotations": {**meta.get("annotations", {}), APPLIED: digest}}}


def holds(live: Any, wanted: Any) -> bool:
    """Everything that is wanted is there; what others have added, and the API server's defaults, may be there too."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            live.get(key) == value if key in _WHOLE else holds(live.get(key), value)
            for key, value in wanted.items()
            if not _is_default(live, key, value)
        )
    if isinstance(wanted, list):
        return isinstance(live, list) and _list_holds(live, wanted)
    return live == wanted or _same_quantity(live, wanted)


def _is_default(live: Mapping[str, Any], key: str, value: Any) -> bool:
    """Empty values are left out by the API server."""
    return key not in live and value in ({}, [], "")


def _list_holds(live: list[Any], wanted: list[Any]) -> bool:
    """Named items may stand among others' of other names; lists of anything else are compared whole."""
    if _are_named(wanted):
        by_name = {one.get("name"): one for one in live if isinstance(one, Mapping)}
        return all(holds(by_name.get(one["name"]), one) for one in wanted)
    return len(live) == len(wanted) and all(map(holds, live, wanted))


def _are_named(wanted: list[Any]) -> bool:
    """Each by a name of its own: two listeners of one Gateway share theirs."""
    names = [one.get("name") for one in wanted if isinstance(one, Mapping)]
    named = {name for name in names if isinstance(name, str)}
    return bool(wanted) and len(named) == len(wanted)


def _same_quantity(live: Any, wanted: Any) -> bool:
    """`1000m` comes back as `1`."""
    if not isinstance(live, str) or not isinstance(wanted, str):
        return False
    first, second = amount(live), amount(wanted)
    return first is not None and first == second
