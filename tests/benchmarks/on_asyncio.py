"""The contenders that run on asyncio, with its streams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import Any

from .configurations import client_context, server_context
from .contenders import Contender, Facts, Handler, Program
from .settings import HOST, NAME, PKI, Setting

READ_BYTES = 2**18


class AsyncioStream:
    """A reader and a writer under the names of trio's stream. No coroutine is added."""

    __slots__ = ("reader", "writer")

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send_all(self, data: bytes) -> Awaitable[None]:
        self.writer.write(data)
        return self.writer.drain()

    def receive_some(self) -> Awaitable[bytes]:
        return self.reader.read(READ_BYTES)


class Asyncio(Contender):
    name = "asyncio"
    module = "asyncio"
    notes = "streams; their writes are gathered in a buffer; closing does not wait for the peer"

    def __init__(self, pki: PKI, setting: Setting) -> None:
        super().__init__(pki, setting)
        self._client = client_context(pki, setting)
        self._server = server_context(pki, setting)

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
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            stream = AsyncioStream(reader, writer)
            try:
                await handler(stream)
            finally:
                await self.close(stream)

        server = await asyncio.start_server(handle, HOST, 0, ssl=self._server, backlog=4096)
        announce(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    async def connect(self, port: int) -> Any:
        return AsyncioStream(
            *await asyncio.open_connection(HOST, port, ssl=self._client, server_hostname=NAME)
        )

    async def close(self, stream: Any) -> None:
        stream.writer.close()

    def facts(self, stream: Any) -> Facts:
        tls = stream.writer.get_extra_info("ssl_object")
        return Facts(tls.cipher()[0], tls.session_reused)

    def keep_session(self, stream: Any) -> None:
        self._client.session_to_resume = stream.writer.get_extra_info("ssl_object").session


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
    notes = "asyncio's streams over its transports, on asyncio's loop; its clients cannot resume"

    def loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop]:
        aiofastnet: Any = import_module(self.module)
        return aiofastnet.loop_factory()
