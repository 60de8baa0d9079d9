"""Serve an ASGI application with hypercorn and trio-tlsx, over HTTP/2 or HTTP/1.1.

Usage: python hypercorn_server.py CERT_FILE KEY_FILE PORT
"""

import sys
from typing import Any

import trio
from hypercorn.config import Config

import trio_tlsx
from trio_tlsx.contrib.hypercorn import serve


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the version of HTTP."""
    if scope["type"] == "lifespan":
        for _ in range(2):  # the startup and the shutdown, which have nothing to do
            event = await receive()
            await send({"type": f"{event['type']}.complete"})
        return
    body = f"HTTP/{scope['http_version']}\n".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def main(cert_file: str, key_file: str, port: int) -> None:
    """Serve until Ctrl-C."""
    config = trio_tlsx.ServerConfig(
        credentials=trio_tlsx.Credentials.from_pem_files(cert_file, key_file),
        alpn_protocols=["h2", "http/1.1"],
    )
    listeners = await trio_tlsx.open_tls_over_tcp_listeners(
        port, config, host="127.0.0.1", https_compatible=True, handshake_timeout=10
    )
    print("listening on port", listeners[0].port, flush=True)
    await serve(app, Config(), listeners)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        trio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
    except* KeyboardInterrupt:
        pass
