"""A TLS server for any name of a zone, with certificates that are issued on demand.

A certificate is issued at the first request for its name. If several handshakes ask at the same
time, it is issued once. The CA is in this process; in production an ACME client replaces it.

Usage: python on_demand.py ZONE PORT CA_FILE      (the CA's certificate is written to CA_FILE)
"""

import re
import sys

import trio

import trio_tlsx
from trio_tlsx.testing import CA

MAX_NAMES = 10_000
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class OnDemand:
    """A ``select_credentials`` hook that issues a certificate for each name below ``zone``."""

    def __init__(self, zone: str, ca: CA) -> None:
        self._zone = zone
        self._ca = ca
        self._locks: dict[str, trio.Lock] = {}
        self._credentials: dict[str, trio_tlsx.Credentials] = {}

    async def __call__(self, hello: trio_tlsx.ClientHello) -> trio_tlsx.Credentials | None:
        """Return the credentials; tasks that need the same name wait for the first one."""
        name = hello.server_name or ""
        if not self._is_ours(name):
            return None  # rejected: unrecognized_name
        # If the issuing task is cancelled, the next waiting task issues the certificate.
        async with self._locks.setdefault(name, trio.Lock()):
            if name not in self._credentials:
                self._credentials[name] = await trio.to_thread.run_sync(self._ca.issue, name)
                print("issued", name, flush=True)
            return self._credentials[name]

    def _is_ours(self, name: str) -> bool:
        label, _, zone = name.partition(".")
        if zone != self._zone or not LABEL.fullmatch(label):
            return False
        return name in self._locks or len(self._locks) < MAX_NAMES


async def greet(stream: trio_tlsx.TLSStream[trio.SocketStream]) -> None:
    """Serve one connection."""
    async with stream:
        await stream.send_all(f"this is {stream.negotiated.server_name}\n".encode())


async def main(zone: str, port: int, ca_file: str) -> None:
    """Serve until Ctrl-C."""
    ca = CA()
    await trio.Path(ca_file).write_bytes(ca.pem)
    config = trio_tlsx.ServerConfig(select_credentials=OnDemand(zone, ca))
    tcp_listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    print("listening on port", tcp_listeners[0].socket.getsockname()[1], flush=True)
    tls_listeners = [trio_tlsx.TLSListener(listener, config) for listener in tcp_listeners]
    await trio.serve_listeners(trio_tlsx.handshake_first(greet), tls_listeners)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        trio.run(main, sys.argv[1], int(sys.argv[2]), sys.argv[3])
    except* KeyboardInterrupt:
        pass
