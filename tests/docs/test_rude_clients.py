"""The servers of the README and the examples survive clients that reset or end abruptly."""

from __future__ import annotations

import socket
import ssl
import struct
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from processes import EXAMPLES, ROOT, running

from trio_tlsx import AlertDescription, ClientConfig, Connection, TrustStore, serve_tls_over_tcp
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.alerts import WARNING
from trio_tlsx.testing import CA, write_pem_files

RESET = struct.pack("ii", 1, 0)  # for SO_LINGER

Client = Callable[[int, str, Path], None]


def connect(port: int, name: str, ca_file: Path) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    context = ssl.create_default_context(cafile=str(ca_file))
    return context.wrap_socket(plain, server_hostname=name)


def just_closes(port: int, name: str, ca_file: Path) -> None:
    connect(port, name, ca_file).close()


def resets(port: int, name: str, ca_file: Path) -> None:
    client = connect(port, name, ca_file)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


def closes_like_a_jdk(port: int, name: str, ca_file: Path) -> None:
    """Send user_canceled and close_notify, and no data before."""
    config = ClientConfig(trust=TrustStore.from_pem_file(ca_file))
    connection = Connection.client(config, name)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        while (want := connection.do_handshake()) is not Want.NOTHING:
            if want is Want.WRITE:
                plain.sendall(connection.data_to_send())
            else:
                connection.receive_data(plain.recv(2**16))
        connection._outgoing.alert(WARNING, AlertDescription.user_canceled)  # pyright: ignore[reportPrivateUsage]
        connection.shutdown()
        plain.sendall(connection.data_to_send())


def resets_amid_the_handshake(port: int, name: str, ca_file: Path) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


CLIENTS: list[Client] = [just_closes, resets, closes_like_a_jdk, resets_amid_the_handshake]

#: The program, what it is given beside the files of a certificate and key, and a server's name.
SERVERS: dict[str, list[str]] = {
    "echo_server.py": [],
    "graceful_drain.py": ["1", "1"],
    "hypercorn_server.py": [],
    "ocsp_stapling.py": [],
}


async def survives(port: int, name: str, ca_file: Path) -> None:
    for client in CLIENTS * 2:
        await trio.to_thread.run_sync(client, port, name, ca_file)
    last = await trio.to_thread.run_sync(connect, port, name, ca_file)
    assert last.version() == "TLSv1.3"
    last.close()


@pytest.fixture
def pki(tmp_path: Path) -> tuple[Path, Path, Path]:
    ca = CA()
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(ca.pem)
    cert, key = write_pem_files(ca.issue("localhost"), tmp_path)
    with cert.open("ab") as file:
        file.write(ca.pem)  # OCSP stapling needs the issuer
    return ca_file, cert, key


@pytest.mark.parametrize("program", SERVERS)
async def test_example_servers_survive_rude_clients(
    program: str, pki: tuple[Path, Path, Path]
) -> None:
    ca_file, cert, key = pki
    command = [sys.executable, EXAMPLES / program, cert, key, "0", *SERVERS[program]]
    async with running(*command) as server:
        await survives(server.port, "localhost", ca_file)
        assert server.process.poll() is None
        server.process.terminate()
        await server.read_output()
    assert b"Traceback" not in server.output


async def test_on_demand(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    command = [sys.executable, EXAMPLES / "on_demand.py", "zone.example", "0", ca_file]
    async with running(*command) as server:
        await survives(server.port, "one.zone.example", ca_file)
        assert server.process.poll() is None
        server.process.terminate()
        await server.read_output()


async def test_remote_signer(pki: tuple[Path, Path, Path]) -> None:
    ca_file, cert, key = pki
    program = [sys.executable, EXAMPLES / "remote_signer.py"]
    place = ca_file.with_name("signer")
    async with (
        running(*program, "serve", cert, place, "0") as server,
        running(*program, "keep", cert, key, place),
    ):
        await survives(server.port, "localhost", ca_file)
        assert server.process.poll() is None


async def test_the_readme(pki: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    ca_file, cert, key = pki
    text = (ROOT / "README.md").read_text()
    source = text.partition("```python\n")[2].partition("```")[0]
    source = source.replace("server.pem", str(cert)).replace("server.key", str(key))
    calls: list[tuple[Any, ...]] = []
    with monkeypatch.context() as patch:
        patch.setattr(trio, "run", lambda *arguments: calls.append(arguments))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
        exec(compile(source, "README.md", "exec"), {"__name__": "__main__"})
    [(serve,)] = calls
    assert serve.func is serve_tls_over_tcp
    handler, _, config = serve.args
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(serve.func, handler, 0, config, **serve.keywords))
        await survives(listeners[0].port, "localhost", ca_file)
        nursery.cancel_scope.cancel()
