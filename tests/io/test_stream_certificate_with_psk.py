"""Certificates together with an external pre-shared key over streams (RFC 9973)."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from certificate_with_psk_pairs import PLAIN_SERVER, PSK, REQUIRING_CLIENT, REQUIRING_SERVER
from engine_pairs import SERVER_NAME
from tls_pairs import AnyStream, handshake

from trio_tlsx import AlertReceived, ProtocolError, ServerConfig, TLSStream


def streams(server_config: ServerConfig) -> tuple[AnyStream, AnyStream]:
    one, other = trio.testing.memory_stream_pair()
    client: AnyStream = TLSStream(one, REQUIRING_CLIENT, server_hostname=SERVER_NAME)
    server: AnyStream = TLSStream(other, server_config, server_side=True)
    return client, server


async def test_certificate_and_key_over_streams() -> None:
    client, server = streams(REQUIRING_SERVER)
    await handshake(client, server)
    for stream in (client, server):
        assert stream.negotiated.psk_identity == PSK.identity
    assert client.negotiated.peer_certificates
    await client.send_all(b"data")
    assert await server.receive_some() == b"data"


async def test_server_that_uses_the_key_alone_is_rejected() -> None:
    client, server = streams(PLAIN_SERVER)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            with pytest.raises(trio.BrokenResourceError) as caught:
                await server.do_handshake()
            assert isinstance(caught.value.__cause__, AlertReceived)

        with pytest.raises(trio.BrokenResourceError) as caught:
            await client.do_handshake()
        assert isinstance(caught.value.__cause__, ProtocolError)
        assert "uses the pre-shared key alone" in str(caught.value.__cause__)
