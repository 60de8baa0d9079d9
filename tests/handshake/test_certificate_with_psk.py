"""Certificates together with an external pre-shared key (RFC 9973)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from certificate_with_psk_pairs import (
    IMPOSTOR,
    OPTIONAL_CLIENT,
    OPTIONAL_SERVER,
    PLAIN_CLIENT,
    PLAIN_SERVER,
    PSK,
    REQUIRING_CLIENT,
    REQUIRING_SERVER,
    STRANGER,
)
from ech_pairs import both_names, key
from engine_pairs import (
    CLIENT,
    SERVER,
    SERVER_NAME,
    advance,
    authority,
    connections,
    credentials,
    established,
    failure_of,
    read_all,
    send,
    shake_hands,
)
from hellos import exchange, first_hello

from trio_tlsx import (
    CertificateError,
    ClientConfig,
    ConfigError,
    ECHRejected,
    ExternalPSK,
    MemorySessionStore,
    Peer,
    ServerConfig,
    TicketKeys,
    TLSError,
)
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription
from trio_tlsx.handshake.psk import OfferedPsks
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.testing import CA

A = AlertDescription
EXTENSION = ExtensionType.tls_cert_with_extern_psk


def outcome_of(client: ClientConfig, server: ServerConfig) -> str:
    """Return what authenticates the server: its certificate, the key, or both."""
    one, other = established(client, server)
    exchange(one, other)
    assert one.negotiated.psk_identity == other.negotiated.psk_identity
    used = [name for name, value in (
        ("certificate", one.negotiated.peer_certificates),
        ("key", one.negotiated.psk_identity),
    ) if value]  # fmt: skip
    return " and ".join(used)


def refusal_of(client: ClientConfig, server: ServerConfig) -> TLSError:
    """Return the error of the side that rejects the other."""
    one, other = connections(client, server)
    error = failure_of(lambda: shake_hands(one, other))
    assert error.refused_by == "us"
    return error


@pytest.mark.parametrize("retried", [False, True])
@pytest.mark.parametrize("client", [OPTIONAL_CLIENT, REQUIRING_CLIENT])
@pytest.mark.parametrize("server", [OPTIONAL_SERVER, REQUIRING_SERVER])
@pytest.mark.parametrize("suite", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"])
def test_certificate_and_key(
    client: ClientConfig, server: ServerConfig, suite: str, retried: bool
) -> None:
    server = replace(server, cipher_suites=[suite], require_cookie=retried)
    assert outcome_of(client, server) == "certificate and key"


def test_key_is_in_the_key_schedule() -> None:
    """Both sides have the certificates right, and different keys."""
    error = refusal_of(OPTIONAL_CLIENT, replace(OPTIONAL_SERVER, psks=[IMPOSTOR]))
    assert error.alert is A.decrypt_error


@pytest.mark.parametrize(
    ("client", "server", "outcome"),
    [
        # The server does not support it, or has no such key.
        (OPTIONAL_CLIENT, SERVER, "certificate"),
        (OPTIONAL_CLIENT, replace(OPTIONAL_SERVER, psks=[STRANGER]), "certificate"),
        (OPTIONAL_CLIENT, PLAIN_SERVER, A.missing_extension),
        (REQUIRING_CLIENT, SERVER, A.missing_extension),
        (REQUIRING_CLIENT, replace(OPTIONAL_SERVER, psks=[STRANGER]), A.missing_extension),
        (REQUIRING_CLIENT, PLAIN_SERVER, A.missing_extension),
        # The client does not.
        (CLIENT, OPTIONAL_SERVER, "certificate"),
        (PLAIN_CLIENT, OPTIONAL_SERVER, "key"),
        (CLIENT, REQUIRING_SERVER, A.missing_extension),
        (PLAIN_CLIENT, REQUIRING_SERVER, A.missing_extension),
        (OPTIONAL_CLIENT, replace(REQUIRING_SERVER, psks=[STRANGER]), A.decrypt_error),
    ],
)
def test_peer_without_it(
    client: ClientConfig, server: ServerConfig, outcome: str | AlertDescription
) -> None:
    if isinstance(outcome, str):
        assert outcome_of(client, server) == outcome
    else:
        assert refusal_of(client, server).alert is outcome


@pytest.mark.parametrize("config", [REQUIRING_CLIENT, REQUIRING_SERVER])
def test_required_without_tls_1_2(config: ClientConfig | ServerConfig) -> None:
    older = {"versions": ["TLSv1.2"], "groups": ["x25519", "P-256"]}
    if isinstance(config, ClientConfig):
        error = refusal_of(config, replace(SERVER, **older))
    else:
        error = refusal_of(replace(CLIENT, **older), config)
    assert error.alert is A.protocol_version


def test_certificate_is_verified_though_the_key_is_right() -> None:
    asked: list[Peer] = []
    client = replace(OPTIONAL_CLIENT, verify=asked.append)
    assert outcome_of(client, OPTIONAL_SERVER) == "certificate and key"
    [peer] = asked
    assert peer.server_name == SERVER_NAME
    assert isinstance(refusal_of(replace(client, trust=CA().trust), OPTIONAL_SERVER),
                      CertificateError)  # fmt: skip
    other = replace(OPTIONAL_SERVER, credentials=authority.issue("other.example"))
    assert isinstance(refusal_of(client, other), CertificateError)


def test_client_certificate() -> None:
    server = replace(OPTIONAL_SERVER, client_auth="required", client_trust=authority.trust)
    client = replace(OPTIONAL_CLIENT, credentials=credentials())
    one, other = established(client, server)
    exchange(one, other)
    assert other.negotiated.peer_certificates == credentials().chain
    assert other.negotiated.psk_identity == PSK.identity
    error = refusal_of(OPTIONAL_CLIENT, server)
    assert error.alert is A.certificate_required


def test_no_fitting_certificate() -> None:
    client = replace(OPTIONAL_CLIENT, signature_schemes=["ed25519"])
    assert refusal_of(client, OPTIONAL_SERVER).alert is A.handshake_failure


# Sessions


def with_store(client: ClientConfig) -> ClientConfig:
    return replace(
        client,
        resumption=True,
        session_store=MemorySessionStore(),
        session_context=b"test",
    )


def tickets_from(client: ClientConfig, server: ServerConfig) -> Connection:
    one, other = established(client, server)
    send(other, one, b"data")
    assert read_all(one) == b"data"
    return other


@pytest.mark.parametrize("server", [OPTIONAL_SERVER, REQUIRING_SERVER])
def test_session_is_resumed_without_the_extension(server: ServerConfig) -> None:
    client = with_store(OPTIONAL_CLIENT)
    for resumed in (False, True, True):
        offered = first_hello(with_peeked(client)).extensions
        assert (EXTENSION in offered) is not resumed
        psks = OfferedPsks.decode(offered[ExtensionType.pre_shared_key])
        assert len(psks.identities) == (1 if resumed else 2)  # of the key one for each hash
        connection = tickets_from(client, server)
        assert connection.negotiated.resumed is resumed
        assert connection.negotiated.psk_identity == (None if resumed else PSK.identity)


def with_peeked(client: ClientConfig) -> ClientConfig:
    """Return a configuration with the same sessions, which stay in the store of ``client``."""
    store = MemorySessionStore()
    assert isinstance(client.session_store, MemorySessionStore)
    if session := client.session_store.take(SERVER_NAME, None, b"test"):
        store.put(session)
        client.session_store.put(session)
    return replace(client, session_store=store)


def test_certificate_alone_where_the_session_is_rejected() -> None:
    client = with_store(OPTIONAL_CLIENT)
    tickets_from(client, OPTIONAL_SERVER)
    connection = tickets_from(client, replace(OPTIONAL_SERVER))  # with other ticket keys
    assert not connection.negotiated.resumed
    assert connection.negotiated.psk_identity is None
    assert outcome_of(replace(client, resumption=False, session_store=None, session_context=b""),
                      OPTIONAL_SERVER) == "certificate and key"  # fmt: skip


def test_server_that_requires_a_key_resumes_no_session_without_one() -> None:
    keys = TicketKeys([bytes(32)])
    client = with_store(OPTIONAL_CLIENT)
    tickets_from(client, replace(SERVER, ticket_keys=keys))
    one, other = connections(client, replace(REQUIRING_SERVER, ticket_keys=keys))
    assert failure_of(lambda: shake_hands(one, other)).alert is A.missing_extension
    # The same ticket is good for a server that does not require it.
    client = with_store(OPTIONAL_CLIENT)
    tickets_from(client, replace(SERVER, ticket_keys=keys))
    assert tickets_from(client, replace(OPTIONAL_SERVER, ticket_keys=keys)).negotiated.resumed


def test_client_that_requires_a_key_resumes_no_session() -> None:
    client = replace(REQUIRING_CLIENT, resumption=True)
    for _ in range(2):
        assert not tickets_from(client, OPTIONAL_SERVER).negotiated.resumed


def test_early_data_goes_with_a_session_only() -> None:
    client = with_store(OPTIONAL_CLIENT)
    server = replace(OPTIONAL_SERVER, max_early_data_size=1000)
    for accepted in (False, True):
        one = Connection.client(client, SERVER_NAME, early_data=b"early")
        other = Connection.server(server)
        other.accept_early_data()
        shake_hands(one, other)
        assert one.negotiated.early_data_accepted is accepted
        send(other, one, b"data")
        assert read_all(one) == b"data"


# Encrypted Client Hello


def test_key_in_an_encrypted_client_hello() -> None:
    client = replace(REQUIRING_CLIENT, ech=key.config_list)
    server = replace(OPTIONAL_SERVER, credentials=both_names, ech_keys=key)
    one, other = connections(client, server)
    advance(one, other)
    assert EXTENSION not in first_hello(client).extensions  # the outer hello
    shake_hands(one, other)
    assert one.negotiated.ech_accepted
    assert one.negotiated.psk_identity == PSK.identity
    assert one.negotiated.peer_certificates
    error = failure_of(lambda: established(client, replace(server, ech_keys=())))
    assert isinstance(error, ECHRejected)


# Configurations


@pytest.mark.parametrize("config", [OPTIONAL_CLIENT, OPTIONAL_SERVER])
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"certificate_with_psk": "always"}, "pass 'never', 'optional' or 'required'"),
        ({"psks": []}, "certificate_with_psk is 'optional', but there are no psks"),
        ({"psk_without_key_exchange": True}, "certificate_with_psk needs a key exchange"),
        ({"versions": ["TLSv1.2"]}, "no effect in TLS 1.2"),
    ],
)
def test_invalid_configuration(
    config: ClientConfig | ServerConfig, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(config, **options)
    assert sentence in str(caught.value)


def test_server_needs_credentials() -> None:
    with pytest.raises(ConfigError, match="the server has no credentials"):
        ServerConfig(psks=[PSK], certificate_with_psk="optional")


def test_suites_are_those_of_the_keys() -> None:
    plain = ExternalPSK(b"group of sensors", bytes(32), hash="SHA384", imported=False)
    client = replace(OPTIONAL_CLIENT, psks=[plain])
    assert first_hello(client).cipher_suites[:1] == (0x1302,)
    assert outcome_of(client, replace(OPTIONAL_SERVER, psks=[plain])) == "certificate and key"
    server = replace(REQUIRING_SERVER, psks=[plain], cipher_suites=["TLS_AES_128_GCM_SHA256"])
    client = replace(OPTIONAL_CLIENT, psks=[PSK], cipher_suites=["TLS_AES_128_GCM_SHA256"])
    assert refusal_of(client, server).alert is A.decrypt_error
