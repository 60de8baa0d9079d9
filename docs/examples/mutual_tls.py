"""Mutual TLS: a server that requires client certificates, and a client that has one.

The program writes a test CA and a certificate for each side into a new directory, starts the
server, and connects to it.

Usage: python mutual_tls.py NEW_DIRECTORY
"""

import sys
from pathlib import Path

import trio

import trio_tlsx
from trio_tlsx.testing import CA, write_pem_files


def write_files(directory: Path) -> None:
    """Write ``ca.pem``, and ``cert.pem`` and ``key.pem`` of each side."""
    ca = CA()
    for side, name in (("server", "localhost"), ("client", "alice.example")):
        (directory / side).mkdir(parents=True)
        write_pem_files(ca.issue(name), directory / side)
    (directory / "ca.pem").write_bytes(ca.pem)


def load_credentials(directory: Path) -> trio_tlsx.Credentials:
    """Read the certificate and the key of one side."""
    return trio_tlsx.Credentials.from_pem_files(directory / "cert.pem", directory / "key.pem")


async def greet(stream: trio_tlsx.TLSStream[trio.SocketStream]) -> None:
    """Send the client the names in its certificate."""
    async with stream:
        identity = stream.negotiated.peer_identity  # None without a client certificate
        names = identity.dns_names if identity else ()
        await stream.send_all(f"hello {', '.join(names)}".encode())


async def main(directory: Path) -> None:
    """Serve one client, which is in the same program."""
    server_config = trio_tlsx.ServerConfig(
        credentials=load_credentials(directory / "server"),
        client_auth="required",  # or "optional"
        client_trust=directory / "ca.pem",
    )
    client_config = trio_tlsx.ClientConfig(
        credentials=load_credentials(directory / "client"),
        trust=directory / "ca.pem",
    )
    async with trio.open_nursery() as nursery:
        listeners = await trio_tlsx.open_tls_over_tcp_listeners(
            0, server_config, host="127.0.0.1", handshake_timeout=10
        )
        nursery.start_soon(trio.serve_listeners, trio_tlsx.handshake_first(greet), listeners)
        async with await trio_tlsx.open_tls_over_tcp_stream(
            "127.0.0.1", listeners[0].port, config=client_config, server_hostname="localhost"
        ) as stream:
            async for data in stream:
                print(data.decode())
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        write_files(Path(sys.argv[1]))
    except FileExistsError as error:
        sys.exit(str(error))
    trio.run(main, Path(sys.argv[1]))
