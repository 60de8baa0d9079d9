"""A TLS client that sends a few lines, and reads at the same time what comes back.

Usage: python echo_client.py HOST PORT CA_FILE
"""

import sys

import trio

import trio_tlsx


async def send(stream: trio_tlsx.TLSStream[trio.SocketStream]) -> None:
    """Send all there is, then end this direction; the other one goes on."""
    for number in range(3):
        await stream.send_all(b"line %d\n" % number)
    await stream.send_eof()


async def receive(stream: trio_tlsx.TLSStream[trio.SocketStream]) -> None:
    """Print what comes, up to the other side's ``close_notify``."""
    async for data in stream:
        print(data.decode(), end="")


async def main(host: str, port: int, ca_file: str) -> None:
    """Connect and do both at once."""
    config = trio_tlsx.ClientConfig(trust=trio_tlsx.TrustStore.from_pem_file(ca_file))
    async with await trio_tlsx.open_tls_over_tcp_stream(host, port, config=config) as stream:
        await stream.do_handshake()
        print(stream.negotiated.version, stream.negotiated.cipher_suite)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, stream)
            nursery.start_soon(receive, stream)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]), sys.argv[3])
