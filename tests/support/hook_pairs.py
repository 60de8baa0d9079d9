"""One connection of a client and a server with hooks, and the result on each side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

import trio
import trio.testing

from trio_tlsx import (
    AlertDescription,
    AlertReceived,
    ClientConfig,
    Negotiated,
    ServerConfig,
    TLSError,
    TLSStream,
)

NAME = "test.example"
GREETING = b"welcome"

#: The versions of all configurations, as the fixture ``each_version`` sets them; None leaves them.
versions: Sequence[str] | None = None

TransportPair: TypeAlias = tuple[trio.abc.Stream, trio.abc.Stream]
E = TypeVar("E", bound=TLSError)


@dataclass
class HandshakeResult:
    """What one side saw.

    Attributes:
        negotiated: what the handshake settled, if it ended well as far as this side could see.
        error: what ended the connection before the greeting, if anything did.
    """

    negotiated: Negotiated | None = None
    error: BaseException | None = None

    def settled(self) -> Negotiated:
        assert self.error is None, repr(self.error)
        assert self.negotiated is not None
        return self.negotiated

    def settled_before(self, alert: AlertDescription) -> None:
        """The handshake went well, and then this alert came, with the first thing read.

        In TLS 1.2 the alert comes in the handshake, which ends with the server's Finished.
        """
        assert (self.negotiated is None) == (versions == ["TLSv1.2"])
        assert self.failed(AlertReceived).alert is alert

    def failed(self, kind: type[E]) -> E:
        assert isinstance(self.error, kind), repr(self.error)
        return self.error


async def run_handshake(
    client_config: ClientConfig, server_config: ServerConfig, transports: TransportPair
) -> tuple[HandshakeResult, HandshakeResult]:
    """Do a handshake, and have the server greet; give what the client and the server saw."""
    if versions is not None:
        client_config = replace(client_config, versions=versions)
        server_config = replace(server_config, versions=versions)
    client = TLSStream(transports[0], client_config, server_hostname=NAME)
    server = TLSStream(transports[1], server_config)
    results = HandshakeResult(), HandshakeResult()

    async def be_client() -> None:
        with recording_errors(results[0], client):
            await client.do_handshake()
            results[0].negotiated = client.negotiated
            assert await client.receive_some() == GREETING
        await trio.aclose_forcefully(client)

    async def be_server() -> None:
        with recording_errors(results[1], server):
            await server.do_handshake()
            results[1].negotiated = server.negotiated
            await server.send_all(GREETING)
        await server.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(be_client)
        nursery.start_soon(be_server)
    return results


class recording_errors:
    """Keep what a stream raises, as the error of the protocol that it stands for."""

    def __init__(self, side: HandshakeResult, stream: TLSStream[trio.abc.Stream]) -> None:
        self.side = side
        self.stream = stream

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if not isinstance(error, trio.BrokenResourceError):
            return False
        self.side.error = error.__cause__ or error
        return True


async def over_memory() -> TransportPair:
    return trio.testing.memory_stream_pair()


async def over_sockets() -> TransportPair:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        client = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        return client, await listener.accept()


@dataclass
class Hook:
    """A hook that gives ``outcome``, or raises it; plainly, or from a coroutine.

    Attributes:
        calls: the arguments of each call.
    """

    outcome: object
    asynchronous: bool
    calls: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])

    def __call__(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        return self._later() if self.asynchronous else self._now()

    def _now(self) -> object:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    async def _later(self) -> object:
        await trio.testing.wait_all_tasks_blocked()
        return self._now()


MakeHook: TypeAlias = Callable[[object], Hook]
Connect: TypeAlias = Callable[[], Awaitable[TransportPair]]
