"""A client connects once more with the server's current ECH configurations, and never twice."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest
import trio
from ech_pairs import (
    ECH_CLIENT,
    ECH_SERVER,
    PLAIN_SERVER,
    PUBLIC_NAME,
    STALE_SERVER,
    other_key,
)
from engine_pairs import SERVER_NAME

from trio_tlsx.config.server import ServerConfig
from trio_tlsx.errors import ECHRejected
from trio_tlsx.io.listener import open_tls_over_tcp_stream, serve_tls_over_tcp
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.messages.ech import ECHConfig
from trio_tlsx.messages.info import ClientHello
from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.pki.ech import ECHKey
from trio_tlsx.pki.ech_keys import ECHKeys

HOST = "127.0.0.1"
SUITES = [(1, 1)]

#: A key whose configuration no client of this library can use.
useless_key = replace(
    other_key,
    config=ECHConfig.create(other_key.config.config_id, 0x9999, b"?", SUITES, 0, PUBLIC_NAME),
)


@asynccontextmanager
async def serving(
    config: ServerConfig, after_hello: Callable[[], object] = lambda: None
) -> AsyncGenerator[tuple[int, list[str | None]]]:
    """A server: its port, and the names in the hellos that it continues with.

    Args:
        after_hello: called for each of them.
    """
    names: list[str | None] = []
    candidates = config.parameters.candidates

    def select(hello: ClientHello) -> Sequence[Credentials]:
        names.append(hello.server_name)
        after_hello()
        return candidates

    async def greet(stream: TLSStream[trio.SocketStream]) -> None:
        async with stream:
            await stream.send_all(b"hello")

    config = replace(config, credentials=None, select_credentials=select)
    async with trio.open_nursery() as nursery:
        serve = partial(serve_tls_over_tcp, greet, 0, config, host=HOST)
        [listener] = await nursery.start(serve)
        yield listener.port, names
        nursery.cancel_scope.cancel()


async def open_stream(port: int, *, retry_ech: bool = True) -> TLSStream[trio.SocketStream]:
    return await open_tls_over_tcp_stream(
        HOST, port, config=ECH_CLIENT, server_hostname=SERVER_NAME, retry_ech=retry_ech
    )


async def rejection_of(port: int) -> ECHRejected:
    with pytest.raises(trio.BrokenResourceError) as caught:
        await open_stream(port)
    assert isinstance(caught.value.__cause__, ECHRejected)
    return caught.value.__cause__


async def test_the_second_connection_has_the_current_configuration() -> None:
    async with serving(STALE_SERVER) as (port, names), await open_stream(port) as stream:
        assert stream.negotiated.ech_accepted
        assert await stream.receive_some() == b"hello"
    assert names == [PUBLIC_NAME, SERVER_NAME]


async def test_without_a_rejection_there_is_one_connection() -> None:
    async with serving(ECH_SERVER) as (port, names), await open_stream(port) as stream:
        assert stream.negotiated.ech_accepted
    assert names == [SERVER_NAME]


async def test_a_second_rejection_is_final() -> None:
    """RFC 9849 6.1.6: the server is misconfigured, or its nodes have different keys."""
    third_key = ECHKey.generate(PUBLIC_NAME, other_ids=[other_key.config.config_id])
    keys = ECHKeys(other_key)
    config = replace(STALE_SERVER, ech_keys=keys)
    async with serving(config, lambda: keys.use(third_key)) as (port, names):
        rejection = await rejection_of(port)
    assert rejection.retry_configs == third_key.config_list
    assert names == [PUBLIC_NAME, PUBLIC_NAME]


async def test_it_never_connects_without_ech() -> None:
    async with serving(PLAIN_SERVER) as (port, names):
        rejection = await rejection_of(port)
    assert rejection.is_disabled
    assert names == [PUBLIC_NAME]


async def test_configurations_that_no_client_can_use_are_not_tried() -> None:
    async with serving(replace(STALE_SERVER, ech_keys=useless_key)) as (port, names):
        rejection = await rejection_of(port)
    assert rejection.retry_configs == useless_key.config_list
    assert names == [PUBLIC_NAME]


async def test_without_the_option_the_first_method_raises() -> None:
    async with serving(STALE_SERVER) as (port, names):
        stream = await open_stream(port, retry_ech=False)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await stream.do_handshake()
        await trio.aclose_forcefully(stream)
    assert isinstance(caught.value.__cause__, ECHRejected)
    assert caught.value.__cause__.retry_configs == other_key.config_list
    assert names == [PUBLIC_NAME]
