"""OpenSSL, through the stdlib's ``ssl``, without a transport; to be connected to our engine."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from engine_pairs import MAX_TURNS, SERVER_NAME, authority, credentials

from trio_tlsx.engine.connection import Connection
from trio_tlsx.engine.openssl import OpenSSLConnection
from trio_tlsx.handshake.wants import Want
from trio_tlsx.testing import credentials_to_pem

__all__ = [
    "client_context",
    "exchange_with",
    "load_credentials",
    "openssl_client",
    "openssl_server",
    "server_context",
    "shake_hands_with",
]

DATA = bytes(range(256)) * 200


def load_credentials(context: ssl.SSLContext, folder: Path, key_type: str) -> None:
    """Load the credentials of the engine pairs into a context, which reads files only."""
    path = folder / f"{key_type}.pem"
    path.write_bytes(b"".join(credentials_to_pem(credentials(key_type))))
    context.load_cert_chain(path)


def server_context(
    folder: Path,
    key_type: str = "P-256",
    *,
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    alpn: Sequence[str] = (),
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    load_credentials(context, folder, key_type)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def client_context(
    *, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2, alpn: Sequence[str] = ()
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = newest
    context.load_verify_locations(cadata=authority.pem.decode())
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def openssl_server(context: ssl.SSLContext) -> OpenSSLConnection:
    return OpenSSLConnection(context, server_side=True, server_hostname=None)


def openssl_client(context: ssl.SSLContext) -> OpenSSLConnection:
    return OpenSSLConnection(context, server_side=False, server_hostname=SERVER_NAME)


def shake_hands_with(ours: Connection, theirs: OpenSSLConnection) -> None:
    """Carry everything over until both have finished; raise what either raises."""
    for _ in range(MAX_TURNS):
        wants: list[object] = []
        for one, other in ((ours, theirs), (theirs, ours)):
            wants.append(one.do_handshake())
            if output := one.data_to_send():
                other.receive_data(output)
        if wants == [Want.NOTHING, Want.NOTHING]:
            return
    raise AssertionError("the handshake does not end")


def exchange_with(ours: Connection, theirs: OpenSSLConnection) -> None:
    """Send data in both directions, and close both."""
    for one, other in ((ours, theirs), (theirs, ours)):
        rest, received = memoryview(DATA), bytearray()
        while rest:
            count = one.write(rest)
            assert isinstance(count, int)
            rest = rest[count:]
            other.receive_data(one.data_to_send())
            while isinstance(piece := other.read(), bytes) and piece:
                received += piece
        assert bytes(received) == DATA
    ours.shutdown()
    theirs.receive_data(ours.data_to_send())
    assert theirs.read() == b""
    theirs.shutdown()
    ours.receive_data(theirs.data_to_send())
    assert ours.read() == b""
