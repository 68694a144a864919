"""Kubernetes quantities as numbers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

_UNITS: Final[Mapping[str, Decimal]] = {
    "": Decimal(1), "m": Decimal("0.001"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}  # fmt: skip
_SIZE: Final = re.compile(r"(\d+)(Mi|Gi|Ti)")


def mebibytes(size: str) -> int:
    """A storage size of the manifest in MiB."""
    found = _SIZE.fullmatch(size)
    if found is None:
        raise ValueError(f"not a size: {size}")
    return int(found[1]) * {"Mi": 1, "Gi": 1024, "Ti": 1024 * 1024}[found[2]]


def amount(text: str) -> Decimal | None:
    """What a quantity comes to; None when it is none."""
    number = text.rstrip("kmKMGTi")
    unit = _UNITS.get(text[len(number) :])
    if unit is None or not number.replace(".", "", 1).isdecimal():
        return None
    return Decimal(number) * unit


def exceeds(one: str, other: str) -> bool:
    """Whether one quantity is more than another; both must be quantities."""
    first, second = amount(one), amount(other)
    return first is not None and second is not None and first > second
