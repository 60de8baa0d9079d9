"""A server behind a proxy on this machine that sends the PROXY protocol.

Usage: python behind_proxy.py CERT_FILE KEY_FILE PORT
"""

import sys

import trio

import trio_tlsx


async def greet(stream: trio_tlsx.TLSStream[trio_tlsx.ProxiedStream]) -> None:
    """Tell the client its address."""
    async with stream:
        await stream.send_all(str(stream.remote_address).encode())


async def main(cert_file: str, key_file: str, port: int) -> None:
    """Serve the clients of a proxy on this machine."""
    credentials = trio_tlsx.Credentials.from_pem_files(cert_file, key_file)
    config = trio_tlsx.ServerConfig(credentials=credentials)
    [tcp_listener] = await trio.open_tcp_listeners(port, host="127.0.0.1")
    proxy_listener = trio_tlsx.ProxyProtocolListener(tcp_listener, trusted=["127.0.0.1"])
    listener = trio_tlsx.TLSListener(proxy_listener, config, handshake_timeout=10)
    print("listening on port", listener.port, flush=True)
    await trio.serve_listeners(trio_tlsx.handshake_first(greet), [listener])


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        trio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
    except* KeyboardInterrupt:
        pass
