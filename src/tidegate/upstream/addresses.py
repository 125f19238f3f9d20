"""Which addresses may be called on behalf of somebody who has only given us a URL. Pure.

Machines in clouds are told their credentials at link-local and a few other fixed addresses, by whoever asks from
there. Nobody has to reach those through us. Loopback and private networks are where teams run their own services, and
are allowed.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address

_REFUSED: Final = tuple(
    ip_network(network)
    for network in (
        "169.254.0.0/16",  # link-local (RFC 3927): metadata of AWS, Google, Azure, DigitalOcean and others
        "100.100.100.200/32",  # metadata of Alibaba Cloud
        "168.63.129.16/32",  # Azure's host agent
        "192.0.0.192/32",  # metadata of Oracle Cloud
        "0.0.0.0/8",  # "this network" (RFC 1122): what it leads to depends on the system
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "::/128",
        "fe80::/10",  # link-local (RFC 4291)
        "fec0::/10",  # site-local, long deprecated
        "fd00:ec2::/32",  # metadata and other services of AWS instances
        "fd20:ce::254/128",  # metadata of Google
        "ff00::/8",  # multicast
    )
)
# IPv6 addresses with an IPv4 address in them, by where it is: the bits behind it.
_EMBEDDING: Final = (
    (ip_network("::ffff:0:0/96"), 0),  # mapped (RFC 4291 section 2.5.5.2)
    (ip_network("::/96"), 0),  # compatible (section 2.5.5.1)
    (ip_network("64:ff9b::/96"), 0),  # translated (RFC 6052)
    (ip_network("64:ff9b:1::/96"), 0),  # the same, locally (RFC 8215)
    (ip_network("2002::/16"), 80),  # 6to4 (RFC 3056)
)


def may_be_called(text: str) -> bool:
    """Whether an address, as a socket has it, is none of those that nobody may reach through us."""
    address = ip_address(text.partition("%")[0])
    return not any(_is_refused(each) for each in _meanings(address))


def _meanings(address: Address) -> list[Address]:
    """The address, and the one that a network may make of it."""
    if isinstance(address, IPv4Address):
        return [address]
    inner = [IPv4Address(int(address) >> bits & 0xFFFFFFFF) for network, bits in _EMBEDDING if address in network]
    # ``::1`` and ``::`` look like compatible ones of 0.0.0.1 and 0.0.0.0.
    return [address] if address.is_loopback else [address, *inner]


def _is_refused(address: Address) -> bool:
    return any(address in network for network in _REFUSED)
