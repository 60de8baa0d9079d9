"""Fetch a page with httpx2, by HTTP/2 if possible, through the proxies of the environment.

Usage: python http_client.py URL [CA_FILE]
"""

import sys

import httpx2
import trio

from trio_tlsx import ClientConfig
from trio_tlsx.contrib.httpx2 import http_transport, mounts


async def main(url: str, ca_file: str | None = None) -> None:
    """Print the page, and what was negotiated."""
    config = ClientConfig(trust=ca_file, alpn_protocols=["h2", "http/1.1"])
    transport = http_transport(config, http2=True)
    async with httpx2.AsyncClient(
        transport=transport, mounts=mounts(config, http2=True)
    ) as client:
        response = await client.get(url)
        negotiated = response.extensions["network_stream"].get_extra_info("ssl_object").negotiated
        print(response.http_version, negotiated.version, negotiated.group)
        print(response.text)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    trio.run(main, sys.argv[1], sys.argv[2] if sys.argv[2:] else None)
