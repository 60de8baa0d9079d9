"""A client's session store, as a hook that may fail."""

from __future__ import annotations

from typing import Any

import pytest
from hook_pairs import NAME, Connect, HandshakeResult, Hook, MakeHook, run_handshake

from trio_tlsx import (
    AlertDescription,
    AlertReceived,
    ClientConfig,
    InternalError,
    NegotiationError,
    ServerConfig,
    Session,
)
from trio_tlsx.testing import CA

pytestmark = pytest.mark.usefixtures("each_version")

Alert = AlertDescription


class HookedStore:
    def __init__(self, take: Hook, put: Hook) -> None:
        self._take = take
        self._put = put

    def take(self, server_name: str, port: int | None, context: bytes) -> Any:
        return self._take(server_name, port, context)

    def put(self, session: Session) -> Any:
        return self._put(session)


@pytest.fixture(scope="module")
def server_config(ca: CA) -> ServerConfig:
    return ServerConfig(credentials=ca.issue(NAME))


async def met(
    ca: CA, server_config: ServerConfig, connect: Connect, take: Hook, put: Hook
) -> tuple[HandshakeResult, HandshakeResult]:
    config = ClientConfig(
        trust=ca.trust, session_store=HookedStore(take, put), session_context=b"test"
    )
    return await run_handshake(config, server_config, await connect())


async def test_session_store_hook_is_called(
    ca: CA, server_config: ServerConfig, connect: Connect, make_hook: MakeHook, version: str
) -> None:
    take, put = make_hook(None), make_hook(None)
    client, server = await met(ca, server_config, connect, take, put)
    client.settled()
    server.settled()
    [(server_name, _, context)] = take.calls
    assert (server_name, context) == (NAME, b"test")
    tickets = 1 if version == "TLSv1.2" else 2
    assert [type(session) for (session,) in put.calls] == [Session] * tickets


@pytest.mark.parametrize("outcome", [OSError("the cache is away"), b"session", True], ids=repr)
async def test_session_store_hook_take_raises(
    ca: CA, server_config: ServerConfig, connect: Connect, make_hook: MakeHook, outcome: object
) -> None:
    client, server = await met(ca, server_config, connect, make_hook(outcome), make_hook(None))
    error = client.failed(InternalError)
    assert error.__cause__ is outcome or "not a Session" in str(error)
    assert server.failed(AlertReceived).alert is Alert.internal_error


async def test_session_store_hook_take_rejects(
    ca: CA, server_config: ServerConfig, connect: Connect, make_hook: MakeHook
) -> None:
    refusal = NegotiationError("not without a session", Alert.access_denied)
    client, server = await met(ca, server_config, connect, make_hook(refusal), make_hook(None))
    assert client.failed(NegotiationError) is refusal
    assert server.failed(AlertReceived).alert is Alert.access_denied


async def test_session_store_hook_put_raises(
    ca: CA, server_config: ServerConfig, connect: Connect, make_hook: MakeHook, version: str
) -> None:
    """In TLS 1.3 with the first thing that is received: the tickets come with it."""
    fault = OSError("disk full")
    client, server = await met(ca, server_config, connect, make_hook(None), make_hook(fault))
    assert (client.negotiated is None) == (version == "TLSv1.2")
    assert client.failed(InternalError).__cause__ is fault
    server.settled()  # all it had to say has left before
