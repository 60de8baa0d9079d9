"""Run anycorn over listeners of this library: ``pip install trio-tlsx[anycorn]``.

``anycorn.serve`` creates its own listeners and accepts no others. It reads the client's
certificates and the cipher suite from an ``ssl.SSLObject``, which our streams do not have.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, cast

from .extras import ExtraImports

with ExtraImports("anycorn"):
    import anyio
    import anyio.abc
    from anycorn.app_wrappers import ASGIWrapper
    from anycorn.config import Config
    from anycorn.lifespan import Lifespan
    from anycorn.tcp_server import TCPServer
    from anycorn.worker_context import WorkerContext
    from anyio.abc import SocketAttribute

from .anyio import TLSListener, TLSStream
from .asgi import (
    ASGIApplication,
    TLSApplication,
    logged_failures,
    server_certificate,
    tls_extension,
)

__all__ = ["serve"]

_Stream: TypeAlias = TLSStream[anyio.abc.ByteStream]


async def serve(
    app: ASGIApplication,
    config: Config,
    listeners: Sequence[TLSListener],
    *,
    shutdown_trigger: Callable[[], Awaitable[object]] = anyio.sleep_forever,
    task_status: anyio.abc.TaskStatus[Sequence[TLSListener]] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an ASGI application until ``shutdown_trigger`` returns, on asyncio or on trio.

    The logger ``trio_tlsx`` logs failed handshakes, as :meth:`TLSListener.serve` does, and the
    exceptions of anycorn for one connection. Neither ends the server.

    ALPN selects the HTTP version. For HTTP/2 the listeners' ``alpn_protocols`` must contain
    ``h2``. ``scope["extensions"]["tls"]`` is a :class:`~trio_tlsx.contrib.asgi.TLSExtension`.

    If cancelled, it cancels all handlers at once.

    Args:
        app: the application.
        config: anycorn's configuration. Its addresses and TLS options are ignored.
        listeners: the listeners; they are closed at the end.
        shutdown_trigger: after it returns, no connection is accepted. The open connections have
            ``config.graceful_timeout`` seconds to finish.
        task_status: ``task_group.start`` returns the listeners after the startup of the
            application.
    """
    wrapped = ASGIWrapper(cast(Any, app))
    state: Any = {}
    lifespan = Lifespan(wrapped, config, state)
    context = WorkerContext(None)

    async def handle(listener: TLSListener, stream: _Stream) -> None:
        extension = tls_extension(stream, server_certificate(listener.config))
        connection_app = TLSApplication(wrapped, extension)
        server = TCPServer(
            cast(Any, connection_app), config, context, state.copy(), cast(Any, stream)
        )
        address = stream.extra(SocketAttribute.remote_address, None)
        with logged_failures(address):
            await server.run()

    async with anyio.create_task_group() as lifespan_tasks:
        await lifespan_tasks.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        async with anyio.create_task_group() as handlers:
            async with anyio.create_task_group() as accepting:
                for listener in listeners:
                    accepting.start_soon(_accept, listener, partial(handle, listener), handlers)
                task_status.started(listeners)
                await shutdown_trigger()
                accepting.cancel_scope.cancel()
            await context.terminated.set()
            handlers.cancel_scope.deadline = anyio.current_time() + config.graceful_timeout
        await lifespan.wait_for_shutdown()
        lifespan_tasks.cancel_scope.cancel()


async def _accept(
    listener: TLSListener,
    handler: Callable[[_Stream], Awaitable[None]],
    handlers: anyio.abc.TaskGroup,
) -> None:
    async with listener:
        await listener.serve(handler, handlers)
