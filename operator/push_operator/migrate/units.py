"""Docker's amounts as Kubernetes quantities. Pure."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Final

MAX_CPUS: Final = 10_000
MAX_BYTES: Final = 1024**5
MAX_CHARACTERS: Final = 32
_SIZE: Final = re.compile(r"([0-9]+(?:[.][0-9]+)?) ?([kmgtp]?)i?b?", re.IGNORECASE)
# Docker's letters are powers of 1024 with and without an `i`: `512M` is what Kubernetes calls 512Mi.
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_BINARY: Final = (("Ti", 1024**4), ("Gi", 1024**3), ("Mi", 1024**2), ("Ki", 1024))


def cpu(text: str) -> str:
    """`cpus` as a quantity, rounded up to the thousandth, which is the least that Kubernetes knows. Empty for 0: to
    Docker that is no limit. Raises ValueError when it is no number of CPUs."""
    try:
        cpus = Decimal(text if len(text) <= MAX_CHARACTERS else "")
    except InvalidOperation as error:
        raise ValueError("not a number") from error
    if not cpus.is_finite() or not 0 <= cpus <= MAX_CPUS:
        raise ValueError("out of range")
    thousandths = int((cpus * 1000).to_integral_value(ROUND_CEILING))
    if thousandths % 1000:
        return f"{thousandths}m"
    return str(thousandths // 1000) if thousandths else ""


def memory(text: str) -> str:
    """`memory` as a quantity in the greatest unit that keeps it whole. Empty for 0: to Docker that is no limit. Raises
    ValueError when it is no size."""
    found = _SIZE.fullmatch(text) if len(text) <= MAX_CHARACTERS else None
    if found is None:
        raise ValueError("not a size")
    size = int(Decimal(found[1]) * 1024 ** _POWERS[found[2].lower()])
    if size > MAX_BYTES:
        raise ValueError("out of range")
    unit, factor = next(((unit, factor) for unit, factor in _BINARY if size % factor == 0), ("", 1))
    return f"{size // factor}{unit}" if size else ""
