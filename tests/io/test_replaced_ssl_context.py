"""Contexts after the installed truststore has replaced ``ssl.SSLContext``."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, cast

import pytest
import trio
import trio.testing
import truststore
from tls_pairs import SERVER_NAME, Engine, handshake, memory_transports

from trio_tlsx.errors import ConfigError
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.testing import CA, write_pem_files


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``truststore.inject_into_ssl()`` does to the ``ssl`` module."""
    monkeypatch.setattr(ssl, "SSLContext", truststore.SSLContext)


async def meet(client_config: Any, server_config: Any) -> None:
    client_transport, server_transport = await memory_transports()
    client = TLSStream(client_transport, client_config, server_hostname=SERVER_NAME)
    server = TLSStream(server_transport, server_config, server_side=True)
    with trio.fail_after(10):
        await handshake(client, server)
        await client.send_all(b"ping")
        assert await server.receive_some() == b"ping"


@pytest.mark.usefixtures("replaced")
async def test_contexts_from_before(openssl: Engine) -> None:
    assert not isinstance(openssl.client_config, ssl.SSLContext)
    await meet(openssl.client_config, openssl.server_config)


@pytest.mark.parametrize("injected", [True, False])
async def test_contexts_of_truststore(
    injected: bool, ca: CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without the injection: the context is truststore's, which is no stdlib context."""
    if injected:
        monkeypatch.setattr(ssl, "SSLContext", truststore.SSLContext)
    client = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(cadata=ca.pem.decode())
    server = truststore.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*write_pem_files(ca.issue(SERVER_NAME), tmp_path))
    await meet(client, server)


@pytest.mark.usefixtures("replaced")
async def test_the_name_is_still_required(openssl: Engine) -> None:
    transport, _ = trio.testing.memory_stream_pair()
    with pytest.raises(ConfigError, match="a client needs server_hostname"):
        TLSStream(transport, openssl.client_config)


@pytest.mark.usefixtures("replaced")
async def test_untrusted_server_is_rejected_with_a_replaced_context(openssl: Engine) -> None:
    distrustful = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_transport, server_transport = trio.testing.memory_stream_pair()
    client = TLSStream(client_transport, distrustful, server_hostname=SERVER_NAME)
    server = TLSStream(server_transport, openssl.server_config, server_side=True)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            with pytest.raises(trio.BrokenResourceError, match="unknown ca"):
                await server.do_handshake()

        with pytest.raises(trio.BrokenResourceError) as caught:
            await client.do_handshake()
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


class OnlySockets:
    """A context that cannot work in memory, such as one over pyOpenSSL."""

    check_hostname = True

    def wrap_socket(self) -> None:
        pass


class Careless:
    """It has ``wrap_bio``, but does not say whether it checks names."""

    def wrap_bio(self) -> None:
        pass


@pytest.mark.parametrize("wrong", [OnlySockets(), Careless(), ssl.SSLContext, "context", None])
def test_replaced_context_of_another_type_is_rejected(wrong: object) -> None:
    transport, _ = trio.testing.memory_stream_pair()
    with pytest.raises(TypeError, match=r"must be .* an ssl\.SSLContext, not"):
        TLSStream(transport, cast(Any, wrong), server_hostname=SERVER_NAME)
