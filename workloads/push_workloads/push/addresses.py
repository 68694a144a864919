"""Where notifications may be carried to. Whoever registers a device chooses the address of its push service: it must
not lead into our own network. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address


class ForbiddenAddress(OSError):
    """A name that stands for an address within a network of ours. An OSError, as whoever resolves names may raise."""


def is_public(text: str) -> bool:
    """Whether this address, without brackets, is one of the internet at large. An IPv6 address that stands for an IPv4
    one is what that is."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    inner = _within(address) if isinstance(address, IPv6Address) else None
    return _is_global(address if inner is None else inner)


def _is_global(address: IPv4Address | IPv6Address) -> bool:
    site_local = isinstance(address, IPv6Address) and address.is_site_local  # RFC 3879: out of use, not out of networks
    return address.is_global and not (address.is_multicast or address.is_reserved or site_local)


def _within(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def is_literal(host: str) -> bool:
    """Whether this host is an address and no name, which nobody would resolve."""
    try:
        ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return True
