"""Connect to Redis over TLS with this library, and check whether early data can rely on it.

``coredis`` makes its connections in the method ``_connect``. It is private: a later version may
change it. ``RedisConnections`` accepts any connection, so nothing else depends on that.

Usage: python redis_over_tls.py HOST PORT CA_FILE
"""

import sys

import anyio
import anyio.abc
import trio
from coredis.connection import TCPConnection, TCPLocation

import trio_tlsx
from trio_tlsx.contrib.anyio import connect_tls
from trio_tlsx.contrib.redis import RedisAntiReplayCache, RedisConnections

CONNECT_SECONDS = 2


class TLSConnection(TCPConnection):
    """A connection to Redis over TLS.

    Args:
        location: the server.
        config: what the connection negotiates.
    """

    def __init__(self, location: TCPLocation, config: trio_tlsx.ClientConfig) -> None:
        super().__init__(location)
        self._config = config

    async def _connect(self) -> anyio.abc.ByteStream:
        with anyio.fail_after(CONNECT_SECONDS):
            return await connect_tls(self.location.host, self.location.port, config=self._config)


async def main(host: str, port: int, ca_file: str) -> None:
    """Print what the anti-replay cache thinks of a Redis server."""
    config = trio_tlsx.ClientConfig(trust=trio_tlsx.TrustStore.from_pem_file(ca_file))
    redis = RedisConnections(lambda: TLSConnection(TCPLocation(host, port), config))
    cache = RedisAntiReplayCache(redis)
    async with trio.open_nursery() as nursery:
        await nursery.start(redis.run)
        await nursery.start(cache.run)
        print("problem:", cache.problem.value if cache.problem else "none")
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    trio.run(main, sys.argv[1], int(sys.argv[2]), sys.argv[3])
