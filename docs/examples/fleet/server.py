"""A server of the fleet that run.py starts. Its answers begin with its name.

Usage: python server.py NAME CERT_FILE KEY_FILE PUBLIC_NAME WRAPPING_KEY_FILE REDIS_SOCKET
"""

import base64
import logging
import signal
import sys
from functools import partial

import trio
from coredis.connection import UnixDomainSocketConnection, UnixDomainSocketLocation

import trio_tlsx
from trio_tlsx.contrib.redis import (
    RedisAntiReplayCache,
    RedisConnections,
    RedisECHKeys,
    RedisTicketKeys,
)

Stream = trio_tlsx.TLSStream[trio_tlsx.ProxiedStream]


async def answer(name: str, stream: Stream) -> None:
    """Send everything back, the early data before the handshake is complete."""
    async with stream:
        while data := await stream.receive_replayable_early_data():
            await stream.answer_early_data(b"%s, early: %s" % (name.encode(), data))
        how = "resumed" if stream.negotiated.resumed else "new"
        async for data in stream:
            await stream.send_all(b"%s, %s: %s" % (name.encode(), how.encode(), data))


async def publish(ech_keys: RedisECHKeys) -> None:
    """Log each configuration to publish in DNS. It is the same on all servers."""
    configs = None
    while True:
        configs = await ech_keys.wait_config_list(configs)
        logging.info("publish in DNS: ech=%s", base64.b64encode(configs).decode("ascii"))


async def main(
    name: str, cert: str, key: str, public_name: str, wrapping_key_file: str, redis_socket: str
) -> None:
    """Serve until SIGTERM."""
    location = UnixDomainSocketLocation(redis_socket)
    redis = RedisConnections(lambda: UnixDomainSocketConnection(location))
    wrapping_keys = [await trio.Path(wrapping_key_file).read_bytes()]
    keys = RedisTicketKeys(redis, wrapping_keys)
    ech_keys = RedisECHKeys(redis, wrapping_keys, public_name)
    cache = RedisAntiReplayCache(redis)
    config = trio_tlsx.ServerConfig(
        select_credentials=trio_tlsx.ReloadingCredentials.from_pem_files(cert, key),
        ticket_keys=keys,
        ech_keys=ech_keys,
        anti_replay_cache=cache,
        max_early_data_size=4096,
    )
    [tcp_listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    proxied = trio_tlsx.ProxyProtocolListener(tcp_listener, trusted=["127.0.0.1"])
    listener = trio_tlsx.TLSListener(proxied, config, handshake_timeout=10)
    handle = trio_tlsx.handshake_first(partial(answer, name), replayable_early_data=True)
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            await nursery.start(redis.run)
            await nursery.start(keys.run)
            await nursery.start(ech_keys.run)
            await nursery.start(cache.run)
            nursery.start_soon(publish, ech_keys)
            nursery.start_soon(trio.serve_listeners, handle, [listener])
            print(listener.port, flush=True)
            async for _ in signals:
                nursery.cancel_scope.cancel()


if __name__ == "__main__":
    if len(sys.argv) != 7:
        sys.exit(__doc__)
    logging.basicConfig(level=logging.INFO, format=f"{sys.argv[1]}: %(message)s")
    logging.getLogger("coredis").setLevel(logging.CRITICAL)  # trio_tlsx logs what matters
    trio.run(partial(main, *sys.argv[1:]))
