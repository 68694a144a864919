"""Reading and writing an object that others write, too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from push_operator.errors import Conflict

TRIES: Final = 3  # a Deployment changes with each pod that becomes ready: what was read may be old at once


async def tried_again(step: Callable[[], Awaitable[None]]) -> None:
    """Does `step`, which reads and then writes, until nobody has written in between. Raises Conflict in the end."""
    for left in reversed(range(TRIES)):
        try:
            await step()
        except Conflict:
            if not left:
                raise
        else:
            return
