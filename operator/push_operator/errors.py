"""What can go wrong in the operator, as values that a person can act on."""

from __future__ import annotations

from dataclasses import dataclass


class OperatorError(Exception):
    """Base of the operator's own errors; the text is one line that names the fix."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a manifest: where, and what is allowed there."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class SpecError(OperatorError):
    """The manifest is refused as a whole; nothing of it was applied."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class ClusterError(OperatorError):
    """The cluster cannot do what was asked; the text says what to change."""


class Rejected(ClusterError):
    """Trying again changes nothing until a person does: told in the status as Stalled, for this `reason`."""

    reason = "Rejected"


class Unreachable(Rejected):
    """A server that the manifest names is not there; nothing was applied."""

    reason = "Unreachable"


class Forbidden(Rejected):
    """The operator may not do it here: a right, a quota or a policy is in the way."""

    reason = "Forbidden"


class NotFound(ClusterError):
    """There is no such object."""


class Conflict(ClusterError):
    """The object is another one than was read, or exists already: read again, then decide again."""


class NotLeading(ClusterError):
    """This process may not write: another one may be the leader by now."""
