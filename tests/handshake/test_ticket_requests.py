"""A client says how many session tickets it wants (RFC 9149)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from ech_pairs import ECH_CLIENT, ECH_SERVER, STALE_SERVER
from engine_pairs import (
    CLIENT,
    SERVER,
    SERVER_NAME,
    alert_of,
    authority,
    connections,
    established,
    failure_of,
    read_all,
    send,
    shake_hands,
)
from hellos import first_hello, flight, give, retry_of, sent_hello

from trio_tlsx import (
    ClientConfig,
    ConfigError,
    ExternalPSK,
    MemorySessionStore,
    ServerConfig,
    Session,
    TicketKeys,
)
from trio_tlsx.config.client import MAX_TICKETS_WANTED
from trio_tlsx.engine.connection import Connection
from trio_tlsx.engine.post_handshake import MAX_TICKETS_RECEIVED
from trio_tlsx.errors import AlertDescription, ECHRejected
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import ClientHello, EncryptedExtensions

TICKET_REQUEST = ExtensionType.ticket_request


class CountingStore(MemorySessionStore):
    """Counts the sessions that it stores."""

    def __init__(self) -> None:
        super().__init__(max_per_server=MAX_TICKETS_WANTED)
        self.stored = 0

    def put(self, session: Session) -> None:
        self.stored += 1
        super().put(session)


def new_client(store: MemorySessionStore, **options: Any) -> ClientConfig:
    return replace(
        CLIENT, resumption=True, session_store=store, session_context=b"test", **options
    )


def new_server(**options: Any) -> ServerConfig:
    return replace(SERVER, ticket_keys=TicketKeys([bytes(32)]), **options)


def tickets_of(client: ClientConfig, server: ServerConfig, store: CountingStore) -> int:
    """Connect once; return how many tickets the client received."""
    before = store.stored
    pair = established(client, server)
    send(pair[1], pair[0], b"data")
    assert read_all(pair[0]) == b"data"
    return store.stored - before


@pytest.mark.parametrize(
    ("tickets", "wanted", "received"),
    [
        (None, None, (2, 1)),
        (None, (2, 1), (2, 1)),
        (None, (0, 0), (0,)),
        (None, (1, 0), (1, 0)),
        (None, (3, 4), (3, 4)),
        (None, (64, 64), (4, 4)),
        (1, (3, 3), (1, 1)),
        (0, (3, 3), (0,)),
        (16, (9, 12), (9, 12)),
        (16, (64, 2), (16, 2)),
        (3, None, (3, 3)),
    ],
)
def test_number_of_tickets(
    tickets: int | None, wanted: tuple[int, int] | None, received: tuple[int, ...]
) -> None:
    store = CountingStore()
    client, server = new_client(store, tickets_wanted=wanted), new_server(tickets=tickets)
    assert tuple(tickets_of(client, server, store) for _ in received) == received


@pytest.mark.parametrize("in_a_store", [False, True])
def test_server_says_how_many_tickets_it_sends(
    in_a_store: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected: list[Mapping[int, bytes]] = []
    encode = EncryptedExtensions.encode

    def record(message: EncryptedExtensions) -> bytes:
        expected.append(message.extensions)
        return encode(message)

    monkeypatch.setattr(EncryptedExtensions, "encode", record)
    store = CountingStore()
    server = new_server(ticket_store=NamedTickets() if in_a_store else None)
    client = new_client(store, tickets_wanted=(3, 2))
    tickets_of(client, server, store)
    tickets_of(client, server, store)
    tickets_of(replace(client, tickets_wanted=None), server, store)
    assert [extensions.get(TICKET_REQUEST) for extensions in expected] == [b"\3", b"\2", None]


class NamedTickets:
    """A ticket store."""

    def __init__(self) -> None:
        self.states: dict[bytes, bytes] = {}

    def put(self, name: bytes, state: bytes, lifetime: int) -> None:
        self.states[name] = state

    def take(self, name: bytes) -> bytes | None:
        return self.states.pop(name, None)


def test_hello_asks_for_tickets_of_a_resumption_only_with_a_session() -> None:
    store = CountingStore()
    client = new_client(store, tickets_wanted=(5, 2))
    assert first_hello(client).extensions[TICKET_REQUEST] == b"\5\0"
    tickets_of(client, new_server(), store)
    assert first_hello(client).extensions[TICKET_REQUEST] == b"\5\2"
    assert TICKET_REQUEST not in first_hello(new_client(store)).extensions


def test_second_hello_has_the_same_request_without_the_session() -> None:
    """Its PSK has another hash than the cipher suite of the HelloRetryRequest."""
    store = CountingStore()
    client = new_client(store, tickets_wanted=(5, 2), groups=["x25519", "P-256"])
    tickets_of(client, new_server(), store)
    server = new_server(groups=["P-256"], cipher_suites=["TLS_AES_256_GCM_SHA384"])
    one, other = connections(client, server)
    flight(one, other)
    retry_of(flight(other, one))
    second = sent_hello(one)
    assert ExtensionType.pre_shared_key not in second.extensions
    assert second.extensions[TICKET_REQUEST] == b"\5\2"


@pytest.mark.parametrize("changed", [b"\5\1", None])
def test_second_hello_with_another_request_is_rejected(changed: bytes | None) -> None:
    client = new_client(CountingStore(), tickets_wanted=(5, 2), groups=["x25519", "P-256"])
    one, other = connections(client, new_server(groups=["P-256"]))
    flight(one, other)
    retry_of(flight(other, one))
    second = sent_hello(one)
    extensions = dict(second.extensions)
    del extensions[TICKET_REQUEST]
    if changed is not None:
        extensions[TICKET_REQUEST] = changed
    give(other, ClientHello.decode(replace(second, extensions=extensions).encode()))
    assert alert_of(other.do_handshake) is AlertDescription.illegal_parameter


def test_second_hello_with_the_same_request_is_accepted() -> None:
    store = CountingStore()
    client = new_client(store, tickets_wanted=(3, 0), groups=["x25519", "P-256"])
    assert tickets_of(client, new_server(groups=["P-256"]), store) == 3


def test_request_in_an_encrypted_client_hello() -> None:
    store = CountingStore()
    client = replace(
        ECH_CLIENT,
        resumption=True,
        session_store=store,
        session_context=b"test",
        tickets_wanted=(3, 4),
    )
    server = replace(ECH_SERVER, ticket_keys=TicketKeys([bytes(32)]))
    assert tickets_of(client, server, store) == 3
    assert tickets_of(client, server, store) == 4
    error = failure_of(lambda: shake_hands(*connections(client, STALE_SERVER)))
    assert isinstance(error, ECHRejected)


def test_server_of_tls_1_2_ignores_the_request() -> None:
    client = replace(CLIENT, resumption=True, tickets_wanted=(3, 1), groups=["x25519", "P-256"])
    one, _ = established(client, replace(SERVER, versions=["TLSv1.2"]))
    assert one.negotiated.version == "TLSv1.2"


def test_no_tickets_for_an_external_psk() -> None:
    psk = ExternalPSK(b"client 1", bytes(32))
    store = CountingStore()
    client = new_client(store, tickets_wanted=(3, 1), psks=[psk])
    assert tickets_of(client, new_server(psks=[psk]), store) == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tickets_wanted": (1,)}, "pass two numbers, 0 to 64 each"),
        ({"tickets_wanted": (65, 1)}, "tickets_wanted is (65, 1); pass two numbers"),
        ({"tickets_wanted": (1, -1)}, "tickets_wanted is (1, -1); pass two numbers"),
        ({"tickets_wanted": (1, 1), "resumption": False}, "no effect without resumption"),
        (
            {
                "tickets_wanted": (1, 1),
                "trust": None,
                "psks": [ExternalPSK(b"client 1", bytes(32))],
            },
            "no effect without resumption",
        ),
        ({"tickets_wanted": (1, 1), "versions": ["TLSv1.2"]}, "no effect in TLS 1.2"),
    ],
)
def test_invalid_tickets_wanted(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(ClientConfig(trust=authority.trust), **options)
    assert sentence in str(caught.value)


def test_limit_is_what_a_connection_processes() -> None:
    assert MAX_TICKETS_WANTED == MAX_TICKETS_RECEIVED
    assert Connection.client(
        ClientConfig(trust=authority.trust, tickets_wanted=(64, 64)), SERVER_NAME
    )
