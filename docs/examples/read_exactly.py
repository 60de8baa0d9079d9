"""A client that reads a known number of bytes.

Usage: python read_exactly.py HOST PORT CA_FILE
"""

import sys

import trio

import trio_tlsx


async def read_exactly(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    """Return ``count`` bytes; raise EOFError if the stream ends before."""
    data = bytearray()
    while len(data) < count:
        chunk = await stream.receive_some(count - len(data))
        if not chunk:
            raise EOFError(f"the stream ended after {len(data)} of {count} bytes")
        data += chunk
    return bytes(data)


async def main(host: str, port: int, ca_file: str) -> bytes:
    """Send a greeting, and return as many bytes of the answer."""
    config = trio_tlsx.ClientConfig(trust=ca_file)
    async with await trio_tlsx.open_tls_over_tcp_stream(host, port, config=config) as stream:
        await stream.send_all(b"hello")
        return await read_exactly(stream, 5)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    print(trio.run(main, sys.argv[1], int(sys.argv[2]), sys.argv[3]))
