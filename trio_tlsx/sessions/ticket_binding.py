"""The binding of a session ticket to the context that it was issued in.

A server accepts a ticket only in this context. The context is the additional data of the ticket's
encryption, so the ticket cannot be decrypted in another context.

A ticket is also limited in time: see ``ServerSession.is_usable`` in
``handshake/resumption_server.py``. Its PSK has a hash, which the hash of the cipher suite must
equal (RFC 9846 4.3.11).
"""

from __future__ import annotations

import hashlib

from ..messages.codec import uint8

__all__ = ["FORM_VERSION", "context"]

#: The version of a ticket's content. Increment it with each change of ``ServerSession.encode``.
FORM_VERSION = 2


def context(client_policy: bytes, leaf: bytes, server_name: bytes) -> bytes:
    """Return the context of a ticket.

    Servers that share ticket keys may differ in each part. A ticket of one of them is then none of
    the other's, and the client gets a full handshake.

    Args:
        client_policy: a digest of the rules by which this server authenticates clients.
        leaf: the server's certificate or its raw public key, in DER.
        server_name: the body of the client's ``server_name`` extension.
    """
    form = uint8(FORM_VERSION)
    return form + client_policy + hashlib.sha256(leaf).digest() + server_name
