"""Clients and servers that share an external pre-shared key."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_pairs import (
    SERVER_NAME,
    authority,
    carry,
    connections,
    credentials,
    established,
    failure_of,
    read_all,
    records,
    send,
    shake_hands,
)

from trio_tlsx import ClientConfig, ExternalPSK, ServerConfig
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import TLSError
from trio_tlsx.handshake import client_hello
from trio_tlsx.handshake.psk import OfferedPsks
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import ClientHello
from trio_tlsx.sessions.external_psk import HashName

SHA256, SHA384 = CIPHER_SUITES[0x1301], CIPHER_SUITES[0x1302]


NAME, KEY = b"client 1", bytes(range(32))


PSK = ExternalPSK(NAME, KEY)


STRANGER = ExternalPSK(b"client 2", bytes(32))


IMPOSTOR = ExternalPSK(NAME, bytes(32))


CLIENT = ClientConfig(psks=[PSK], groups=["x25519"])


SERVER = ServerConfig(psks=[PSK], groups=["x25519"])


#: Those that take certificates too; the client keeps no sessions from one test to the next.
OPEN_CLIENT = replace(CLIENT, trust=authority.trust, resumption=False)


OPEN_SERVER = replace(SERVER, credentials=credentials())


def knows_by_key(client: ClientConfig, server: ServerConfig) -> bool:
    """Whether the two, who agree on that, know each other by the key and not by certificates."""
    pair = established(client, server)
    for settled in (one.negotiated for one in pair):
        assert not settled.resumed
        assert settled.psk_identity in (None, NAME)
        if settled.psk_identity is not None:
            assert settled.peer_certificates == ()
            assert settled.signature_scheme is settled.peer_identity is None
    for one, other in (pair, pair[::-1]):
        send(one, other, b"data")
        assert read_all(other) == b"data"
    [known] = {one.negotiated.psk_identity is not None for one in pair}
    return known


def refused_by_server(client: ClientConfig, server: ServerConfig) -> TLSError:
    """Why the server refuses; the client is told the same."""
    pair = connections(client, server)
    error = failure_of(lambda: shake_hands(*pair))
    assert error.refused_by == "us"
    carry(pair[1], pair[0])
    assert failure_of(pair[0].do_handshake).alert == error.alert
    return error


def client_hello_of(config: ClientConfig) -> ClientHello:
    client = Connection.client(config, SERVER_NAME)
    client.do_handshake()
    sent = records(client.data_to_send())
    return ClientHello.decode(b"".join(record[5:] for _, record in sent if record[0] == 22)[4:])


def offered(config: ClientConfig) -> OfferedPsks:
    return OfferedPsks.decode(client_hello_of(config).extensions[ExtensionType.pre_shared_key])


def plain_psk(name: HashName = "SHA256") -> ExternalPSK:
    return ExternalPSK(NAME, KEY, hash=name, imported=False)


def offers_modes(monkeypatch: pytest.MonkeyPatch, modes: bytes) -> None:
    def encode(_: ClientConfig) -> bytes:
        return modes

    monkeypatch.setattr(client_hello, "encode_psk_key_exchange_modes", encode)
