"""The secrets that an established connection still holds, each with its reason."""

from __future__ import annotations

import gc
import hashlib
from dataclasses import replace
from types import FunctionType, ModuleType
from typing import Any

import pytest
from engine_pairs import CLIENT, SERVER, connections, read_all, send, shake_hands

from trio_tlsx.crypto.groups import X25519Key
from trio_tlsx.crypto.key_schedule import HmacKey
from trio_tlsx.engine.connection import Connection
from trio_tlsx.handshake.wants import Want

#: The label of each secret that may be reachable, and the types of the objects that hold it.
OF_BOTH_SIDES = {
    # to derive the next generation for a KeyUpdate (RFC 9846 7.2)
    "c ap traffic": {"Sealer", "Opener"},
    "s ap traffic": {"Sealer", "Opener"},
    # to export keying material (7.5)
    "exp master": {"Exporter13"},
}
OF_A_SERVER = OF_BOTH_SIDES
#: Until its first write.
OF_A_SERVER_WITH_TICKETS = {**OF_A_SERVER, "res master": {"TicketIssuer"}}
OF_A_CLIENT = {
    **OF_BOTH_SIDES,
    # a server may send a ticket at any time (4.7.1)
    "res master": {"TicketKeeper"},
}
OF_A_CLIENT_WITH_TICKETS = {
    **OF_A_CLIENT,
    # to resume the session (2.2)
    "resumption": {"Session"},
}


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, str]:
    """The label of each secret of the key schedule; grows with the connections."""
    found: dict[bytes, str] = {}
    hmac = HmacKey.hmac

    def noted_hmac(key: HmacKey, message: bytes) -> bytes:
        output = hmac(key, message)
        label = label_of(message)
        found.update(dict.fromkeys((output, *HmacKey(hashlib.sha256, output).padded), label))
        return output

    monkeypatch.setattr(HmacKey, "hmac", noted_hmac)
    return found


def label_of(message: bytes) -> str:
    """The label of an HkdfLabel (RFC 9846 7.1); all else is extracted."""
    label = message[3 : 3 + message[2]] if len(message) > 3 else b""
    return label[6:].decode() if label.startswith(b"tls13 ") else "extracted"


def referents(holder: object) -> list[Any]:
    if isinstance(holder, type | ModuleType):
        return []
    if isinstance(holder, FunctionType):  # what it closes over, but not its module
        return [holder.__closure__, holder.__defaults__, holder.__kwdefaults__]
    return gc.get_referents(holder)


def holders(connection: Connection, labels: dict[bytes, str]) -> dict[str, set[str]]:
    """The labels of the secrets that hang on ``connection``, each with the types that hold it."""
    found: dict[str, set[str]] = {}
    seen: set[int] = set()
    waiting: list[tuple[Any, str]] = [(connection, "")]
    while waiting:
        holder, owner = waiting.pop()
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        if type(holder).__module__.startswith("trio_tlsx"):
            owner = type(holder).__name__
        for one in referents(holder):
            if isinstance(one, bytes) and one in labels:
                found.setdefault(labels[one], set()).add(owner)
            elif isinstance(one, X25519Key):
                found.setdefault("key share", set()).add(owner)
            waiting.append((one, owner))
    return found


def test_the_secrets_that_a_connection_holds(labels: dict[bytes, str]) -> None:
    client, server = connections(replace(CLIENT, resumption=True), SERVER)
    shake_hands(client, server)
    assert within(holders(client, labels), OF_A_CLIENT)
    assert within(holders(server, labels), OF_A_SERVER_WITH_TICKETS)
    send(server, client, b"tickets go first")
    assert read_all(client) == b"tickets go first"
    assert within(holders(client, labels), OF_A_CLIENT_WITH_TICKETS)
    assert within(holders(server, labels), OF_A_SERVER)


def test_the_secrets_of_a_resumed_connection(labels: dict[bytes, str]) -> None:
    config = replace(CLIENT, resumption=True)
    client, server = connections(config, SERVER)
    shake_hands(client, server)
    send(server, client, b"ticket")
    read_all(client)
    client, server = connections(config, SERVER)
    shake_hands(client, server)
    assert client.negotiated.resumed
    send(server, client, b"ticket")
    read_all(client)
    assert within(holders(client, labels), OF_A_CLIENT_WITH_TICKETS)
    assert within(holders(server, labels), OF_A_SERVER)


def test_client_without_sessions_holds_no_resumption_secret(labels: dict[bytes, str]) -> None:
    client, server = connections(replace(CLIENT, resumption=False), SERVER)
    shake_hands(client, server)
    assert within(holders(client, labels), OF_BOTH_SIDES)
    assert within(holders(server, labels), OF_A_SERVER)


def within(found: dict[str, set[str]], expected: dict[str, set[str]]) -> bool:
    """Check that each expected secret is held, and by these types only."""
    assert found.keys() == expected.keys()
    assert not {label: types for label, types in found.items() if types - expected[label]}
    return True


def test_the_walk_finds_what_a_handshake_in_progress_holds(labels: dict[bytes, str]) -> None:
    client, server = connections(CLIENT, SERVER)
    client.do_handshake()
    server.receive_data(client.data_to_send())
    server.do_handshake()
    assert "key share" in holders(client, labels)
    assert {"c hs traffic", "s hs traffic", "c ap traffic"} <= holders(server, labels).keys()


def test_key_shares_are_dropped_with_the_server_hello(labels: dict[bytes, str]) -> None:
    client, server = connections(replace(CLIENT, groups=["X25519MLKEM768", "x25519"]), SERVER)
    client.do_handshake()
    assert "key share" in holders(client, labels)
    server.receive_data(client.data_to_send())
    server.do_handshake()
    length = 5 + int.from_bytes((flight := server.data_to_send())[3:5])
    client.receive_data(flight[:length])  # the ServerHello
    assert client.do_handshake() is Want.WRITE  # change_cipher_spec
    assert "c hs traffic" in holders(client, labels)
    assert "key share" not in holders(client, labels)
