"""The argument of the application's function in each worker."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial

import trio

from ..config.server import ServerConfig
from ..engine.select import engine_for
from ..errors import ConfigError
from ..io.listener import HANDSHAKE_TIMEOUT, handshake_first
from ..io.stream import TLSStream
from ..pki.ech_keys import ECHKeys
from ..sessions.anti_replay import AntiReplayCache, MemoryAntiReplayCache
from ..sessions.ticket_keys import TicketKeys
from .draining import Draining
from .listening import accept_queued, duplicate

__all__ = ["CLOSE_TIMEOUT", "Worker"]

#: The time for closing one connection with ``close_notify``, in seconds.
CLOSE_TIMEOUT = 2


class Worker:
    """One of the processes of :func:`serve_in_processes`, for the function that it runs.

    Most functions create a :class:`ServerConfig` with ``ticket_keys`` and ``anti_replay_cache``,
    and call :meth:`serve`. A function that accepts connections by itself, such as that of a web
    framework, uses ``listeners``, calls :meth:`started` when it accepts connections, and stops
    accepting them when :meth:`wait_draining` returns.

    Attributes:
        number: the number of this worker, from 0 on. Its successor has the same number.
        listeners: the TCP listeners, which are open already.
        ticket_keys: the ticket keys of all workers, for ``ServerConfig(ticket_keys=)``. The
            supervisor rotates them.
        ech_keys: the ECH keys of all workers, for ``ServerConfig(ech_keys=)``: those of
            :func:`serve_in_processes`. Without keys there is no Encrypted Client Hello.
        anti_replay_cache: the cache of all workers, for ``ServerConfig(anti_replay_cache=)``. If
            the supervisor does not answer, it rejects early data.
    """

    number: int
    listeners: list[trio.SocketListener]
    ticket_keys: TicketKeys
    ech_keys: ECHKeys
    anti_replay_cache: AntiReplayCache

    def __init__(
        self,
        number: int,
        listeners: Sequence[trio.SocketListener],
        ticket_keys: TicketKeys,
        ech_keys: ECHKeys,
        anti_replay_cache: AntiReplayCache,
        draining: Draining,
        report_started: Callable[[], None],
    ) -> None:
        self.number = number
        self.listeners = list(listeners)
        self.ticket_keys = ticket_keys
        self.ech_keys = ech_keys
        self.anti_replay_cache = anti_replay_cache
        self._draining = draining
        self._report_started = report_started

    @property
    def draining(self) -> bool:
        """Whether this worker drains: it should end each connection as soon as it can."""
        return self._draining.begun

    async def wait_draining(self) -> None:
        """Wait until this worker drains. If cancelled, nothing has changed.

        After that the function has ``drain_timeout`` seconds to return. Then it is cancelled.
        """
        await self._draining.wait()

    def started(self) -> None:
        """Report to the supervisor that this worker accepts connections.

        Only then does a rolling restart drain this worker's predecessor. :meth:`serve` calls this
        method.
        """
        self._report_started()

    async def serve(
        self,
        handler: Callable[[TLSStream[trio.SocketStream]], Awaitable[object]],
        config: ServerConfig | ssl.SSLContext,
        *,
        handshake_timeout: float | None = HANDSHAKE_TIMEOUT,
        https_compatible: bool = False,
        replayable_early_data: bool = False,
        raise_connection_errors: bool = False,
    ) -> None:
        """Serve TLS until this worker drains and its last connection has ended.

        It runs ``handler(stream)`` in a task for each connection, after the handshake, as
        :func:`serve_tls_over_tcp` does. When the handler returns or is cancelled, the connection
        is closed with ``close_notify``, for which it has 2 seconds. A handler that closes the
        stream itself (``async with stream:``) prevents this if it is cancelled: a cancelled
        ``aclose`` sends no ``close_notify``.

        When the worker drains, no more connections are accepted, and handlers continue until
        ``drain_timeout``; then they are cancelled. If all workers drain, they first accept the
        connections that wait in the queue of the kernel, and serve them. If cancelled, it cancels
        the handlers.

        Args:
            handler: called with each connection. It should not close the stream.
            config: the configuration of every connection.
            handshake_timeout: as for :class:`TLSStream`, in seconds; None for no limit.
            https_compatible: as for :class:`TLSStream`.
            replayable_early_data: as for :func:`handshake_first`.
            raise_connection_errors: as for :func:`handshake_first`.

        Raises:
            ConfigError: the configuration is not for servers, or it has ticket keys or an
                anti-replay cache that the other workers do not have.
        """
        engine_for(config, None, True)  # raise here, not for the first client
        _check_shared(config)
        handle = handshake_first(
            handler,
            replayable_early_data=replayable_early_data,
            raise_connection_errors=raise_connection_errors,
        )

        async def serve_one(tcp_stream: trio.SocketStream) -> None:
            stream = TLSStream(
                tcp_stream,
                config,
                server_side=True,
                https_compatible=https_compatible,
                handshake_timeout=(
                    float("inf") if handshake_timeout is None else handshake_timeout
                ),
            )
            try:
                await handle(stream)
            finally:
                # A cancelled aclose() sends no close_notify, so it is shielded.
                with (
                    trio.move_on_after(CLOSE_TIMEOUT, shield=True),
                    suppress(trio.BrokenResourceError),
                ):
                    await stream.aclose()

        await self._accept_until_draining(serve_one)

    async def _accept_until_draining(
        self, serve_one: Callable[[trio.SocketStream], Awaitable[object]]
    ) -> None:
        with ExitStack() as stack:
            queues = [stack.enter_context(duplicate(each)) for each in self.listeners]
            async with trio.open_nursery() as connections:
                async with trio.open_nursery() as accepting:
                    accepting.start_soon(
                        partial(
                            trio.serve_listeners,
                            serve_one,
                            self.listeners,
                            handler_nursery=connections,
                        )
                    )
                    self.started()
                    await self.wait_draining()
                    accepting.cancel_scope.cancel()
                for queue in queues:
                    for stream in accept_queued(queue) if self._draining.last else ():
                        connections.start_soon(serve_one, stream)
                    queue.close()

    def __repr__(self) -> str:
        return f"<Worker {self.number}{', draining' if self.draining else ''}>"


def _check_shared(config: ServerConfig | ssl.SSLContext) -> None:
    if not isinstance(config, ServerConfig):
        return
    if config.ticket_keys is None and config.tickets != 0:
        raise ConfigError(
            "the configuration has ticket keys that other workers do not have: pass "
            "ticket_keys=worker.ticket_keys, or tickets=0 to issue no tickets"
        )
    if isinstance(config.anti_replay_cache, MemoryAntiReplayCache):
        raise ConfigError(
            "anti_replay_cache is a MemoryAntiReplayCache, which other workers cannot see: "
            "pass anti_replay_cache=worker.anti_replay_cache"
        )
