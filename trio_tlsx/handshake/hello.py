"""Checks of the hellos of both roles (RFC 9846 4.2)."""

from __future__ import annotations

from collections.abc import Collection

from ..crypto.groups import Group
from ..errors import AlertDescription, NegotiationError, ProtocolError
from ..messages import extensions as ext
from ..messages.extensions import ExtensionType
from ..messages.handshake import ClientHello
from ..messages.versions import TLS12, VERSION_NAMES, alternatives

__all__ = [
    "NO_COMPRESSION",
    "bad_key_share",
    "check_legacy_version",
    "require",
    "select_version",
]

NO_COMPRESSION = b"\0"


def check_legacy_version(legacy_version: int) -> None:
    """Check what every hello of TLS 1.3 says in this field (RFC 9846 4.2.2, 4.2.3)."""
    if legacy_version != TLS12:
        raise ProtocolError(
            f"the peer's legacy_version is {legacy_version:#06x}, not {TLS12:#06x}",
            AlertDescription.protocol_version,
        )


def select_version(hello: ClientHello, supported: Collection[int]) -> int:
    """Return the newest version that both sides support (RFC 9846 4.3.1).

    Raises:
        NegotiationError: ``protocol_version``, there is none.
    """
    versions = hello.extensions.get(ExtensionType.supported_versions)
    if versions is not None:
        offered = ext.decode_supported_versions(versions)
    else:
        # RFC 9846 4.3.1: it is TLS 1.2 at the most, whatever legacy_version says.
        offered = (min(hello.legacy_version, TLS12),)
    if common := set(supported).intersection(offered):
        return max(common)
    # The error leaves out the reserved values of GREASE (RFC 8701).
    best = max((v for v in offered if v in VERSION_NAMES), default=None)
    name = "no known version" if best is None else f"only {VERSION_NAMES[best]}"
    raise NegotiationError(
        f"this peer offered {name}, and {alternatives(supported)} is required",
        AlertDescription.protocol_version,
    )


def require(hello: ClientHello, *needed: ExtensionType) -> None:
    """Check that these extensions are there (RFC 9846 9.2)."""
    for extension in needed:
        if extension not in hello.extensions:
            raise ProtocolError(
                f"the peer's ClientHello lacks {extension.name}",
                AlertDescription.missing_extension,
            )


def bad_key_share(group: Group) -> ProtocolError:
    return ProtocolError(f"the peer's key share for {group.name} is not valid")
