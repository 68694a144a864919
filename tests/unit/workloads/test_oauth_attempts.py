"""A login on its way: sealed, and opened by nobody else, for nothing else, and not too late. And the settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.auth.oauth.attempts import (
    MAX_SEALED,
    NONCE_BYTES,
    Attempt,
    challenge_of,
    cookie_name,
    key_of,
    opened,
    seal,
)
from push_workloads.auth.oauth.config import GitHubClient, OAuthConfig, OidcClient, is_safe
from push_workloads.auth.oauth.oidc import metadata_of, with_userinfo
from push_workloads.auth.oauth.people import ProviderFailed
from push_workloads.common.config import ConfigError, Env

NOW = 1_700_000_000
KEY = key_of(b"k" * 32)
ATTEMPT = Attempt(
    "github", "the state", "nonce", "v" * 64, f"https://chat.example.com/{'x' * 480}", "c" * 43, NOW + 600
)
SEALED = seal(ATTEMPT, KEY, bytes(NONCE_BYTES))


def test_it_comes_back_whole() -> None:
    assert opened(SEALED, KEY, "github", "the state", NOW) == ATTEMPT
    assert len(SEALED) < MAX_SEALED


def test_it_is_good_for_nothing_else() -> None:
    assert opened(SEALED, KEY, "google", "the state", NOW) is None
    assert opened(SEALED, KEY, "github", "another state", NOW) is None
    assert opened(SEALED, KEY, "github", "", NOW) is None
    assert opened(SEALED, KEY, "github", "the state", NOW + 599) == ATTEMPT
    assert opened(SEALED, KEY, "github", "the state", NOW + 600) is None
    assert opened(SEALED, key_of(b"l" * 32), "github", "the state", NOW) is None
    assert opened(None, KEY, "github", "the state", NOW) is None


@given(st.integers(0, len(SEALED) - 1), st.sampled_from("ABab01-_=+/ \né"))
def test_whoever_changes_a_letter_has_nothing(at: int, letter: str) -> None:
    changed = SEALED[:at] + letter + SEALED[at + 1 :]
    found = opened(changed, KEY, "github", "the state", NOW)
    assert found is None or changed == SEALED or found == ATTEMPT


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.hex()))
def test_whatever_a_cookie_holds(text: str) -> None:
    assert opened(text, KEY, "github", "the state", NOW) is None


def test_nothing_in_it_can_be_read() -> None:
    assert "github" not in SEALED
    assert "chat" not in SEALED


def test_cookies_are_the_hosts_own_where_there_is_tls() -> None:
    assert cookie_name("a", secure=True).startswith("__Host-push-oauth-")
    assert cookie_name("a", secure=False).startswith("push-oauth-")
    assert cookie_name("a", secure=True) != cookie_name("b", secure=True)


def test_the_challenge_of_the_standard() -> None:
    """RFC 7636, appendix B."""
    assert challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


# Settings ----------------------------------------------------------------------------------------------------------

GITHUB = {
    "OAUTH_GITHUB_CLIENT_ID": "id", "OAUTH_GITHUB_CLIENT_SECRET": "secret",
    "OAUTH_GITHUB_REDIRECT_URL": "https://chat.example.com/oauth/github/callback",
    "OAUTH_RETURN_URLS": "https://chat.example.com/, com.example.app:/login",
}  # fmt: skip
ACME = {
    "OAUTH_PROVIDERS": "acme", "OAUTH_ACME_ISSUER": "https://login.acme.example/realm",
    "OAUTH_ACME_CLIENT_ID": "id", "OAUTH_ACME_CLIENT_SECRET": "secret", "OAUTH_ACME_LABEL": "Acme Login",
    "OAUTH_ACME_REDIRECT_URL": "https://chat.example.com/oauth/acme/callback",
    "OAUTH_RETURN_URLS": "https://chat.example.com/",
}  # fmt: skip


def _read(values: dict[str, str]) -> OAuthConfig:
    env = Env(values)
    made = OAuthConfig.read(env)
    env.check()
    return made


def test_what_is_set_is_there() -> None:
    assert _read({}) == OAuthConfig()
    made = _read({**GITHUB, **ACME, "OAUTH_RETURN_URLS": GITHUB["OAUTH_RETURN_URLS"]})
    assert made.return_urls == ("https://chat.example.com/", "com.example.app:/login")
    github, acme = made.clients
    assert isinstance(github, GitHubClient)
    assert (github.url, github.api_url, github.secure) == ("https://github.com", "https://api.github.com", True)
    assert isinstance(acme, OidcClient)
    assert (acme.name, acme.label, acme.issuer) == ("acme", "Acme Login", "https://login.acme.example/realm")
    assert "secret" not in repr(made)
    google = {name.replace("GITHUB", "GOOGLE"): text.replace("github", "google") for name, text in GITHUB.items()}
    (one,) = _read(google).clients
    assert isinstance(one, OidcClient)
    assert (one.label, one.issuer) == ("Google", "https://accounts.google.com")


FAULTS = {
    "no secret": ({**GITHUB, "OAUTH_GITHUB_CLIENT_SECRET": ""}, "OAUTH_GITHUB_CLIENT_SECRET"),
    "no redirect": ({**GITHUB, "OAUTH_GITHUB_REDIRECT_URL": ""}, "OAUTH_GITHUB_REDIRECT_URL"),
    "a redirect without TLS": (
        {**GITHUB, "OAUTH_GITHUB_REDIRECT_URL": "http://chat.example.com/oauth/github/callback"},
        "OAUTH_GITHUB_REDIRECT_URL"),
    "a redirect to another path": (
        {**GITHUB, "OAUTH_GITHUB_REDIRECT_URL": "https://chat.example.com/oauth/google/callback"},
        "OAUTH_GITHUB_REDIRECT_URL"),
    "no way back": ({**GITHUB, "OAUTH_RETURN_URLS": ""}, "OAUTH_RETURN_URLS"),
    "a way back without TLS": ({**GITHUB, "OAUTH_RETURN_URLS": "http://chat.example.com/"}, "OAUTH_RETURN_URLS"),
    "a way back that is a program": ({**GITHUB, "OAUTH_RETURN_URLS": "javascript:alert(1)"}, "OAUTH_RETURN_URLS"),
    "a way back with a query": ({**GITHUB, "OAUTH_RETURN_URLS": "https://chat.example.com/?a=b"}, "OAUTH_RETURN_URLS"),
    "an app's with a query": ({**GITHUB, "OAUTH_RETURN_URLS": "com.example.app:/?a"}, "OAUTH_RETURN_URLS"),
    "a way back with a fragment": ({**GITHUB, "OAUTH_RETURN_URLS": "https://chat.example.com/#a"}, "OAUTH_RETURN_URLS"),
    "GitHub without TLS": ({**GITHUB, "OAUTH_GITHUB_API_URL": "http://api.github.com"}, "OAUTH_GITHUB_API_URL"),
    "no issuer": ({**ACME, "OAUTH_ACME_ISSUER": ""}, "OAUTH_ACME_ISSUER"),
    "an issuer without TLS": ({**ACME, "OAUTH_ACME_ISSUER": "http://login.acme.example"}, "OAUTH_ACME_ISSUER"),
    "a name that is none": ({**ACME, "OAUTH_PROVIDERS": "acme,Not-A-Name"}, "OAUTH_PROVIDERS"),
    "a name twice": ({**ACME, "OAUTH_PROVIDERS": "acme,acme"}, "OAUTH_PROVIDERS"),
    "a name that is taken": ({**ACME, "OAUTH_PROVIDERS": "acme,github"}, "OAUTH_PROVIDERS"),
}  # fmt: skip


@pytest.mark.parametrize(("values", "named"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named_and_holds_no_secret(values: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _read(values)
    assert any(named in fault for fault in caught.value.faults)
    assert "secret" not in str(caught.value).replace("CLIENT_SECRET", "")


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://a.example", True), ("http://localhost:80/x", True), ("http://127.0.0.1:1", True),
        ("http://[::1]:1/", True), ("http://a.example", False), ("https://", False), ("https://u:p@a.example", False),
        ("https://a.example/ b", False), ("https://a.example:0x", False), ("https://[", False), ("ftp://a", False),
        ("http://127.0.0.1.evil.example", False), ("https://a.example/é", False), ("https://a" + "a" * 600, False),
    ],
)  # fmt: skip
def test_where_secrets_may_go(url: str, safe: bool) -> None:
    assert is_safe(url) == safe


@pytest.mark.parametrize("told", [None, [], {}, {"sub": "8"}, {"sub": ["7"]}, {"email": "eve@example.com"}])
def test_userinfo_of_somebody_else(told: object) -> None:
    with pytest.raises(ProviderFailed):
        with_userinfo({"sub": "7"}, told)


def test_userinfo_adds_what_it_is_asked_for() -> None:
    told = {"sub": "7", "email": "a@b.example", "email_verified": True, "iss": "https://evil.example"}
    assert with_userinfo({"sub": "7", "iss": "x"}, told) == {**told, "iss": "x"}


# Discovery ----------------------------------------------------------------------------------------------------------

DOCUMENT = {
    "issuer": "https://login.example",
    "authorization_endpoint": "https://login.example/auth",
    "token_endpoint": "https://login.example/token",
    "jwks_uri": "https://keys.example/jwks",
    "userinfo_endpoint": "http://plain.example/me",
    "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"],
}


def test_discovery() -> None:
    found = metadata_of(DOCUMENT, "https://login.example")
    assert found.method == "client_secret_post"
    assert found.userinfo_url is None  # not over TLS: it is not asked
    assert not found.says_issuer
    assert metadata_of({**DOCUMENT, "authorization_response_iss_parameter_supported": True}, DOCUMENT["issuer"])[5]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://login.example/"}, {"issuer": "https://evil.example"}, {"token_endpoint": None},
        {"token_endpoint": "http://login.example/token"}, {"jwks_uri": 1}, {"authorization_endpoint": "javascript:x"},
    ],
)  # fmt: skip
def test_a_discovery_that_is_not_to_be_used(change: dict[str, object]) -> None:
    with pytest.raises(ProviderFailed):
        metadata_of({**DOCUMENT, **change}, "https://login.example")
    with pytest.raises(ProviderFailed):
        metadata_of([DOCUMENT], "https://login.example")
