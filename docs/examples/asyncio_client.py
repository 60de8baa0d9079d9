"""An asyncio program that sends a line over TLS and reads the answer.

Usage: python asyncio_client.py HOST PORT CA_FILE
"""

import asyncio
import sys

from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSAttribute

from trio_tlsx import ClientConfig
from trio_tlsx.contrib.anyio import connect_tls

TIMEOUT = 10  # seconds
MAX_LINE = 1000  # bytes


async def main(host: str, port: int, ca_file: str) -> None:
    """Send a line, and print the version of TLS and the line that comes back."""
    config = ClientConfig(trust=ca_file)
    async with asyncio.timeout(TIMEOUT), await connect_tls(host, port, config=config) as stream:
        await stream.send(b"hello\n")
        line = await BufferedByteReceiveStream(stream).receive_until(b"\n", MAX_LINE)
        print(stream.extra(TLSAttribute.tls_version), line.decode())


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
