"""Streams with raw public keys (RFC 7250): data in both directions, and trio's exceptions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from raw_key_pairs import (
    ASKING_SERVER,
    CLIENT_KEY,
    OTHER_KEY,
    RAW_CLIENT,
    SERVER_KEY,
    with_versions,
)

from trio_tlsx import CertificateError, ClientConfig, Peer, ServerConfig
from trio_tlsx.contrib.asgi import server_certificate, tls_extension
from trio_tlsx.testing import memory_tls_pair

CLIENT = replace(RAW_CLIENT, credentials=CLIENT_KEY)
SERVER = replace(ASKING_SERVER, credentials=SERVER_KEY)


async def test_data_flows_between_raw_keys(version: str) -> None:
    client, server = memory_tls_pair(*with_versions(version, CLIENT, SERVER))

    async def echo() -> None:
        async for data in server:
            await server.send_all(data)
        await server.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo)
        await client.send_all(b"hello")
        assert await client.receive_some() == b"hello"
        await client.send_eof()
        assert await client.receive_some() == b""
    assert client.negotiated.peer_raw_public_key == SERVER_KEY.raw_public_key
    assert server.negotiated.peer_raw_public_key == CLIENT_KEY.raw_public_key
    scope = tls_extension(server, server_certificate(SERVER))
    assert scope["server_cert"] is None
    assert scope["client_cert_chain"] == []
    assert scope["client_cert_name"] is None


async def test_async_hook_decides_about_a_raw_key(version: str) -> None:
    async def verify(peer: Peer) -> None:
        await trio.lowlevel.checkpoint()
        if peer.raw_public_key != CLIENT_KEY.raw_public_key:
            raise CertificateError("unknown key")

    decides = replace(
        SERVER,
        client_trust=None,
        verify=verify,
        verify_replaces_builtin=True,
        peer_certificate_types=["RawPublicKey"],
    )
    await shake_hands(*with_versions(version, CLIENT, decides))
    stranger = replace(CLIENT, credentials=OTHER_KEY)
    with pytest.RaisesGroup(trio.BrokenResourceError, flatten_subgroups=True):
        await shake_hands(*with_versions(version, stranger, decides))


async def shake_hands(client_config: ClientConfig, server_config: ServerConfig) -> None:
    client, server = memory_tls_pair(client_config, server_config)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        await server.do_handshake()
        assert server.negotiated.peer_public_key is not None


async def test_memory_pair_trusts_the_servers_raw_key() -> None:
    client, server = memory_tls_pair(None, ServerConfig(credentials=SERVER_KEY))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.do_handshake)
        await client.do_handshake()
    assert client.negotiated.peer_raw_public_key == SERVER_KEY.raw_public_key


async def test_broken_stream_says_why(version: str) -> None:
    client, server = memory_tls_pair(
        *with_versions(version, CLIENT, replace(SERVER, credentials=OTHER_KEY))
    )
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await server.do_handshake()

        with pytest.raises(trio.BrokenResourceError, match="is not trusted") as caught:
            await client.do_handshake()
        assert isinstance(caught.value.__cause__, CertificateError)
