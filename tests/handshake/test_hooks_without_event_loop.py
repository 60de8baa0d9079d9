"""Hooks with a driver that cannot await."""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
from hook_pairs import NAME, Hook
from processes import load_example

from trio_tlsx import (
    AlertDescription,
    AlertReceived,
    ClientConfig,
    Connection,
    Credentials,
    InternalError,
    ServerConfig,
    Session,
    SignatureScheme,
    Want,
)
from trio_tlsx.testing import CA


def plain(outcome: object) -> Hook:
    return Hook(outcome, asynchronous=False)


class PlainSigner:
    def __init__(self, credentials: Credentials) -> None:
        self.schemes = credentials.signer.schemes
        self._signer = credentials.signer
        self.calls = 0

    def sign(self, scheme: SignatureScheme, message: bytes) -> Any:
        self.calls += 1
        return self._signer.sign(scheme, message)


class Store:
    def __init__(self) -> None:
        self.taken = 0

    def take(self, server_name: str, port: int | None, context: bytes) -> None:
        self.taken += 1

    def put(self, session: Session) -> None: ...


def test_plain_hooks_work_without_an_event_loop(ca: CA) -> None:
    """They answer where they are asked: there is nothing for a driver to do."""
    leaf = ca.issue(NAME)
    signer, store = PlainSigner(leaf), Store()
    signed = Credentials(leaf.chain, signer)
    staple, agree = plain(b"response"), plain(None)
    select_server = plain(signed.stapling(staple))
    select_client = plain(signed)
    client = Connection.client(
        ClientConfig(
            trust=ca.trust,
            verify=agree,
            select_credentials=select_client,
            session_store=store,
            session_context=b"test",
        ),
        NAME,
    )
    server = Connection.server(
        ServerConfig(
            select_credentials=select_server,
            client_auth="required",
            client_trust=ca.trust,
            verify=agree,
        )
    )
    wants = {client.do_handshake()}
    for _ in range(4):
        for one, other in ((client, server), (server, client)):
            if output := one.data_to_send():
                other.receive_data(output)
            wants.add(other.do_handshake())
    assert all(isinstance(want, Want) for want in wants)
    assert client.do_handshake() is server.do_handshake() is Want.NOTHING
    calls = [len(hook.calls) for hook in (agree, staple, select_server, select_client)]
    assert calls == [2, 1, 1, 1]
    assert (signer.calls, store.taken) == (2, 1)


@pytest.fixture
def blocking_handshake() -> Callable[[Connection, socket.socket], None]:
    return load_example("blocking_socket").do_handshake


@contextmanager
def connected_sockets() -> Generator[tuple[socket.socket, socket.socket], None, None]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_async_hook_is_rejected_without_an_event_loop(
    ca: CA, blocking_handshake: Callable[[Connection, socket.socket], None]
) -> None:
    """Clearly, on both results; and nobody complains that a coroutine was not awaited."""
    select = Hook(ca.issue(NAME), asynchronous=True)
    server = Connection.server(ServerConfig(select_credentials=select))
    client = Connection.client(ClientConfig(trust=ca.trust), NAME)
    client.do_handshake()
    with connected_sockets() as (one, other):
        one.sendall(client.data_to_send())
        with pytest.raises(InternalError) as refusal:
            blocking_handshake(server, other)
        assert "an async hook needs an event loop: CredentialsWanted" in str(
            refusal.value.__cause__
        )
        client.receive_data(one.recv(2**16))
    with pytest.raises(AlertReceived) as refused:
        client.do_handshake()
    assert refused.value.alert is AlertDescription.internal_error
