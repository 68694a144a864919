"""How things are called, and the revision hash."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from push_operator.tokens import TokenSpec

REVISION_KEY: Final = "REVISION_KEY"  # in the generated Secret: what digests of the user's Secrets are keyed with
ADMIN_KEY: Final = "ADMIN_TOKEN"  # there, too: what makes orders to the gateways' admin ports good

REFRESH_KEY: Final = "REFRESH_SECRET"  # there, too: what refresh tokens are made with
VAPID_SEED: Final = "VAPID_SEED"  # there, too, and the variable: what the key for Web Push is made of


def component_name(cluster: str, component: str) -> str:
    return f"{cluster}-{component}"


def credentials_name(cluster: str) -> str:
    """The Secret with the passwords and keys that the operator made for this cluster."""
    return f"{cluster}-credentials"


def password_key(component: str, service: str) -> str:
    """The key in that Secret for one service's password at one backing service."""
    return f"{component.upper()}_PASSWORD_{service.upper()}"


def signing_key_names(tokens: TokenSpec) -> tuple[str, ...]:
    """The keys in that Secret, and the variables, with what signs access tokens; none where the user brings that."""
    return tuple(f"SIGNING_KEY_{made}" for made in tokens.key_times) if tokens.makes_keys else ()


def revision(*inputs: Any) -> str:
    """Eight hex digits over JSON-able inputs: equal inputs, equal revision, whatever the operator's version."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
