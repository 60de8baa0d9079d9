"""Run hypercorn over listeners of this library: ``pip install trio-tlsx[hypercorn]``.

``hypercorn.trio.serve`` creates its own listeners and accepts no others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, cast

import trio

from .extras import ExtraImports

with ExtraImports("hypercorn"):
    from hypercorn.app_wrappers import ASGIWrapper
    from hypercorn.config import Config
    from hypercorn.trio.lifespan import Lifespan
    from hypercorn.trio.tcp_server import TCPServer
    from hypercorn.trio.worker_context import WorkerContext
    from hypercorn.typing import AppWrapper, ASGIFramework, ConnectionState, LifespanState

from ..io.listener import TLSListener, handshake_first
from ..io.stream import TLSStream
from .asgi import (
    ASGIApplication,
    TLSApplication,
    logged_failures,
    server_certificate,
    tls_extension,
)

__all__ = ["serve"]


async def serve(
    app: ASGIApplication,
    config: Config,
    listeners: Sequence[TLSListener[Any]],
    *,
    shutdown_trigger: Callable[[], Awaitable[object]] = trio.sleep_forever,
    task_status: trio.TaskStatus[Sequence[TLSListener[Any]]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an ASGI application until ``shutdown_trigger`` returns.

    The logger ``trio_tlsx`` logs failed handshakes, as :func:`handshake_first` does, and the
    exceptions of hypercorn for one connection. Neither ends the server.

    ALPN selects the HTTP version. For HTTP/2 the listeners' ``alpn_protocols`` must contain
    ``h2``. ``scope["extensions"]["tls"]`` is a :class:`~trio_tlsx.contrib.asgi.TLSExtension`.
    Behind a :class:`ProxyProtocolListener`, ``scope["client"]`` is the client's address.

    If cancelled, it cancels all handlers at once.

    Args:
        app: the application.
        config: hypercorn's configuration. Its addresses and TLS options are ignored.
        listeners: the listeners; they are closed at the end.
        shutdown_trigger: after it returns, no connection is accepted. The open connections have
            ``config.graceful_timeout`` seconds to finish.
        task_status: ``nursery.start`` returns the listeners after the startup of the application.
    """
    wrapped = ASGIWrapper(cast(ASGIFramework, app))
    state: LifespanState = {}
    lifespan = Lifespan(wrapped, config, state)
    context = WorkerContext(None)

    async def handle(listener: TLSListener[Any], stream: TLSStream[Any]) -> None:
        extension = tls_extension(stream, server_certificate(listener.config))
        connection_app = TLSApplication(wrapped, extension, _client_of(stream))
        # The stream has all that hypercorn uses of trio.SSLStream.
        over_socket = isinstance(stream.transport_stream, trio.SocketStream)
        connection = cast(Any, stream if over_socket else _OverSocket(stream))
        server = TCPServer(
            cast(AppWrapper, connection_app),
            config,
            context,
            ConnectionState(state.copy()),
            connection,
        )
        with logged_failures(stream.remote_address):
            await server

    async with trio.open_nursery() as lifespan_nursery:
        await lifespan_nursery.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        async with trio.open_nursery() as handlers:
            async with trio.open_nursery() as accepting:
                for listener in listeners:
                    handler = handshake_first(partial(handle, listener))
                    accepting.start_soon(
                        partial(
                            trio.serve_listeners, handler, [listener], handler_nursery=handlers
                        )
                    )
                task_status.started(listeners)
                await shutdown_trigger()
                accepting.cancel_scope.cancel()
            await context.terminated.set()
            handlers.cancel_scope.deadline = trio.current_time() + config.graceful_timeout
        await lifespan.wait_for_shutdown()
        lifespan_nursery.cancel_scope.cancel()


def _client_of(stream: TLSStream[Any]) -> tuple[str, int] | None:
    match stream.remote_address:
        case (str(host), int(port), *_):
            return host, port
        case _:
            return None


class _OverSocket:
    """A stream whose ``transport_stream`` has a socket: behind a proxy, that to the proxy."""

    def __init__(self, stream: TLSStream[Any]) -> None:
        self._stream = stream
        self.transport_stream = stream.transport_stream.transport_stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
