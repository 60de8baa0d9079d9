"""One server of a fleet, as a process of its own.

Usage: python node.py OPTIONS, a JSON object with the attributes of ``Options``.

It prints its port. For each line on its standard input it waits until no connection is left, and
prints a report. It ends at the end of its input.
"""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import coredis
import trio
from coredis.connection import BaseConnection, TCPConnection, TCPLocation

from trio_tlsx import (
    Credentials,
    ProxyProtocolListener,
    ServerConfig,
    TLSListener,
    TLSStream,
    handshake_first,
)
from trio_tlsx.contrib.redis import (
    RedisAntiReplayCache,
    RedisConnections,
    RedisECHKeys,
    RedisTicketKeys,
)


@dataclass
class Options:
    """How a node is run.

    Attributes:
        name: its name, which it tells its clients.
        certificate: the file of its certificate.
        key: the file of its private key.
        redis: the port of its Redis server, or of Sentinel.
        sentinel: whether that is Sentinel.
        replicas: the number of replicas of its Redis server.
        wrapping: its key-encryption key, in hex.
        lifetime: the lifetime of its tickets and of its ECH keys, in seconds.
        public_names: the public name of its ECH keys, if it has some.
        clock: how far its clock is ahead, in seconds.
        proxied: whether it is behind a proxy.
    """

    name: str
    certificate: str
    key: str
    redis: int
    wrapping: str
    sentinel: bool = False
    replicas: int = 0
    lifetime: int = 7200
    public_names: Sequence[str] = ()
    clock: float = 0
    proxied: bool = False

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.clock)


class Node:
    """A server that answers each client with what it knows of the connection.

    Attributes:
        accepted: the early data that it has accepted.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.accepted: list[str] = []
        self.open = 0
        self.idle = trio.Condition()
        self.redis = RedisConnections(self.connect_redis, timeout=0.8)
        wrapping = [bytes.fromhex(options.wrapping)]
        self.keys = RedisTicketKeys(self.redis, wrapping, lifetime=options.lifetime)
        self.ech_keys = [
            RedisECHKeys(self.redis, wrapping, name, lifetime=options.lifetime)
            for name in options.public_names
        ]
        self.cache = RedisAntiReplayCache(self.redis, replicas=options.replicas)

    async def connect_redis(self) -> BaseConnection:
        host, port = "127.0.0.1", self.options.redis
        if self.options.sentinel:
            async with coredis.Sentinel([(host, port)], stream_timeout=1) as sentinel:
                host, port = await sentinel.discover_primary("tls")
        return TCPConnection(TCPLocation(host, port), connect_timeout=1)

    async def serve(self) -> None:
        options = self.options
        config = ServerConfig(
            credentials=Credentials.from_pem_files(options.certificate, options.key),
            ticket_keys=self.keys,
            ech_keys=self.ech_keys[0] if self.ech_keys else (),
            anti_replay_cache=self.cache,
            max_early_data_size=1000,
            clock=options.now,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(self.redis.run)
            await nursery.start(self.keys.run)
            for ech_keys in self.ech_keys:
                await nursery.start(ech_keys.run)
            await nursery.start(self.cache.run)
            [tcp_listener] = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=512)
            below: trio.abc.Listener[Any] = tcp_listener
            if options.proxied:
                below = ProxyProtocolListener(tcp_listener, trusted=["127.0.0.1"])
            listener = TLSListener(below, config, handshake_timeout=20)
            handle = handshake_first(self.handle, replayable_early_data=True)
            nursery.start_soon(trio.serve_listeners, partial(self.count, handle), [listener])
            print(listener.port, flush=True)
            async for _ in trio.lowlevel.FdStream(sys.stdin.fileno()):
                await self.report()
            nursery.cancel_scope.cancel()

    async def count(self, handle: Any, stream: TLSStream[Any]) -> None:
        self.open += 1
        try:
            await handle(stream)
        finally:
            self.open -= 1
            with trio.CancelScope(shield=True):
                async with self.idle:
                    self.idle.notify_all()

    async def handle(self, stream: TLSStream[Any]) -> None:
        early = bytes(await stream.receive_replayable_early_data())  # all, as it is short
        if early:
            self.accepted.append(early.decode())
            await stream.receive_replayable_early_data()  # a replay ends here
        answer: dict[str, object] = {
            "node": self.options.name,
            "resumed": stream.negotiated.resumed,
            "early": early.decode(),
            "hidden": stream.negotiated.ech_accepted,
            "client": list(stream.remote_address or ()),
        }
        await stream.send_all(json.dumps(answer).encode())
        await stream.aclose()

    async def report(self) -> None:
        async with self.idle:
            while self.open:
                await self.idle.wait()
        report = {
            "accepted": self.accepted,
            "refusals": {reason.value: n for reason, n in self.cache.refusals.items()},
            "cache": self.cache.problem and self.cache.problem.value,
            "keys": self.keys.problem,
        }
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    trio.run(Node(Options(**json.loads(sys.argv[1]))).serve)
