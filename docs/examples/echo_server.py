"""A TLS server that echoes the received data.

Usage: python echo_server.py CERT_FILE KEY_FILE PORT
"""

import sys

import trio

import trio_tlsx

HANDSHAKE_TIMEOUT = 10  # seconds


async def echo(stream: trio_tlsx.TLSStream[trio.SocketStream]) -> None:
    """Serve one connection; leaving the block sends ``close_notify``."""
    async with stream:
        async for data in stream:
            await stream.send_all(data)


async def main(cert_file: str, key_file: str, port: int) -> None:
    """Serve until Ctrl-C.

    ``handshake_first`` logs a handshake that fails and a connection that breaks; neither ends the
    server.
    """
    credentials = trio_tlsx.Credentials.from_pem_files(cert_file, key_file)
    config = trio_tlsx.ServerConfig(credentials=credentials)
    tcp_listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    print("listening on port", tcp_listeners[0].socket.getsockname()[1], flush=True)
    tls_listeners = [
        trio_tlsx.TLSListener(listener, config, handshake_timeout=HANDSHAKE_TIMEOUT)
        for listener in tcp_listeners
    ]
    await trio.serve_listeners(trio_tlsx.handshake_first(echo), tls_listeners)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        trio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
    except* KeyboardInterrupt:
        pass
