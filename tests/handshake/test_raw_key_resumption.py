"""Resumption of connections with raw public keys: the key stays bound to the session."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_pairs import SERVER_NAME, authority, credentials, established, read_all, send
from raw_key_pairs import (
    ASKING_SERVER,
    CLIENT_KEY,
    OTHER_KEY,
    RAW_CLIENT,
    SERVER_KEY,
    raw_key_of,
    trusting,
    with_versions,
)

from trio_tlsx import (
    CertificateError,
    ClientConfig,
    Peer,
    ServerConfig,
    Session,
    TicketKeys,
    TrustStore,
)
from trio_tlsx.engine.connection import Connection
from trio_tlsx.handshake.resumption_client import is_usable
from trio_tlsx.pki.server_name import ServerName

KEY = bytes(range(32))


class OneStore:
    """A store that several configurations share; it returns the session that came last."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []

    def put(self, session: Session) -> None:
        # As in a store outside the process.
        self.sessions.append(Session.from_bytes(session.to_bytes(KEY), KEY))

    def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        return self.sessions.pop() if self.sessions else None


@pytest.fixture
def configs(version: str) -> tuple[ClientConfig, ServerConfig]:
    """A client and a server that both have raw keys, and keep sessions."""
    client = replace(
        RAW_CLIENT,
        credentials=CLIENT_KEY,
        resumption=True,
        session_store=OneStore(),
        session_context=b"raw keys",
    )
    server = replace(ASKING_SERVER, credentials=SERVER_KEY, ticket_keys=TicketKeys())
    return with_versions(version, client, server)


def connected(client: ClientConfig, server: ServerConfig) -> tuple[Connection, Connection]:
    """Return both sides of a connection, after the client has its tickets."""
    pair = established(client, server)
    send(pair[1], pair[0], b"tickets")
    assert read_all(pair[0])
    return pair


def test_resumed_connection_has_both_keys(configs: tuple[ClientConfig, ServerConfig]) -> None:
    connected(*configs)
    client, server = connected(*configs)
    assert client.negotiated.resumed
    assert server.negotiated.resumed
    assert client.negotiated.peer_raw_public_key == SERVER_KEY.raw_public_key
    assert server.negotiated.peer_raw_public_key == CLIENT_KEY.raw_public_key
    assert server.negotiated.signature_scheme == "ed25519"


def test_resumed_client_is_authorized_again(configs: tuple[ClientConfig, ServerConfig]) -> None:
    seen: list[Peer] = []
    client, server = configs
    connected(client, replace(server, verify=seen.append))
    connected(client, replace(server, verify=seen.append))
    assert [peer.resumed for peer in seen] == [False, True]
    assert {peer.raw_public_key for peer in seen} == {CLIENT_KEY.raw_public_key}


def test_server_is_verified_again_if_configured(
    configs: tuple[ClientConfig, ServerConfig],
) -> None:
    def reject_resumed(peer: Peer) -> None:
        if peer.resumed:
            raise CertificateError(f"revoked: {peer.raw_public_key}")

    client, server = configs
    client = replace(client, verify=reject_resumed, verify_on_resumption=True)
    connected(client, server)
    with pytest.raises(CertificateError, match="revoked: <RawPublicKey sha256//"):
        connected(client, server)


@pytest.mark.parametrize(
    "trust", [trusting(OTHER_KEY), TrustStore.from_public_keys([raw_key_of(OTHER_KEY).pin])]
)
def test_key_that_is_no_longer_trusted_is_not_resumed(
    configs: tuple[ClientConfig, ServerConfig], trust: TrustStore
) -> None:
    client, server = configs
    connected(client, server)
    other = replace(client, trust=trust)
    done, _ = connected(other, replace(server, credentials=OTHER_KEY))
    assert not done.negotiated.resumed
    connected(client, server)
    with pytest.raises(CertificateError, match="not trusted"):
        connected(other, server)  # the session was not offered


def test_session_is_not_resumed_where_raw_keys_are_no_longer_accepted(
    configs: tuple[ClientConfig, ServerConfig],
) -> None:
    """The trust store still has the key, and the configuration wants certificates."""
    client, server = configs
    both = TrustStore(authority.trust.certificates, public_keys=[raw_key_of(SERVER_KEY)])
    connected(client, server)
    no_longer_accepted = replace(client, trust=both, peer_certificate_types=["X509"])
    store, name = client.session_store, ServerName.parse(SERVER_NAME)
    assert isinstance(store, OneStore)
    assert is_usable(store.sessions[-1], client.parameters, name, None)
    assert not is_usable(store.sessions[-1], no_longer_accepted.parameters, name, None)
    done, _ = connected(
        no_longer_accepted, replace(server, credentials=[SERVER_KEY, credentials()])
    )
    assert not done.negotiated.resumed
    assert done.negotiated.peer_certificates


def test_session_of_a_certificate_is_not_resumed_where_only_raw_keys_are_accepted(
    configs: tuple[ClientConfig, ServerConfig],
) -> None:
    client, server = configs
    both = TrustStore(authority.trust.certificates, public_keys=[raw_key_of(SERVER_KEY)])
    server = replace(server, credentials=[credentials(), SERVER_KEY])
    done, _ = connected(replace(client, trust=both), server)
    assert done.negotiated.peer_certificates
    store, name = client.session_store, ServerName.parse(SERVER_NAME)
    assert isinstance(store, OneStore)
    assert not is_usable(store.sessions[-1], client.parameters, name, None)
    done, _ = connected(client, server)
    assert not done.negotiated.resumed
    assert done.negotiated.peer_raw_public_key == SERVER_KEY.raw_public_key


def test_ticket_of_other_keys_is_not_accepted(configs: tuple[ClientConfig, ServerConfig]) -> None:
    """A server with the same ticket keys that trusts other_keys authenticates anew."""
    client, server = configs
    connected(client, server)
    other_keys = replace(server, client_trust=trusting(CLIENT_KEY, OTHER_KEY))
    done, _ = connected(client, other_keys)
    assert not done.negotiated.resumed


def test_ticket_of_another_raw_key_is_not_accepted(
    configs: tuple[ClientConfig, ServerConfig],
) -> None:
    client, server = configs
    client = replace(client, trust=trusting(SERVER_KEY, OTHER_KEY))
    connected(client, server)
    done, _ = connected(client, replace(server, credentials=OTHER_KEY))
    assert not done.negotiated.resumed
    assert done.negotiated.peer_raw_public_key == OTHER_KEY.raw_public_key


def test_session_without_verification_is_resumed(version: str) -> None:
    client, server = with_versions(
        version,
        replace(
            RAW_CLIENT,
            trust=None,
            insecure_skip_verification=True,
            peer_certificate_types=["RawPublicKey"],
            resumption=True,
        ),
        replace(ASKING_SERVER, client_auth="none", client_trust=None, credentials=SERVER_KEY),
    )
    connected(client, server)
    assert connected(client, server)[0].negotiated.resumed
