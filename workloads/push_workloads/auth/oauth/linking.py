"""Which account a person gets who comes from a provider. Pure.

An e-mail address joins two accounts only when both sides have proved that it is theirs. Who registers here with a
password has not: anybody can type in somebody else's address, wait until its owner comes by Google, and then share an
account with them (pre-hijacking); and the other way round, an account with an unproved address would be handed to
whoever gets that address later. So the provider must have verified the address, and the account must have an identity
(another provider's) with the very same verified address. All others are told to log in first, and to link then: which
both takes the password and the provider's login, and asks for no address at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from push_workloads.auth.accounts import Account
from push_workloads.auth.oauth.identities import Identity
from push_workloads.auth.oauth.people import Person
from push_workloads.common.errors import Conflict, Forbidden, PushError

PENDING_MS: Final = 30_000  # after it, an identity without an account is what a crash or a deletion left


class EmailRequired(Forbidden):
    code = "email_required"


class AccountExists(Conflict):
    code = "account_exists"


@dataclass(frozen=True, slots=True)
class SignIn:
    account: Account


@dataclass(frozen=True, slots=True)
class Link:
    """The person's identity becomes one of the account's."""

    account: Account


@dataclass(frozen=True, slots=True)
class Create:
    email: str


Decision = SignIn | Link | Create


def decide(person: Person, known: Account | None, of_email: Account | None, its: Iterable[Identity]) -> Decision:
    """`known`: whose the person's identity is. `of_email`: who has the person's address here, with all its identities
    in `its`. Raises EmailRequired, AccountExists."""
    if known is not None:
        return SignIn(known)
    if person.email is None:
        raise EmailRequired("that account has no verified e-mail address: verify one there, then log in again")
    if of_email is None:
        return Create(person.email)
    if any(one.user_id == of_email.id and one.email == of_email.email == person.email for one in its):
        return Link(of_email)
    raise AccountExists("there is an account with this e-mail already: log in with its password, then link this login")


def not_the_owners(account: Account, its: Iterable[Identity]) -> list[Identity]:
    """Those that go when somebody has proved to have the account's address: whoever held the account before may have
    been another, and have linked a login of theirs to come back by."""
    return [one for one in its if one.email != account.email]


def refusal_to_link(user_id: str, held: Identity | None) -> PushError | None:
    """Why a user who is logged in cannot have this identity as well."""
    if held is not None and held.user_id != user_id:
        return Conflict("that login belongs to another account here: unlink it there first")
    return None


def refusal_to_unlink(one: Identity, others: int) -> PushError | None:
    """The way in of an account that has had no other must stay: its password is known to nobody."""
    if one.founding and others == 0:
        return Conflict("this is the only way into your account: link another login first")
    return None
