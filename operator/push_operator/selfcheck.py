"""`python -m push_operator.selfcheck HOST PORT COUNT [SECONDS]`: do COUNT operators answer, and does exactly one lead?

What `helm test` runs, in the operator's own image: that one is there, and has no curl. It asks the admin port at each
address of HOST, for a minute if need be: after an upgrade the Lease changes hands. Exit 1 says what is wrong.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from typing import Final

SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.5
ASK_SECONDS: Final = 2.0
LEADING, STANDING_BY = "leading", "standing by"  # what a ready operator says of itself
USAGE: Final = "usage: python -m push_operator.selfcheck HOST PORT COUNT [SECONDS]"
EXIT_WRONG, EXIT_USAGE = 1, 64  # sysexits.h EX_USAGE


def wrong(answers: Mapping[str, str], count: int) -> str | None:
    """What is not as it should be, of what each address says; None: all is well."""
    unwell = [f"{address}: {said}" for address, said in answers.items() if said not in (LEADING, STANDING_BY)]
    leading = [address for address, said in answers.items() if said == LEADING]
    if unwell:
        return f"not every operator is ready: {', '.join(unwell)}"
    if len(answers) < count:
        return f"{len(answers)} of {count} operators are ready"
    if not leading:
        return "no operator leads"
    return f"more than one operator leads: {', '.join(leading)}" if len(leading) > 1 else None


def check(addresses: Callable[[], Sequence[str]], port: int, count: int, seconds: float) -> tuple[str | None, str]:
    """What is still wrong after `seconds`, and what the operators said last."""
    end = time.monotonic() + seconds
    while True:
        answers = {address: _readyz(address, port) for address in addresses()}
        fault = wrong(answers, count)
        if fault is None or time.monotonic() >= end:
            return fault, "\n".join(f"{address}: {said}" for address, said in answers.items())
        time.sleep(POLL_SECONDS)


def _readyz(address: str, port: int) -> str:
    connection = HTTPConnection(address, port, timeout=ASK_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().read().decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()


def _resolved(host: str) -> list[str]:
    """Each address once; none while no operator is ready: the Service has no name then."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return []
    return sorted({str(address[0]) for *_, address in found})


def main(arguments: Sequence[str]) -> int:
    try:
        host, port, count, seconds = [*arguments, str(SECONDS)] if len(arguments) == 3 else arguments
        asked = int(port), int(count), float(seconds)
    except ValueError:
        sys.stderr.write(f"{USAGE}\n")
        return EXIT_USAGE
    fault, said = check(lambda: _resolved(host), *asked)
    sys.stderr.write(f"{said or f'{host} has no address'}\n")
    if fault is None:
        return 0
    sys.stderr.write(f"{fault}\n")
    return EXIT_WRONG


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
