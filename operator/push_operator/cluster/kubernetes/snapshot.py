"""What the operator knows of its objects: per kind, replaced whole by each LIST, kept fresh by events and own writes.

Events alone are not the truth: one that was missed while a watch was down is missed for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from push_operator.cluster.kubernetes.kinds import Kind
from push_operator.render.objects import INSTANCE, Object

Place = tuple[str, str]  # namespace, name


class Snapshot:
    def __init__(self) -> None:
        self._objects: dict[Kind, dict[Place, Object]] = {}
        self._meanwhile: dict[Kind, list[tuple[Object, bool]]] = {}
        self._gone: dict[Kind, dict[Place, int]] = {}  # the version of each deletion since the last LIST

    def begin(self, kind: Kind) -> None:
        """A LIST of this kind is under way: what is seen until `replace` may be newer than its answer."""
        self._meanwhile[kind] = []

    def replace(self, kind: Kind, objects: Iterable[Object]) -> set[str]:
        """Takes a whole LIST; returns the keys of the PushClusters whose objects are others than before."""
        before = self._objects.get(kind, {})
        after = {_place(one): _lean(one) for one in objects}
        self._objects[kind] = after
        self._gone[kind] = {}
        for live, gone in self._meanwhile.pop(kind, ()):
            self.see(kind, live, gone=gone)
        changed = [
            one
            for place in before.keys() | after.keys()
            for one in (before.get(place), after.get(place))
            if one is not None and _version(before.get(place)) != _version(after.get(place))
        ]
        return {key for key in map(owner_key, changed) if key}

    def see(self, kind: Kind, live: Object, *, gone: bool = False) -> None:
        """Takes one object as an event or an answer tells it; an older one than is known is passed over.

        The event of a deletion may overtake the answer to a request that still saw the object.
        """
        if kind in self._meanwhile:
            self._meanwhile[kind].append((live, gone))
        known, buried = self._objects.setdefault(kind, {}), self._gone.setdefault(kind, {})
        place = _place(live)
        if _version(live) < max(_version(known.get(place)), buried.get(place, -1)):
            return
        if gone:
            known.pop(place, None)
            buried[place] = _version(live)
        else:
            known[place] = _lean(live)

    def get(self, kind: Kind, place: Place) -> Object | None:
        return self._objects.get(kind, {}).get(place)

    def of(self, key: str, kinds: Iterable[Kind]) -> Iterator[tuple[Kind, Object]]:
        """The objects that belong to one PushCluster."""
        for kind in kinds:
            for live in self._objects.get(kind, {}).values():
                if owner_key(live) == key:
                    yield kind, live


def owner_key(live: Object) -> str | None:
    """Which PushCluster an object belongs to, by its labels: pods are owned through others."""
    meta = live["metadata"]
    instance = meta.get("labels", {}).get(INSTANCE)
    return f"{meta['namespace']}/{instance}" if instance else None


def _place(live: Object) -> Place:
    return live["metadata"]["namespace"], live["metadata"]["name"]


def _version(live: Object | None) -> int:
    # Numbers that grow, in one kind: the API promises that since 1.35.
    return int(live["metadata"]["resourceVersion"]) if live is not None else -1


def _lean(live: Object) -> Object:
    """Without what nobody here reads and is half of the bytes."""
    meta = {key: value for key, value in live["metadata"].items() if key != "managedFields"}
    return {**live, "metadata": meta}
