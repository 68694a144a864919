"""From which address a request comes, where proxies stand before a service. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Raises ValueError, naming the first that is none."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def client_address(remote: str, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """The nearest address that is no proxy of ours. `forwarded`: the X-Forwarded-For headers, to which each proxy adds
    at the end from whom it has the request; so what stands before a stranger's address is that stranger's word."""
    nearest = remote
    hops = [hop.strip() for line in forwarded for hop in line.split(",")]
    for hop in reversed(hops):
        if not _is_proxy(nearest, proxies) or not _is_address(hop):
            break
        nearest = hop
    return nearest


def _is_proxy(address: str, proxies: Sequence[Network]) -> bool:
    if not _is_address(address):
        return False
    found = ipaddress.ip_address(address)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return any((mapped or found) in network for network in proxies)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
