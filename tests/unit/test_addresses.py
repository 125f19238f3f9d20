"""Which addresses may be called for somebody who has given us a URL."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.upstream.addresses import may_be_called


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "10.0.0.7",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "fd12:3456::1",
        "8.8.8.8",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::808:808",
        "169.253.255.255",
        "169.255.0.0",
        "168.63.129.17",
    ],
)
def test_loopback_private_and_public_addresses_may(address: str) -> None:
    """Teams run their services there."""
    assert may_be_called(address)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.0",
        "169.254.255.255",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0",  # noqa: S104 - nothing is bound
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "febf::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "ff02::1",
        "fec0::1",
    ],
)
def test_where_machines_are_told_their_credentials_nobody_may(address: str) -> None:
    """Link-local, metadata, multicast and reserved addresses."""
    assert not may_be_called(address)


@given(st.ip_addresses(v=4))
def test_an_address_within_another_is_as_good_as_itself(inner: ipaddress.IPv4Address) -> None:
    """Whatever a network makes of an IPv6 address that has an IPv4 address in it."""
    number = int(inner)
    for address in (
        ipaddress.IPv6Address(0xFFFF << 32 | number),
        ipaddress.IPv6Address(0x0064_FF9B << 96 | number),
        ipaddress.IPv6Address(0x2002 << 112 | number << 80 | 1),
    ):
        assert may_be_called(str(address)) == may_be_called(str(inner))
