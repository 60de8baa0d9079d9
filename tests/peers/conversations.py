"""One of our streams and a peer, connected over loopback."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

import pytest
import trio
from authority import SERVER_NAME, Authority
from peer import SAFETY_NET, Part, Peer, Role, Saw

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.errors import TLSError
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.messages.handshake import HELLO_RETRY_REQUEST_RANDOM

NOTHING: Mapping[str, Any] = MappingProxyType({})

#: A length that no length of records or buffers divides, in bytes.
BLOCK = 2**16 - 1


class Conversation:
    """A connection of ours to a peer.

    Attributes:
        stream: our side.
        saw: what the peer saw; there once the connection is over.
    """

    saw: Saw

    def __init__(self, stream: TLSStream[Any], part: Part) -> None:
        self.stream = stream
        self._part = part

    async def converse(self) -> None:
        """Have data sent back, and close in the order that the peer's part says."""
        await self.talk()
        await self.close()

    async def talk(self) -> None:
        """Have data sent back."""
        data = payload(self._part.echo)
        await self.stream.send_all(data)
        echo = b""
        while len(echo) < len(data):
            more = await self.stream.receive_some()
            assert more, "the end came before the data"
            echo += more
        assert echo == data

    async def talk_at_once(self) -> None:
        """Have data sent back while more is sent."""
        block = payload(BLOCK)
        echo = hashlib.sha256()

        async def send() -> None:
            for _ in range(self._part.echo // BLOCK):
                await self.stream.send_all(block)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            left = self._part.echo
            while left:
                more = await self.stream.receive_some()
                assert more, "the end came before the data"
                echo.update(more)
                left -= len(more)
        expected = hashlib.sha256()
        for _ in range(self._part.echo // BLOCK):
            expected.update(block)
        assert echo.digest() == expected.digest()

    async def close(self) -> None:
        """Close in the order that the peer's part says."""
        if not self._part.closes_first:
            await self.stream.send_eof()
        assert await self.stream.receive_some() == b""
        await self.stream.aclose()

    async def fail(self) -> TLSError:
        """Handshake and read up to the error that ends it; give that."""
        with pytest.raises(trio.BrokenResourceError) as caught:
            await self.stream.receive_some()
        await self.stream.aclose()
        assert isinstance(caught.value.__cause__, TLSError)
        return caught.value.__cause__


Connect: TypeAlias = Callable[[], Awaitable[trio.abc.Stream]]


class PreparedPeer:
    """The connections of one configuration of ours to one peer.

    Attributes:
        saw: what the peer saw of each; there once all are over.
    """

    saw: Sequence[Saw]

    def __init__(
        self,
        connect: Connect,
        config: ClientConfig | ServerConfig,
        server_hostname: str | None,
        part: Part,
    ) -> None:
        self._connect = connect
        self._config = config
        self._server_hostname = server_hostname
        self._part = part

    @asynccontextmanager
    async def connect(
        self, tap: Tap | None = None, early_data: bytes = b"", **changed: Any
    ) -> AsyncGenerator[Conversation, None]:
        """Connect once.

        Args:
            tap: what is to listen in.
            early_data: what our client sends at once.
            changed: what is different in our configuration this time.
        """
        transport = await self._connect()
        if tap is not None:
            transport = tap.over(transport)
        config = replace(self._config, **changed) if changed else self._config
        stream = TLSStream(
            transport, config, server_hostname=self._server_hostname, early_data=early_data
        )
        try:
            yield Conversation(stream, self._part)
        finally:
            await trio.aclose_forcefully(stream)


@dataclass(frozen=True)
class PeerRole:
    """A peer in one role; our side has the other one."""

    peer: Peer
    role: Role

    def __str__(self) -> str:
        return f"{self.peer.name}-{self.role}"

    @asynccontextmanager
    async def connect(
        self,
        authority: Authority,
        *,
        key_type: str = "P-256",
        ours: Mapping[str, Any] = NOTHING,
        theirs: Mapping[str, Any] = NOTHING,
        tap: Tap | None = None,
    ) -> AsyncGenerator[Conversation, None]:
        """Connect once; both sides are at their end when the block is.

        Args:
            authority: as for :meth:`prepare`, like the following.
            key_type: see there.
            ours: see there.
            theirs: see there.
            tap: what is to listen in.
        """
        known = self.prepare(authority, key_type=key_type, ours=ours, theirs=theirs)
        async with known as prepared, prepared.connect(tap) as conversation:
            yield conversation
        [conversation.saw] = prepared.saw

    @asynccontextmanager
    async def prepare(
        self,
        authority: Authority,
        *,
        key_type: str = "P-256",
        ours: Mapping[str, Any] = NOTHING,
        theirs: Mapping[str, Any] = NOTHING,
    ) -> AsyncGenerator[PreparedPeer, None]:
        """Have the peer ready for as many connections as its part says.

        Args:
            authority: which server certificate there is, and whom the client trusts.
            key_type: of the server's certificate.
            ours: what is different in our configuration, beside ``server_hostname``.
            theirs: what is different in the peer's part.
        """
        hostname = None
        config: ClientConfig | ServerConfig
        if self.role == "server":
            usual = {"trust": authority.ca.trust, "server_hostname": SERVER_NAME}
            changed: dict[str, Any] = {**usual, **ours}
            hostname = changed.pop("server_hostname")
            config = ClientConfig(**changed)
            known: dict[str, Any] = {"credentials": authority.files(key_type)}
        else:
            changed = {"credentials": authority.credentials(key_type), **ours}
            config = ServerConfig(**changed)
            known = {"trust": authority.ca_file, "server_name": SERVER_NAME}
        part = Part(**{**known, **theirs})
        with trio.fail_after(SAFETY_NET):
            async with self._reach(part) as (connect, saw):
                prepared = PreparedPeer(connect, config, hostname, part)
                yield prepared
        prepared.saw = saw

    @asynccontextmanager
    async def _reach(self, part: Part) -> AsyncGenerator[tuple[Connect, list[Saw]], None]:
        """Have the peer play its part: how to connect to it, and what it will have seen."""
        saw: list[Saw] = []
        if self.role == "server":

            async def serve(task_status: trio.TaskStatus[int]) -> None:
                saw.extend(await self.peer.serve(part, task_status))

            async with trio.open_nursery() as nursery:
                port = await nursery.start(serve)
                yield partial(trio.open_tcp_stream, "127.0.0.1", port), saw
                if self.peer.serves_on:
                    saw.extend([Saw(None)] * part.connections)
                    nursery.cancel_scope.cancel()
            return

        async def call(port: int) -> None:
            saw.extend(await self.peer.call(part, port))

        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with listener, trio.open_nursery() as nursery:
            nursery.start_soon(call, listener.socket.getsockname()[1])
            yield listener.accept, saw


async def assert_resumes(known: PreparedPeer, role: Role, authority: Authority) -> None:
    """Check that of three connections the second and the third resume the session."""
    for resumed in (False, True, True):
        async with known.connect() as us:
            await us.converse()
            negotiated = us.stream.negotiated
            assert negotiated.resumed is resumed
            if role == "server":
                assert negotiated.peer_certificates[0] == authority.credentials().chain[0]


class Tap(trio.abc.Stream):
    """Listens in: passes everything on, and keeps it."""

    recorded = b""

    def over(self, stream: trio.abc.Stream) -> Tap:
        self._stream = stream
        return self

    @property
    def retried(self) -> bool:
        """Whether a HelloRetryRequest went over the wire."""
        return HELLO_RETRY_REQUEST_RANDOM in self.recorded

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.recorded += data
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        self.recorded += data
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()


def payload(length: int) -> bytes:
    """Data of bytes from 128 on, as OpenSSL's programs need it."""
    return bytes(octet | 0x80 for octet in random.Random(length).randbytes(length))
