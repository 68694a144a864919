"""Who reads and who writes topics, by prefixes of their names. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

MAX_POLICIES: Final = 200
MAX_LISTED: Final = 1000
Prefix = Annotated[str, Meta(min_length=1, max_length=128)]
Whom = Literal["everyone", "service"]
UserIds = Annotated[list[Annotated[str, Meta(min_length=1, max_length=128)]], Meta(max_length=MAX_LISTED)]


class Policy(Struct, frozen=True, omit_defaults=True):
    """`everyone`: any signed-in user; `service`: the service credential alone. Who is in `readers` or `writers` may as
    well."""

    read: Whom = "service"
    write: Whom = "service"
    readers: UserIds = []
    writers: UserIds = []


class PrefixPolicy(Policy, frozen=True, omit_defaults=True, kw_only=True):
    prefix: Prefix


encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(Policy).decode


class BadPolicies(ValueError):
    """The text is no list of policies."""


def read_policies(text: str) -> dict[str, Policy]:
    """The policies of the manifest, by prefix. Raises BadPolicies."""
    try:
        listed = msgspec.json.decode(text, type=list[PrefixPolicy])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadPolicies(str(error)) from error
    return {one.prefix: one for one in listed}


def policy_for(topic: str, policies: Mapping[str, Policy]) -> Policy | None:
    """The one with the longest prefix; None: nobody but the service credential."""
    fitting = [prefix for prefix in policies if topic.startswith(prefix)]
    return policies[max(fitting, key=len)] if fitting else None


def may_read(policy: Policy | None, user_id: str) -> bool:
    return policy is not None and (policy.read == "everyone" or user_id in policy.readers)


def may_write(policy: Policy | None, user_id: str) -> bool:
    return policy is not None and (policy.write == "everyone" or user_id in policy.writers)


def for_everyone(policy: Policy | None) -> bool:
    """Whether all users have the same rights."""
    return policy is None or not (policy.readers or policy.writers)


def merged(ours: Mapping[str, Policy], stored: Iterable[tuple[str, bytes]]) -> dict[str, Policy]:
    """The manifest's, and over them those that came by the API."""
    return {**ours, **{prefix: decode(policy) for prefix, policy in stored}}
