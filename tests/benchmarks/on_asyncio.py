"""Contenders on asyncio: with transports and protocols, and with its streams."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import Any

from .configurations import client_context, server_context
from .contenders import Contender, Facts, Handler, Program
from .settings import HOST, NAME, PKI, Setting

READ_BYTES = 2**18
BACKLOG = 4096


class ProtocolStream(asyncio.Protocol):
    """A protocol under the names of trio's stream, with no buffer besides the transport's.

    It has only what a program with sequential code needs, and is faster than asyncio's streams.
    """

    transport: Any  # what each loop calls its transport differs

    def __init__(self, on_connection: Callable[[ProtocolStream], None] | None = None) -> None:
        self._on_connection = on_connection
        self._loop = asyncio.get_running_loop()
        self._received: deque[bytes] = deque()
        self._ended = False
        self._reading: asyncio.Future[None] | None = None
        self._writing: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        if self._on_connection:
            self._on_connection(self)

    def data_received(self, data: bytes) -> None:
        self._received.append(data)
        self._wake_reader()

    def eof_received(self) -> None:
        self._ended = True
        self._wake_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        self.eof_received()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._writing = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writing and not self._writing.done():
            self._writing.set_result(None)
        self._writing = None

    def _wake_reader(self) -> None:
        if self._reading and not self._reading.done():
            self._reading.set_result(None)

    async def send_all(self, data: bytes) -> None:
        self.transport.write(data)
        if self._writing:
            await self._writing

    async def receive_some(self) -> bytes:
        if not self._received:
            if self._ended:
                return b""
            self._reading = self._loop.create_future()
            await self._reading
            self._reading = None
        return self._received.popleft() if self._received else b""


class Asyncio(Contender):
    name = "asyncio"
    module = "asyncio"
    notes = "protocols; writes are gathered in a buffer; closing does not wait for the peer"

    def __init__(self, pki: PKI, setting: Setting) -> None:
        super().__init__(pki, setting)
        self._client = client_context(pki, setting)
        self._server = server_context(pki, setting)
        self._tasks: set[asyncio.Task[None]] = set()

    def loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop]:
        return asyncio.new_event_loop

    def run(self, program: Program) -> None:
        with asyncio.Runner(loop_factory=self.loop_factory()) as runner:
            runner.run(program())

    async def together(self, programs: Sequence[Program]) -> None:
        async with asyncio.TaskGroup() as group:
            for program in programs:
                group.create_task(program())

    async def serve(self, handler: Handler, announce: Callable[[int], None]) -> None:
        async def handle(stream: ProtocolStream) -> None:
            try:
                await handler(stream)
            finally:
                await self.close(stream)

        def start(stream: ProtocolStream) -> None:
            task = loop.create_task(handle(stream))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: ProtocolStream(start), HOST, 0, ssl=self._server, backlog=BACKLOG
        )
        announce(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    async def connect(self, port: int) -> Any:
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(
            ProtocolStream, HOST, port, ssl=self._client, server_hostname=NAME
        )
        return stream

    async def close(self, stream: Any) -> None:
        stream.transport.close()

    def facts(self, stream: Any) -> Facts:
        tls = stream.transport.get_extra_info("ssl_object")
        return Facts(tls.cipher()[0], tls.session_reused)

    def keep_session(self, stream: Any) -> None:
        self._client.session_to_resume = stream.transport.get_extra_info("ssl_object").session


class UVLoop(Asyncio):
    name = "uvloop"
    module = "uvloop"

    def loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop]:
        uvloop: Any = import_module(self.module)
        return uvloop.new_event_loop


class AIOFastNet(Asyncio):
    name = "aiofastnet"
    module = "aiofastnet"
    resumes = False
    notes = "protocols over its transports, on asyncio's loop; its clients cannot resume"

    def loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop]:
        aiofastnet: Any = import_module(self.module)
        return aiofastnet.loop_factory()


class ReaderAndWriter:
    """asyncio's streams under the names of trio's. No coroutine is added."""

    __slots__ = ("reader", "transport", "writer")

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.transport: Any = writer.transport

    def send_all(self, data: bytes) -> Awaitable[None]:
        self.writer.write(data)
        return self.writer.drain()

    def receive_some(self) -> Awaitable[bytes]:
        return self.reader.read(READ_BYTES)


class AsyncioStreams(Asyncio):
    name = "asyncio streams"
    plain_only = True
    notes = "StreamReader and StreamWriter, with which most programs use asyncio"

    async def serve(self, handler: Handler, announce: Callable[[int], None]) -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            stream = ReaderAndWriter(reader, writer)
            try:
                await handler(stream)
            finally:
                await self.close(stream)

        server = await asyncio.start_server(handle, HOST, 0, ssl=self._server, backlog=BACKLOG)
        announce(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    async def connect(self, port: int) -> Any:
        return ReaderAndWriter(
            *await asyncio.open_connection(HOST, port, ssl=self._client, server_hostname=NAME)
        )
