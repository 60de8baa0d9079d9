"""Requests of OpenSSL to renegotiate TLS 1.2, which we refuse (RFC 5246 7.2.2)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from authority import SERVER_NAME, Authority
from OpenSSL import SSL

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription, AlertReceived
from trio_tlsx.handshake.wants import Want

A_LOT = 2**16  # bytes, more than one flight has


def pair(authority: Authority, role: str) -> tuple[Connection, SSL.Connection]:
    """Our side in this role, and OpenSSL's, in memory; nothing is said yet."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    if role == "server":
        config = ServerConfig(versions=["TLSv1.2"], credentials=authority.credentials())
        theirs = SSL.Connection(context, None)
        theirs.set_connect_state()
        return Connection.server(config), theirs
    chain, key = authority.files()
    context.use_certificate_chain_file(chain)
    context.use_privatekey_file(key)
    theirs = SSL.Connection(context, None)
    theirs.set_accept_state()
    config = ClientConfig(versions=["TLSv1.2"], trust=authority.ca.trust)
    return Connection.client(config, SERVER_NAME), theirs


def carry(ours: Connection, theirs: SSL.Connection) -> bool:
    """Carry everything over, in both directions; return whether there was something."""
    sent = ours.data_to_send()
    if sent:
        theirs.bio_write(sent)
    try:
        received = theirs.bio_read(A_LOT)
    except SSL.WantReadError:
        received = b""
    if received:
        ours.receive_data(received)
    return bool(sent or received)


def shake_hands(ours: Connection, theirs: SSL.Connection) -> None:
    is_moving = True
    while is_moving:
        ours.do_handshake()
        with suppress(SSL.WantReadError):
            theirs.do_handshake()
        is_moving = carry(ours, theirs)


@pytest.mark.parametrize("role", ["client", "server"])
def test_openssl_gets_no_renegotiation(authority: Authority, role: str) -> None:
    """It then ends the connection, because it has asked for a reason."""
    ours, theirs = pair(authority, role)
    shake_hands(ours, theirs)
    theirs.renegotiate()
    with suppress(SSL.WantReadError):  # its server does not wait for the answer here
        theirs.do_handshake()
    carry(ours, theirs)
    assert ours.read() is Want.READ
    assert carry(ours, theirs)
    with pytest.raises(SSL.Error, match="no renegotiation"):
        theirs.recv(1)
    carry(ours, theirs)
    with pytest.raises(AlertReceived) as caught:
        ours.read()
    assert caught.value.alert is AlertDescription.handshake_failure
