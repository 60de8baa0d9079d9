"""The server's name: a DNS name or an IP address."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple

from cryptography import x509

from ..errors import ConfigError

__all__ = ["ServerName"]

#: RFC 1035 2.3.4 in the text form: 255 octets on the wire, less the first length and the root.
MAX_NAME_LENGTH = 253

#: A client connects to the same names again, and parsing one takes 3 us.
MAX_PARSED_NAMES = 256
MAX_DNS_LABEL_LENGTH = 63

# RFC 952 and RFC 1123 2.1: letters, digits, and hyphens that are neither first nor last.
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)
# DNS has other names than those of hosts, such as names of services and of containers.
DNS_LABEL = re.compile(r"[a-z0-9_-]+", re.ASCII)

# UTS 46 2.3: the separators of labels in other scripts.
DOTS = re.compile("[.\u3002\uff0e\uff61]")


class ServerName(NamedTuple):
    """A name in the one form in which it is sent and compared.

    Attributes:
        host: a DNS name in lower-case A-labels without a trailing dot, or an IP address in its
            canonical form.
        address: the IP address, or None for a DNS name.
    """

    host: str
    address: ipaddress.IPv4Address | ipaddress.IPv6Address | None = None

    @staticmethod
    @lru_cache(maxsize=MAX_PARSED_NAMES)
    def parse(name: str) -> ServerName:
        """Parse the name that a program passes as ``server_hostname``.

        Args:
            name: a DNS name, internationalized or not, with or without a trailing dot; or an
                IPv4 or IPv6 address. An address may have a scope id, such as ``fe80::1%eth0``,
                which is dropped: it has a meaning on this machine only (RFC 4007 11.2), so no
                certificate names it.

        Raises:
            ConfigError: ``name`` is neither.
        """
        # Both kinds of address can be told by one character; parsing every name costs 10 us.
        if ":" in name or name[-1:].isdigit():
            with contextlib.suppress(ValueError):
                address = ipaddress.ip_address(name.partition("%")[0] if ":" in name else name)
                return ServerName(str(address), address)
        return ServerName(_dns_name(name))

    @property
    def is_host_name(self) -> bool:
        """Whether this is an IP address, or a name that a host may have (RFC 1123 2.1).

        Other DNS names, such as ``my_db``, are compared exactly, without wildcards, and the
        verifier of ``cryptography`` cannot apply name constraints to them.
        """
        return self.address is not None or all(map(LABEL.fullmatch, self.host.split(".")))

    @property
    def sni(self) -> bytes | None:
        """The name for the server_name extension; None for an address (RFC 6066 3)."""
        return None if self.address else self.host.encode("ascii")

    @property
    def subject(self) -> x509.DNSName | x509.IPAddress:
        """The name in the form in which certificates hold it."""
        return x509.DNSName(self.host) if self.address is None else x509.IPAddress(self.address)

    def __str__(self) -> str:
        return self.host


def _dns_name(name: str) -> str:
    host = name if name.isascii() else _to_ascii(name)
    host = host.lower().removesuffix(".")
    if not host:
        raise ConfigError("the server name is empty")
    if len(host) > MAX_NAME_LENGTH:
        raise ConfigError(
            f"server name {host[:40]!r}... has {len(host)} characters; "
            f"DNS allows {MAX_NAME_LENGTH}"
        )
    labels = host.split(".")
    for label in labels:
        _check_label(name, label)
    # WHATWG URL 3.5: a host whose last label is a number is an IPv4 address, or nothing at all.
    if labels[-1].isdigit():
        raise ConfigError(f"server name {name!r} is neither a DNS name nor a whole IP address")
    return host


def _check_label(name: str, label: str) -> None:
    if not label:
        raise ConfigError(f"server name {name!r} has an empty label between two dots")
    if len(label) > MAX_DNS_LABEL_LENGTH:
        raise ConfigError(
            f"server name {name!r} has a label of {len(label)} characters; "
            f"DNS allows {MAX_DNS_LABEL_LENGTH}"
        )
    if DNS_LABEL.fullmatch(label):
        return
    if ":" in name or "/" in name or "[" in name:
        raise ConfigError(
            f"server name {name!r} is not a bare host name or IP address: "
            "leave out scheme, port, path and brackets"
        )
    raise ConfigError(
        f"server name {name!r} is not a DNS name: {label!r} is not made of letters, digits, "
        "hyphens and underscores"
    )


def _to_ascii(name: str) -> str:
    import idna  # comes with trio; most programs never need its tables

    try:
        # UTS 46 maps capitals, wide forms and ideographic dots, as browsers do. It rejects
        # underscores, so ASCII labels are left out.
        return ".".join(
            label if label.isascii() else idna.encode(label, uts46=True).decode("ascii")
            for label in DOTS.split(name)
        )
    except idna.IDNAError as error:
        raise ConfigError(f"server name {name!r} has no form in DNS: {error}") from error
