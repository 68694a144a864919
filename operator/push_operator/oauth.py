"""Logins by providers (OAuth 2.0, OpenID Connect), as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from push_operator.fields import Node

MAX_PROVIDERS: Final = 16
MAX_RETURN_URLS: Final = 50
KNOWN: Final = ("google", "github")  # whose addresses the auth service knows
_PORT: Final = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
# The same expressions as in crds/pushcluster.yaml. Secrets travel to these: over TLS, or not beyond one machine.
_PLACE: Final = rf"(https://[A-Za-z0-9.-]+|http://(localhost|127[.]0[.]0[.]1))(:({_PORT}))?(/[A-Za-z0-9._~/-]*)?"
_APP: Final = "[a-z][a-z0-9+-]*([.][a-z0-9+-]+)+:/[A-Za-z0-9._~/-]*"
ADDRESS: Final = rf"(?=.{{1,512}}$){_PLACE}"
RETURN: Final = rf"(?=.{{1,512}}$)({_PLACE}|{_APP})"
_ADDRESS_MEANS: Final = "an address such as https://login.example.com; http:// for localhost alone"
_RETURN_MEANS: Final = "an address of an app, such as https://chat.example.com/ or com.example.app:/login"
_NAME: Final = "[a-z][a-z0-9]{0,31}"
_NAME_MEANS: Final = "1 to 32 lower-case letters and digits, beginning with a letter"
_LABEL: Final = r"[^\x00-\x1f\x7f\ud800-\udfff]{1,64}"


@dataclass(frozen=True, slots=True)
class LoginProvider:
    """The Secret has the keys `CLIENT_ID` and `CLIENT_SECRET`. `issuer`: of an OpenID provider; `url` and `api_url`: of
    a GitHub of one's own. None: what is known of Google and GitHub."""

    name: str
    label: str | None
    credentials_secret: str
    redirect_url: str
    issuer: str | None
    url: str | None
    api_url: str | None


@dataclass(frozen=True, slots=True)
class LoginProviders:
    """`return_urls`: where a login may go in the end."""

    providers: tuple[LoginProvider, ...] = ()
    return_urls: tuple[str, ...] = ()


def login_providers_of(node: Node) -> LoginProviders:
    """What `spec.auth.oauth` says."""
    for name in ("providers", "returnUrls"):
        if node.given and not node.has(name):
            node.fault(name, "required: providers, and the addresses to which a login may return")
    made = LoginProviders(
        providers=tuple(_provider(one) for one in node.children("providers", MAX_PROVIDERS)),
        return_urls=node.texts("returnUrls", RETURN, _RETURN_MEANS, MAX_RETURN_URLS),
    )
    if len({one.name for one in made.providers}) != len(made.providers):
        node.fault("providers", "must not name one twice")
    node.done()
    return made


def _provider(node: Node) -> LoginProvider:
    for name in ("name", "credentialsSecret", "redirectUrl"):
        if not node.has(name):
            node.fault(name, "required")
    made = LoginProvider(
        name=node.text("name", "", _NAME, _NAME_MEANS),
        label=node.text("label", "", _LABEL, "1 to 64 characters for the button") or None,
        credentials_secret=node.name_of("credentialsSecret") or "",
        redirect_url=node.text("redirectUrl", "", ADDRESS, _ADDRESS_MEANS),
        issuer=node.text("issuer", "", ADDRESS, _ADDRESS_MEANS) or None,
        url=node.text("url", "", ADDRESS, _ADDRESS_MEANS) or None,
        api_url=node.text("apiUrl", "", ADDRESS, _ADDRESS_MEANS) or None,
    )
    _fitting(node, made)
    node.done()
    return made


def _fitting(node: Node, made: LoginProvider) -> None:
    path = f"/oauth/{made.name}/callback"
    if made.redirect_url and not made.redirect_url.endswith(path):
        node.fault("redirectUrl", f"must end with {path}, where the auth service is")
    if made.name not in KNOWN and not node.has("issuer"):
        node.fault("issuer", "required: who an OpenID provider says it is, such as https://login.example.com")
    if made.name == "github" and node.has("issuer"):
        node.fault("issuer", "must not be given for github, which is no OpenID provider: give url and apiUrl")
    if made.name != "github" and (node.has("url") or node.has("apiUrl")):
        node.fault("url" if node.has("url") else "apiUrl", "is for github alone: give issuer")
