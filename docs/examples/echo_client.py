"""A TLS client that sends a few lines and receives the echo at the same time.

Usage: python echo_client.py HOST PORT CA_FILE
"""

import sys

import trio

import trio_tlsx


async def send(stream: trio_tlsx.TLSStream[trio.SocketStream]) -> None:
    """Send all lines, then end this direction. The other direction stays open."""
    for number in range(3):
        await stream.send_all(b"line %d\n" % number)
    await stream.send_eof()


async def receive(stream: trio_tlsx.TLSStream[trio.SocketStream]) -> None:
    """Print the received data, up to the server's ``close_notify``."""
    async for data in stream:
        print(data.decode(), end="")


async def main(host: str, port: int, ca_file: str) -> None:
    """Connect, then send and receive concurrently."""
    config = trio_tlsx.ClientConfig(trust=trio_tlsx.TrustStore.from_pem_file(ca_file))
    async with await trio_tlsx.open_tls_over_tcp_stream(host, port, config=config) as stream:
        await stream.do_handshake()
        print(stream.negotiated.version, stream.negotiated.cipher_suite)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, stream)
            nursery.start_soon(receive, stream)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    trio.run(main, sys.argv[1], int(sys.argv[2]), sys.argv[3])
