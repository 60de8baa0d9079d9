"""A TLS server that shuts down gracefully on SIGTERM.

It stops accepting, lets its handlers finish until a deadline, and then closes the remaining
connections. A peer gets ``close_notify`` only if everything that the handler sent has left. If a
``send_all`` was cut, the peer sees a truncation.

The handler does not close its stream. An ``async with stream:`` in it would close the stream when
the deadline cancels the handler, and a cancelled ``aclose()`` sends no ``close_notify``.

Usage: python graceful_drain.py CERT_FILE KEY_FILE PORT DRAIN_TIMEOUT CLOSE_TIMEOUT
"""

import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

import trio

import trio_tlsx

HANDSHAKE_TIMEOUT = 10  # seconds
REPETITIONS = 1000

Stream: TypeAlias = trio_tlsx.TLSStream[trio.SocketStream]
Listener: TypeAlias = trio_tlsx.TLSListener[trio.SocketStream]


async def serve_until_sigterm(
    handler: Callable[[Stream], Awaitable[object]],
    listeners: list[Listener],
    *,
    drain_timeout: float,
    close_timeout: float,
) -> None:
    """Run ``handler(stream)`` for each connection, and drain them on SIGTERM.

    Args:
        handler: called with each connection after its handshake. It must not close the stream:
            this function does, also when the handler is cancelled.
        listeners: the listeners.
        drain_timeout: the time for handlers to finish after SIGTERM, in seconds.
        close_timeout: the time for closing one connection after that, in seconds.
    """
    handle = trio_tlsx.handshake_first(handler)

    async def serve(stream: Stream) -> None:
        try:
            await handle(stream)
        finally:
            # A cancelled aclose() sends no close_notify, so it is shielded. After a send_all that
            # was cut, aclose() sends none either.
            with trio.move_on_after(close_timeout, shield=True):
                await stream.aclose()

    async with trio.open_nursery() as handlers:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(
                    partial(trio.serve_listeners, serve, listeners, handler_nursery=handlers)
                )
                async for _ in signals:
                    break
                accepting.cancel_scope.cancel()  # which closes the listeners
        print("draining", flush=True)
        handlers.cancel_scope.deadline = trio.current_time() + drain_timeout


async def echo_repeatedly(stream: Stream) -> None:
    """Echo the data many times, so that a peer that does not read blocks this handler."""
    try:
        async for data in stream:
            await stream.send_all(data * REPETITIONS)
    except trio.BrokenResourceError as error:  # this client's trouble, not the server's
        print(error, file=sys.stderr)


async def main(
    cert_file: str, key_file: str, port: int, drain_timeout: float, close_timeout: float
) -> None:
    """Serve until SIGTERM."""
    credentials = trio_tlsx.Credentials.from_pem_files(cert_file, key_file)
    config = trio_tlsx.ServerConfig(credentials=credentials)
    tcp_listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    print("listening on port", tcp_listeners[0].socket.getsockname()[1], flush=True)
    listeners = [
        trio_tlsx.TLSListener(listener, config, handshake_timeout=HANDSHAKE_TIMEOUT)
        for listener in tcp_listeners
    ]
    await serve_until_sigterm(
        echo_repeatedly, listeners, drain_timeout=drain_timeout, close_timeout=close_timeout
    )


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    cert, key, *numbers = sys.argv[1:]
    try:
        trio.run(main, cert, key, int(numbers[0]), float(numbers[1]), float(numbers[2]))
    except* KeyboardInterrupt:
        pass
