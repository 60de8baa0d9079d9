"""What the hellos of both sides have in common (RFC 9846 4.2)."""

from __future__ import annotations

from ..crypto.groups import Group
from ..errors import AlertDescription, ProtocolError
from ..messages.extensions import ExtensionType
from ..messages.handshake import ClientHello
from ..messages.versions import TLS12

__all__ = [
    "NO_COMPRESSION",
    "bad_key_share",
    "check_legacy_version",
    "require",
]

NO_COMPRESSION = b"\0"


def check_legacy_version(legacy_version: int) -> None:
    """Check what every hello of TLS 1.3 says in this field (RFC 9846 4.2.2, 4.2.3)."""
    if legacy_version != TLS12:
        raise ProtocolError(
            f"the other side's legacy_version is {legacy_version:#06x}, not {TLS12:#06x}",
            AlertDescription.protocol_version,
        )


def require(hello: ClientHello, *needed: ExtensionType) -> None:
    """Check that these extensions are there (RFC 9846 9.2)."""
    for extension in needed:
        if extension not in hello.extensions:
            raise ProtocolError(
                f"the other side's ClientHello lacks {extension.name}",
                AlertDescription.missing_extension,
            )


def bad_key_share(group: Group) -> ProtocolError:
    return ProtocolError(f"the other side's key share for {group.name} is not valid")
