"""Connect to a server, and print each message of the handshake.

Usage: python handshake_messages.py HOST PORT [CA_FILE]
"""

import sys

import trio

import trio_tlsx


def show(direction: str, name: str, length: int) -> None:
    """Print one message; an observer sees no content."""
    print(f"{direction:<8} {name} ({length} bytes)")


async def main(host: str, port: int, ca_file: str | None) -> None:
    """Do a handshake."""
    tcp_stream = await trio.open_tcp_stream(host, port)
    config = trio_tlsx.ClientConfig(trust=ca_file)
    async with trio_tlsx.TLSStream(
        tcp_stream, config, server_hostname=host, handshake_timeout=10, observer=show
    ) as stream:
        await stream.do_handshake()


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    trio.run(main, sys.argv[1], int(sys.argv[2]), sys.argv[3] if sys.argv[3:] else None)
