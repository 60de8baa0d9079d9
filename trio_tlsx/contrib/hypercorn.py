"""Run hypercorn over listeners of this library: ``pip install trio-tlsx[hypercorn]``.

``hypercorn.trio.serve`` creates its own listeners and accepts no others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState, LifespanState

from ..io.listener import TLSListener, handshake_first
from ..io.stream import TLSStream

__all__ = ["serve"]


async def serve(
    app: ASGIFramework,
    config: Config,
    listeners: list[TLSListener[trio.SocketStream]],
    *,
    shutdown_trigger: Callable[[], Awaitable[object]] = trio.sleep_forever,
    task_status: trio.TaskStatus[list[TLSListener[trio.SocketStream]]] = (
        trio.TASK_STATUS_IGNORED
    ),
) -> None:
    """Serve an ASGI application until ``shutdown_trigger`` returns.

    The logger ``trio_tlsx`` logs failed handshakes, as :func:`handshake_first` does. ALPN selects
    the HTTP version. For HTTP/2 the listeners' ``alpn_protocols`` must contain ``h2``. A
    cancellation cancels all handlers at once.

    Args:
        app: the application.
        config: hypercorn's configuration. Its addresses and TLS options are ignored.
        listeners: the listeners; they are closed at the end.
        shutdown_trigger: after it returns, no connection is accepted. The open connections have
            ``config.graceful_timeout`` seconds to finish.
        task_status: ``nursery.start`` returns the listeners after the startup of the application.
    """
    wrapped = ASGIWrapper(app)
    state: LifespanState = {}
    lifespan = Lifespan(wrapped, config, state)
    context = WorkerContext(None)

    @handshake_first
    async def handle(stream: TLSStream[trio.SocketStream]) -> None:
        # The stream has all that hypercorn uses of trio.SSLStream.
        await TCPServer(wrapped, config, context, ConnectionState(state.copy()), cast(Any, stream))

    async with trio.open_nursery() as lifespan_nursery:
        await lifespan_nursery.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        async with trio.open_nursery() as handlers:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(
                    partial(trio.serve_listeners, handle, listeners, handler_nursery=handlers)
                )
                task_status.started(listeners)
                await shutdown_trigger()
                accepting.cancel_scope.cancel()
            await context.terminated.set()
            handlers.cancel_scope.deadline = trio.current_time() + config.graceful_timeout
        await lifespan.wait_for_shutdown()
        lifespan_nursery.cancel_scope.cancel()
