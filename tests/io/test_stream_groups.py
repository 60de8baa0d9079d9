"""The group of a key exchange over streams, and HelloRetryRequests (RFC 9846 4.3.8)."""

from __future__ import annotations

from typing import Literal

import pytest
import trio
import trio.testing
from engine_pairs import SERVER_NAME, authority, credentials
from tls_pairs import AnyStream, handshake

from trio_tlsx import ClientConfig, ServerConfig, TLSStream


@pytest.mark.parametrize("retry_for_group", ["post_quantum", "never"])
async def test_server_retries_for_a_post_quantum_group(
    retry_for_group: Literal["never", "post_quantum"],
) -> None:
    one, other = trio.testing.memory_stream_pair()
    config = ClientConfig(trust=authority.trust, key_shares=["x25519"])
    client: AnyStream = TLSStream(one, config, server_hostname=SERVER_NAME)
    server: AnyStream = TLSStream(
        other,
        ServerConfig(credentials=credentials(), retry_for_group=retry_for_group),
        server_side=True,
    )
    await handshake(client, server)
    retries = retry_for_group == "post_quantum"
    assert client.negotiated.group == ("X25519MLKEM768" if retries else "x25519")
    assert server.negotiated.hello_retry_request is retries


async def test_second_connection_needs_no_retry() -> None:
    client_config = ClientConfig(trust=authority.trust, resumption=False)
    server_config = ServerConfig(credentials=credentials(), groups=["P-384"])
    for retried in (True, False):
        one, other = trio.testing.memory_stream_pair()
        client: AnyStream = TLSStream(one, client_config, server_hostname=SERVER_NAME)
        server: AnyStream = TLSStream(other, server_config, server_side=True)
        await handshake(client, server)
        assert client.negotiated.hello_retry_request is retried
        assert server.negotiated.group == "secp384r1"
