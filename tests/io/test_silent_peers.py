"""Servers of trio and ours with a peer that sends nothing, and cancelled accepts."""

from __future__ import annotations

import ssl
from functools import partial
from typing import Any, cast

import trio
import trio.testing
from tls_pairs import Cutter, Engine

from trio_tlsx.io.listener import TLSListener, serve_tls_over_tcp

HOUR = 3600
MAX_CHECKPOINTS = 20


async def echo(stream: trio.abc.Stream) -> None:
    async with stream:
        async for chunk in stream:
            await stream.send_all(chunk)


def port_of(listener: trio.abc.Listener[Any]) -> int:
    below: trio.SocketListener = cast(Any, listener).transport_listener
    return below.socket.getsockname()[1]


async def silent_peer_is_let_go(port: int) -> bool:
    """Whether a server ends a connection on which it hears nothing for an hour."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as silent:
        with trio.move_on_after(HOUR):
            async for _ in silent:
                pass
            return True
        return False


async def test_our_server_times_a_silent_peer_out(
    engine: Engine, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        serve = partial(serve_tls_over_tcp, echo, 0, engine.server_config, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        assert await silent_peer_is_let_go(port_of(listener))
        nursery.cancel_scope.cancel()


async def test_trios_server_waits_for_a_silent_peer(
    openssl: Engine, autojump_clock: trio.testing.MockClock
) -> None:
    context = openssl.server_config
    assert isinstance(context, ssl.SSLContext)
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_ssl_over_tcp, echo, 0, context, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        assert not await silent_peer_is_let_go(port_of(listener))
        nursery.cancel_scope.cancel()


async def test_no_connection_is_lost_by_accepting_cancelled_anywhere(engine: Engine) -> None:
    [below] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    listener = TLSListener(below, engine.server_config)
    async with listener, await trio.open_tcp_stream("127.0.0.1", port_of(listener)) as peer:
        accepted = None
        cancelled = 0
        for yields in range(MAX_CHECKPOINTS):
            with trio.CancelScope() as scope:
                cutter = Cutter(scope, yields)
                trio.lowlevel.add_instrument(cutter)
                try:
                    accepted = await listener.accept()
                finally:
                    trio.lowlevel.remove_instrument(cutter)
            if accepted is not None:
                break
            assert scope.cancelled_caught
            cancelled += 1
        assert accepted is not None
        assert cancelled
        ours = peer.socket.getsockname()
        assert accepted.transport_stream.socket.getpeername() == ours
        await trio.aclose_forcefully(accepted)
