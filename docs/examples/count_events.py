"""An echo server that prints statistics of its connections when it ends.

Usage: python count_events.py CERT_FILE KEY_FILE PORT CONNECTIONS
"""

import sys
from collections import Counter

import trio

import trio_tlsx


class Statistics:
    """Count handshakes, refusals and bytes."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __call__(self, event: trio_tlsx.ConnectionEvent) -> None:
        match event:
            case trio_tlsx.HandshakeCompleted(negotiated=negotiated):
                self.counts["resumed" if negotiated.resumed else "full"] += 1
            case trio_tlsx.HandshakeFailed():
                alert = event.alert.name if event.alert else "no alert"
                self.counts[f"refused by {event.refused_by}: {alert}"] += 1
            case trio_tlsx.ConnectionClosed(reason=reason, bytes_received=count):
                self.counts[f"closed: {reason}"] += 1
                self.counts["bytes"] += count
            case _:
                pass


async def main(cert_file: str, key_file: str, port: int, connections: int) -> None:
    """Serve until ``connections`` connections have ended."""
    statistics = Statistics()
    config = trio_tlsx.ServerConfig(
        credentials=trio_tlsx.Credentials.from_pem_files(cert_file, key_file),
        on_event=statistics,
    )
    finished = 0

    async def echo(stream: trio_tlsx.TLSStream[trio.SocketStream]) -> None:
        nonlocal finished
        try:
            async with stream:
                async for data in stream:
                    await stream.send_all(data)
        finally:
            finished += 1
            if finished == connections:
                nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        listeners = await trio_tlsx.open_tls_over_tcp_listeners(port, config, host="127.0.0.1")
        print("listening on port", listeners[0].port, flush=True)
        nursery.start_soon(trio.serve_listeners, trio_tlsx.handshake_first(echo), listeners)
    for what, count in statistics.counts.items():
        print(what, count)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    try:
        trio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    except* KeyboardInterrupt:
        pass
