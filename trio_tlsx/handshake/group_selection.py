"""A server's selection of the group, and its answer to a key share (RFC 9846 4.3.8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..config.server import ServerParameters
from ..crypto.groups import Group
from ..errors import ProtocolError
from ..messages import extensions as ext
from ..messages.extensions import ExtensionType
from ..messages.handshake import ClientHello
from .hello import bad_key_share

__all__ = [
    "answer_key_share",
    "key_shares",
    "retried_key_share",
    "select_group",
    "supported_groups",
]

_E = ExtensionType


def supported_groups(hello: ClientHello) -> tuple[int, ...]:
    body = hello.extensions.get(_E.supported_groups)
    return () if body is None else ext.decode_uint16_list(body, "supported_groups")


def key_shares(hello: ClientHello) -> Mapping[int, bytes]:
    body = hello.extensions.get(_E.key_share)
    return {} if body is None else ext.decode_key_shares(body)


def select_group(
    config: ServerParameters, common: Sequence[Group], shares: Mapping[int, bytes]
) -> Group:
    """Select one of the common groups; the client has to send its share if it sent none.

    Args:
        common: at least one group, in the server's order of preference.
        shares: the client's key shares.
    """
    if common[0].code in shares or config.retry_for_group == "always":
        return common[0]
    shared = next((group for group in common if group.code in shares), None)
    if shared is None:
        return common[0]
    if config.retry_for_group == "never" or shared.is_post_quantum:
        return shared
    preferred = common[: common.index(shared)]
    return next((group for group in preferred if group.is_post_quantum), shared)


def retried_key_share(hello: ClientHello, group: Group) -> bytes:
    """Return the key share that a second ClientHello must have (RFC 9846 4.3.8)."""
    shares = key_shares(hello)
    if group.code not in shares:
        raise ProtocolError(
            f"the peer's second ClientHello lacks the key share of {group.name} that the "
            "HelloRetryRequest asked for"
        )
    return shares[group.code]


def answer_key_share(group: Group, peer_share: bytes) -> tuple[bytes, bytes]:
    """Return the server's key share and the shared secret."""
    try:
        return group.respond(peer_share)
    except ValueError as error:
        raise bad_key_share(group) from error
