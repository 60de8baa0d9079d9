"""The check that a second ClientHello repeats the first one (RFC 9846 4.2.2)."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from dataclasses import replace

from ..errors import AlertDescription, ProtocolError
from ..messages.extensions import ExtensionType
from ..messages.handshake import ClientHello, ServerHello
from .group_selection import key_shares

__all__ = ["check_second_client_hello"]

_E = ExtensionType

#: The extensions that may differ between the two ClientHellos (RFC 9846 4.2.2).
_MAY_CHANGE = {
    _E.key_share,
    _E.early_data,
    _E.cookie,
    _E.pre_shared_key,
    _E.padding,
    # RFC 9849 6.1.5: the client encrypts its second inner hello anew.
    _E.encrypted_client_hello,
}


def check_second_client_hello(first: ClientHello, second: ClientHello, retry: ServerHello) -> None:
    """Check that the client changed only what the HelloRetryRequest asked to change."""
    if without_extensions(first, _MAY_CHANGE) != without_extensions(second, _MAY_CHANGE):
        raise ProtocolError(
            "the peer's second ClientHello differs from the first in more than the "
            "HelloRetryRequest asked for"
        )
    if _E.early_data in second.extensions:
        raise ProtocolError("the peer offers early data after a HelloRetryRequest")
    shares = key_shares(second)
    if _E.key_share not in retry.extensions:
        # A JDK generates new keys, of groups that it sent a share of before.
        if not shares.keys() <= key_shares(first).keys():
            raise ProtocolError(
                "the peer's second ClientHello has a key share for another group, "
                "but the HelloRetryRequest asked for none"
            )
    elif len(shares) != 1:
        raise ProtocolError(f"the peer sent {len(shares)} key shares, and was asked for one")
    expected = retry.extensions.get(_E.cookie)
    cookie = second.extensions.get(_E.cookie)
    if expected is None:
        if cookie is not None:
            raise ProtocolError(
                "the peer's second ClientHello has a cookie, which was not sent to it"
            )
    elif cookie is None:
        raise ProtocolError(
            "the peer's second ClientHello lacks the cookie",
            AlertDescription.missing_extension,
        )
    elif not hmac.compare_digest(cookie, expected):
        raise ProtocolError(
            "the cookie of the peer's second ClientHello is not that of the HelloRetryRequest"
        )


def without_extensions(hello: ClientHello, omitted: Collection[int]) -> ClientHello:
    rest = {code: body for code, body in hello.extensions.items() if code not in omitted}
    return replace(hello, extensions=rest)
