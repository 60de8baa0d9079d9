"""A WebSocket server that echoes messages, and a client, with trio-websocket.

Usage: python websocket.py server CERT_FILE KEY_FILE PORT
       python websocket.py client HOST PORT CA_FILE MESSAGE
"""

import sys
from typing import Any, cast

import trio
import trio_websocket

import trio_tlsx

TIMEOUT = 10  # seconds, for the TLS handshake, and again for the request


async def echo(connection: trio_websocket.WebSocketConnection) -> None:
    """Answer messages until the client closes the connection."""
    try:
        while True:
            await connection.send_message(await connection.get_message())
    except trio_websocket.ConnectionClosed as closed:
        print("closed:", closed.reason, flush=True)


@trio_tlsx.handshake_first  # logs and closes connections that fail
async def serve_connection(stream: trio_tlsx.TLSStream[trio.SocketStream]) -> None:
    """Serve one connection."""
    async with stream, trio.open_nursery() as nursery:
        request = None
        with trio.move_on_after(TIMEOUT):
            # A type checker does not know that the stream has all that the package uses.
            request = await trio_websocket.wrap_server_stream(nursery, cast(Any, stream))
        if request is not None:
            print("request of", stream.remote_address, flush=True)
            async with await request.accept() as connection:
                await echo(connection)
        nursery.cancel_scope.cancel()


async def serve(cert_file: str, key_file: str, port: int) -> None:
    """Serve until Ctrl-C."""
    credentials = trio_tlsx.Credentials.from_pem_files(cert_file, key_file)
    config = trio_tlsx.ServerConfig(credentials=credentials, alpn_protocols=["http/1.1"])
    listeners = await trio_tlsx.open_tls_over_tcp_listeners(
        port, config, host="127.0.0.1", handshake_timeout=TIMEOUT
    )
    print("listening on port", listeners[0].port, flush=True)
    await trio.serve_listeners(serve_connection, listeners)


async def call(host: str, port: int, ca_file: str, message: str) -> None:
    """Send a message, and print the answer."""
    config = trio_tlsx.ClientConfig(trust=ca_file, alpn_protocols=["http/1.1"])
    stream = await trio_tlsx.open_tls_over_tcp_stream(
        host, port, config=config, handshake_timeout=TIMEOUT
    )
    async with stream, trio.open_nursery() as nursery:
        await stream.do_handshake()  # raises why it fails, which the package does not
        connection = await trio_websocket.wrap_client_stream(
            nursery, cast(Any, stream), f"{host}:{port}", "/"
        )
        async with connection:
            await connection.send_message(message)
            print(stream.negotiated.version, await connection.get_message())


if __name__ == "__main__":
    try:
        match sys.argv[1:]:
            case ["server", cert, key, port]:
                trio.run(serve, cert, key, int(port))
            case ["client", host, port, ca, message]:
                trio.run(call, host, int(port), ca, message)
            case _:
                sys.exit(__doc__)
    except* KeyboardInterrupt:
        pass
