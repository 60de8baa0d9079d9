"""An echo server and its client with raw public keys, without any certificate.

Usage: python raw_keys.py serve KEY CLIENT_PUBLIC_KEY
       python raw_keys.py connect PORT KEY SERVER_PUBLIC_KEY

KEY is a file with a private key in PEM, as `openssl genpkey -algorithm ed25519` writes it. Each
side gets the other's public key, as `openssl pkey -pubout` writes it.
"""

import sys
from functools import partial
from pathlib import Path

import trio

import trio_tlsx


def server_config(key: bytes, client_public_key: bytes) -> trio_tlsx.ServerConfig:
    return trio_tlsx.ServerConfig(
        credentials=trio_tlsx.Credentials.from_raw_key(key),
        client_auth="required",
        client_trust=trio_tlsx.TrustStore.from_public_keys([client_public_key]),
    )


def client_config(key: bytes, server_public_key: bytes) -> trio_tlsx.ClientConfig:
    return trio_tlsx.ClientConfig(
        credentials=trio_tlsx.Credentials.from_raw_key(key),
        trust=trio_tlsx.TrustStore.from_public_keys([server_public_key]),
    )


async def echo(stream: trio_tlsx.TLSStream[trio.SocketStream]) -> None:
    key = stream.negotiated.peer_raw_public_key
    print("client with the key", key and key.pin, flush=True)
    async with stream:
        async for data in stream:
            await stream.send_all(data)


async def serve(config: trio_tlsx.ServerConfig) -> None:
    async with trio.open_nursery() as nursery:
        start = partial(trio_tlsx.serve_tls_over_tcp, echo, 0, config, host="127.0.0.1")
        [listener] = await nursery.start(start)
        print("listening on port", listener.port, flush=True)


async def connect(port: int, config: trio_tlsx.ClientConfig) -> None:
    stream = await trio_tlsx.open_tls_over_tcp_stream("127.0.0.1", port, config=config)
    async with stream:
        await stream.send_all(b"hello")
        print(await stream.receive_some())


if __name__ == "__main__":
    try:
        match sys.argv[1:]:
            case ["serve", *paths] if len(paths) == 2:
                trio.run(serve, server_config(*(Path(path).read_bytes() for path in paths)))
            case ["connect", port, *paths] if len(paths) == 2:
                config = client_config(*(Path(path).read_bytes() for path in paths))
                trio.run(connect, int(port), config)
            case _:
                sys.exit(__doc__)
    except* KeyboardInterrupt:
        pass
