"""Whose request it is, with proxies before a service."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common.addresses import client_address, networks

PROXIES = networks(["10.0.0.0/8", "fd00::/8"])


@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),  # whoever is no proxy may say what they like
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.7, 192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.7, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.7", "192.0.2.1, fd00::2"], "192.0.2.1"),
        ("::ffff:10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["192.0.2.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("", ["192.0.2.1"], ""),
    ],
)
def test_the_nearest_that_is_no_proxy(remote: str, forwarded: list[str], address: str) -> None:
    assert client_address(remote, forwarded, PROXIES) == address


@given(st.text(max_size=60), st.ip_addresses(v=4))
def test_nobody_says_who_they_are_themselves(said: str, real: ipaddress.IPv4Address) -> None:
    if real not in PROXIES[0]:
        assert client_address("10.0.0.1", [f"{said}, {real}"], PROXIES) == str(real)
        assert client_address(str(real), [said], PROXIES) == str(real)


def test_what_is_no_network_is_told() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/33"):
        networks(["10.0.0.1/8", "10.0.0.0/33"])
