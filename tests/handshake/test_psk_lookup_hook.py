"""The look-up of external pre-shared keys as a hook that a handshake waits for."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from hook_pairs import NAME, Connect, MakeHook, over_memory, run_handshake
from processes import ROOT
from tls_pairs import stays_blocked

from trio_tlsx import (
    AlertDescription,
    AlertReceived,
    ClientConfig,
    ExternalPSK,
    InternalError,
    NegotiationError,
    ProtocolError,
    ServerConfig,
)
from trio_tlsx.testing import CA, memory_tls_pair

Alert = AlertDescription

PSK = ExternalPSK(b"client 1", bytes(range(32)), context=b"clients of the test")
CLIENT = ClientConfig(psks=[PSK])

PAGE = ROOT / "docs" / "external-psks.md"
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


async def test_psk_lookup_hook_without_certificates(connect: Connect, make_hook: MakeHook) -> None:
    find = make_hook(PSK)
    client, server = await run_handshake(CLIENT, ServerConfig(psks=find), await connect())
    for side in (client, server):
        assert side.settled().psk_identity == PSK.identity
        assert side.settled().peer_identity is None
    assert find.calls == [(PSK.identity,)]


async def test_psk_lookup_hook_that_knows_no_identity(
    connect: Connect, make_hook: MakeHook
) -> None:
    find = make_hook(None)
    client, server = await run_handshake(CLIENT, ServerConfig(psks=find), await connect())
    assert server.failed(ProtocolError).alert is Alert.decrypt_error
    assert client.failed(AlertReceived).alert is Alert.decrypt_error


async def test_psk_lookup_hook_that_returns_another_key(
    connect: Connect, make_hook: MakeHook
) -> None:
    find = make_hook(replace(PSK, key=bytes(32)))
    client, server = await run_handshake(CLIENT, ServerConfig(psks=find), await connect())
    assert server.failed(ProtocolError).alert is Alert.decrypt_error
    assert client.failed(AlertReceived).alert is Alert.decrypt_error


async def test_psk_lookup_hook_that_knows_no_identity_with_certificates(
    ca: CA, connect: Connect, make_hook: MakeHook
) -> None:
    credentials = ca.issue(NAME)
    config = ServerConfig(credentials=credentials, psks=make_hook(None))
    client, server = await run_handshake(replace(CLIENT, trust=ca.trust), config, await connect())
    assert server.settled().psk_identity is None
    assert client.settled().peer_certificates == credentials.chain


@pytest.mark.parametrize(
    ("fault", "kind", "alert"),
    [
        (OSError("the database is gone"), InternalError, Alert.internal_error),
        (NegotiationError("not today"), NegotiationError, Alert.handshake_failure),
    ],
    ids=["a fault", "a refusal"],
)
async def test_psk_lookup_hook_that_raises(
    connect: Connect,
    make_hook: MakeHook,
    fault: Exception,
    kind: type[InternalError | NegotiationError],
    alert: AlertDescription,
) -> None:
    config = ServerConfig(psks=make_hook(fault))
    client, server = await run_handshake(CLIENT, config, await connect())
    assert server.failed(kind).alert is alert
    assert client.failed(AlertReceived).alert is alert


async def test_cancelled_psk_lookup_hook_is_called_again() -> None:
    asked = 0

    async def find(_: bytes) -> ExternalPSK:
        nonlocal asked
        asked += 1
        if asked == 1:
            await trio.sleep_forever()
        return PSK

    client, server = memory_tls_pair(CLIENT, ServerConfig(psks=find))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        assert await stays_blocked(server.do_handshake)
        await server.do_handshake()
    assert asked == 2
    assert client.negotiated.psk_identity == PSK.identity


# The page


def run_blocks(*, with_certificates: bool = False, **names: Any) -> dict[str, Any]:
    """Execute what the page shows, one block after the other; give what it defines.

    Args:
        with_certificates: whether to execute also what is about keys together with certificates.
        names: what the blocks need.
    """
    for source in PYTHON_BLOCK.findall(PAGE.read_text()):
        if "certificate_with_psk" in source and not with_certificates:
            continue
        assert len([line for line in source.splitlines() if line.strip()]) <= 10
        exec(compile(source, PAGE.name, "exec"), names)
    return names


async def test_psk_example_of_the_documentation() -> None:
    key = bytes(range(32))
    rows = {b"sensor 7": SimpleNamespace(key=key)}
    asked: list[bytes] = []

    async def fetch(identity: bytes) -> SimpleNamespace | None:
        await trio.lowlevel.checkpoint()
        asked.append(identity)
        return rows.get(identity)

    shown = run_blocks(key=key, database=SimpleNamespace(fetch=fetch))
    assert shown["client"].parameters.psk_required
    client, server = await run_handshake(shown["client"], shown["server"], await over_memory())
    assert client.settled().psk_identity == server.settled().psk_identity == b"sensor 7"
    assert asked == [b"sensor 7"]
    rows.clear()
    client, server = await run_handshake(shown["client"], shown["server"], await over_memory())
    assert server.failed(ProtocolError).alert is Alert.decrypt_error


async def test_example_of_the_documentation_with_certificates() -> None:
    ca = CA()
    shown = run_blocks(
        with_certificates=True,
        key=bytes(range(32)),
        database=None,
        credentials=ca.issue(NAME),
        trust=ca.trust,
    )
    client, server = await run_handshake(shown["client"], shown["server"], await over_memory())
    assert client.settled().psk_identity == server.settled().psk_identity == b"fleet of 2026"
    assert client.settled().peer_certificates == shown["credentials"].chain
