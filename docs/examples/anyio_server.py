"""A TLS server on asyncio that echoes the received data.

Usage: python anyio_server.py CERT_FILE KEY_FILE PORT
"""

import sys

import anyio
import anyio.abc
from anyio.abc import SocketAttribute

from trio_tlsx import Credentials, ServerConfig
from trio_tlsx.contrib.anyio import TLSListener, TLSStream


async def echo(stream: TLSStream[anyio.abc.ByteStream]) -> None:
    """Serve one connection; leaving the block sends ``close_notify``."""
    async with stream:
        async for data in stream:
            await stream.send(data)


async def main(cert_file: str, key_file: str, port: int) -> None:
    """Serve until Ctrl-C."""
    config = ServerConfig(credentials=Credentials.from_pem_files(cert_file, key_file))
    tcp_listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    async with TLSListener(tcp_listener, config) as listener:
        print("listening on port", listener.extra(SocketAttribute.local_port), flush=True)
        await listener.serve(echo)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        anyio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]), backend="asyncio")
    except* KeyboardInterrupt:
        pass
