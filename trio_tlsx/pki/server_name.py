"""The name by which a client knows its server: a DNS name or an IP address."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from dataclasses import dataclass

from cryptography import x509

from ..errors import ConfigError

__all__ = ["ServerName"]

#: RFC 1035 2.3.4 in the text form: 255 octets on the wire, less the first length and the root.
MAX_NAME_LENGTH = 253
MAX_LABEL_LENGTH = 63

# RFC 952 and RFC 1123 2.1: letters, digits, and hyphens that are neither first nor last.
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ServerName:
    """A name in the one form in which it is sent and compared.

    Attributes:
        host: a DNS name in lower-case A-labels without a trailing dot, or an IP address in its
            canonical form.
        address: the IP address, or None for a DNS name.
    """

    host: str
    address: ipaddress.IPv4Address | ipaddress.IPv6Address | None = None

    @classmethod
    def parse(cls, name: str) -> ServerName:
        """Make it from what people write.

        Args:
            name: a DNS name, internationalised or not, with or without a trailing dot; or an
                IPv4 or IPv6 address.

        Raises:
            ConfigError: it is neither, or no certificate could be for it.
        """
        if "%" in name:
            raise ConfigError(
                f"server name {name!r} has a scope id; that means something on this machine only "
                "and no certificate names it: give the address without '%' and what follows"
            )
        # Both kinds of address show at a glance; trying every name would cost 10 us.
        if ":" in name or name[-1:].isdigit():
            with contextlib.suppress(ValueError):
                address = ipaddress.ip_address(name)
                return cls(str(address), address)
        return cls(_dns_name(name))

    @property
    def sni(self) -> bytes | None:
        """What the server_name extension says; None for an address, which RFC 6066 3 bars."""
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
    if len(label) > MAX_LABEL_LENGTH:
        raise ConfigError(
            f"server name {name!r} has a label of {len(label)} characters; "
            f"DNS allows {MAX_LABEL_LENGTH}"
        )
    if LABEL.fullmatch(label):
        return
    if "_" in label:
        # cryptography's verifier knows no such names, so none could ever be verified.
        raise ConfigError(
            f"server name {name!r} has an underscore, which host names may not have "
            "(RFC 1123 2.1) and which cannot be verified: give the server a name without one"
        )
    if ":" in name or "/" in name or "[" in name:
        raise ConfigError(
            f"server name {name!r} is not a bare host name or IP address: "
            "leave out scheme, port, path and brackets"
        )
    raise ConfigError(
        f"server name {name!r} is not a DNS name: {label!r} is not made of letters, digits "
        "and inner hyphens"
    )


def _to_ascii(name: str) -> str:
    import idna  # comes with trio; most programs never need its tables

    try:
        # UTS 46 maps what people type (capitals, wide forms, ideographic dots) as browsers do.
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise ConfigError(f"server name {name!r} has no form in DNS: {error}") from error
