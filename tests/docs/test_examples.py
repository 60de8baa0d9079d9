"""The programs in the README and in the documentation run unchanged."""

from __future__ import annotations

import ast
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from processes import EXAMPLES, ROOT, Result, run_program, running

from trio_tlsx import (
    ClientConfig,
    ServerConfig,
    TLSStream,
    TrustStore,
    open_tls_over_tcp_stream,
    serve_tls_over_tcp,
)
from trio_tlsx.testing import CA, write_pem_files

ECHO_SERVER = (sys.executable, EXAMPLES / "echo_server.py")

PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def pki(tmp_path: Path) -> tuple[Path, Path, Path]:
    """The files of a CA, and of a certificate and key for localhost."""
    ca = CA()
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(ca.pem)
    cert, key = write_pem_files(ca.issue("localhost", "127.0.0.1"), tmp_path)
    return ca_file, cert, key


def lines_of_code(source: str) -> int:
    return len([line for line in source.splitlines() if line.strip()])


def readme_programs() -> tuple[str, str]:
    """The server's and the client's source."""
    server, client = PYTHON_BLOCK.findall((ROOT / "README.md").read_text())
    return server, client


def test_readme_programs_have_ten_lines_each() -> None:
    for source in readme_programs():
        assert lines_of_code(source) <= 10


async def test_readme_programs(
    pki: tuple[Path, Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ca_file, cert, key = pki
    # The file names are those that trustme gives; the programs look for them where they run.
    monkeypatch.chdir(ca_file.parent)
    ca_file.rename("client.pem")
    cert.rename("server.pem")
    key.rename("server.key")
    server, client = readme_programs()

    def main_of(source: str) -> tuple[Any, ...]:
        """Execute a program up to its trio.run; give what that was asked to run."""
        calls: list[tuple[Any, ...]] = []
        with monkeypatch.context() as patch:
            patch.setattr(trio, "run", lambda *arguments: calls.append(arguments))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
            exec(compile(source, "README.md", "exec"), {"__name__": "__main__"})
        (call,) = calls
        return call

    async with trio.open_nursery() as nursery:
        (serve,) = main_of(server)
        handler, port, config = serve.args
        assert port == 4433
        listeners = await nursery.start(partial(serve.func, handler, 0, config, **serve.keywords))
        free_port = listeners[0].transport_listener.socket.getsockname()[1]
        (main,) = main_of(client.replace("4433", str(free_port)))
        await main()
        nursery.cancel_scope.cancel()
    assert capsys.readouterr().out == "b'hello' X25519MLKEM768\n"


@pytest.mark.parametrize(
    ("program", "host", "output"),
    [
        (
            "echo_client.py",
            "localhost",
            b"TLSv1.3 TLS_AES_128_GCM_SHA256\nline 0\nline 1\nline 2\n",
        ),
        ("blocking_socket.py", "127.0.0.1", b"b'hello' X25519MLKEM768\n"),
        ("read_exactly.py", "localhost", b"b'hello'\n"),
    ],
)
async def test_example_clients_of_the_echo_server(
    pki: tuple[Path, Path, Path], program: str, host: str, output: bytes
) -> None:
    ca_file, cert, key = pki
    async with running(*ECHO_SERVER, cert, key, "0") as server:
        client = [sys.executable, EXAMPLES / program, host, str(server.port), ca_file]
        assert await run_program(client) == Result(0, output, b"")


@pytest.mark.parametrize("program", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
async def test_example_without_arguments_prints_its_usage(program: Path) -> None:
    result = await run_program([sys.executable, program])
    assert result.status == 1
    assert f"python {program.name} " in result.stderr.decode()
    assert "Traceback" not in result.stderr.decode()


async def test_example_mutual_tls(tmp_path: Path) -> None:
    result = await run_program([sys.executable, EXAMPLES / "mutual_tls.py", tmp_path / "new"])
    assert (result.status, result.stdout, result.stderr) == (0, b"hello alice.example\n", b"")


async def test_example_blocking_socket_sends_its_alert(pki: tuple[Path, Path, Path]) -> None:
    ca_file, cert, key = pki
    ca_file.write_bytes(CA().pem)  # another CA
    async with running(*ECHO_SERVER, cert, key, "0") as server:
        client = [sys.executable, EXAMPLES / "blocking_socket.py", "127.0.0.1"]
        result = await run_program([*client, str(server.port), ca_file])
        server.process.terminate()
        await server.read_output()
    assert result.status == 1
    assert b"CertificateError" in result.stderr
    assert b"unknown_ca" in server.output


async def test_examples_on_asyncio(pki: tuple[Path, Path, Path]) -> None:
    ca_file, cert, key = pki
    async with running(sys.executable, EXAMPLES / "anyio_server.py", cert, key, "0") as server:
        client = [sys.executable, EXAMPLES / "asyncio_client.py", "localhost"]
        result = await run_program([*client, str(server.port), ca_file])
        assert result == Result(0, b"TLSv1.3 hello\n", b"")


async def test_example_behind_proxy(pki: tuple[Path, Path, Path]) -> None:
    ca_file, cert, key = pki
    async with running(sys.executable, EXAMPLES / "behind_proxy.py", cert, key, "0") as server:
        transport = await trio.open_tcp_stream("127.0.0.1", server.port)
        await transport.send_all(b"PROXY TCP4 192.0.2.7 198.51.100.1 56789 443\r\n")
        config = ClientConfig(trust=TrustStore.from_pem_file(ca_file))
        async with TLSStream(transport, config, server_hostname="localhost") as client:
            assert await client.receive_some() == b"('192.0.2.7', 56789)"


async def test_example_events(pki: tuple[Path, Path, Path]) -> None:
    ca_file, cert, key = pki
    count = "2"
    async with running(
        sys.executable, EXAMPLES / "count_events.py", cert, key, "0", count
    ) as server:
        for _ in range(int(count)):
            client = [sys.executable, EXAMPLES / "read_exactly.py", "localhost"]
            await run_program([*client, str(server.port), ca_file])
        await server.read_output()
    lines = set(server.output.decode().splitlines())
    assert {"full 2", "closed: clean 2", "bytes 10"} <= lines


async def test_example_remote_signer(pki: tuple[Path, Path, Path]) -> None:
    ca_file, cert, key = pki
    program = [sys.executable, EXAMPLES / "remote_signer.py"]
    socket_file = ca_file.with_name("signer")
    trust = TrustStore.from_pem_file(ca_file)

    async def call(port: int) -> bytes:
        stream = await open_tls_over_tcp_stream(
            "localhost", port, config=ClientConfig(trust=trust)
        )
        async with stream:
            return await stream.receive_some()

    async with running(*program, "serve", cert, socket_file, "0") as server:
        # Nobody signs yet. That handshake fails, and the server goes on.
        with pytest.raises(trio.BrokenResourceError, match="internal_error"):
            await call(server.port)
        other = ca_file.with_name("other")
        other.mkdir()
        other_cert, other_key = write_pem_files(CA().issue("localhost"), other)
        async with running(*program, "keep", other_cert, other_key, socket_file) as keeper:
            with pytest.raises(trio.BrokenResourceError, match="does not hold the key"):
                await call(server.port)
            # It signs nothing but handshakes.
            stream = await trio.open_unix_socket(socket_file)
            async with stream:
                await stream.send_all(b"\x04\x03I owe you a million")
                await stream.send_eof()
                assert await stream.receive_some() == b""
            keeper.process.terminate()
            await keeper.read_output()
            assert b"not a TLS server's handshake" in keeper.output
        socket_file.unlink()
        async with running(*program, "keep", cert, key, socket_file):
            assert await call(server.port) == b"hello\n"


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
async def test_example_digest_signer(tmp_path: Path, version: str) -> None:
    ca = CA()
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(ca.pem)
    cert, key = write_pem_files(ca.issue("client.example"), tmp_path)
    config = ServerConfig(
        credentials=ca.issue("localhost"),
        client_auth="required",
        client_trust=ca.trust,
        versions=[version],
    )

    async def greet(stream: TLSStream[trio.SocketStream]) -> None:
        async with stream:
            await stream.send_all(b"hello\n")

    async with trio.open_nursery() as nursery:
        serve = partial(serve_tls_over_tcp, greet, 0, config, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        program = [sys.executable, EXAMPLES / "digest_signer.py", "localhost"]
        result = await run_program([*program, str(listener.port), ca_file, cert, key])
        nursery.cancel_scope.cancel()
    assert (result.stderr, result.stdout) == (b"", f"{version} hello\n".encode())


async def test_example_credentials_on_demand(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    program = [sys.executable, EXAMPLES / "on_demand.py"]
    async with running(*program, "zone.example", "0", ca_file) as server:
        config = ClientConfig(trust=TrustStore.from_pem_file(ca_file))
        certificates: dict[str, set[Any]] = {}

        async def call(name: str) -> None:
            transport = await trio.open_tcp_stream("127.0.0.1", server.port)
            async with TLSStream(transport, config, server_hostname=name) as stream:
                assert await stream.receive_some() == f"this is {name}\n".encode()
                certificate = stream.negotiated.peer_certificates[0]
                certificates.setdefault(name, set()).add(certificate)

        async with trio.open_nursery() as nursery:
            for name in ["one.zone.example", "two.zone.example"] * 10:
                nursery.start_soon(call, name)
        await call("one.zone.example")
        assert [len(found) for found in certificates.values()] == [1, 1]
        for name in ["zone.example", "a.b.zone.example", "other.example"]:
            with pytest.raises(trio.BrokenResourceError, match="unrecognized_name"):
                await call(name)
        server.process.terminate()
        await server.read_output()
    assert server.output.count(b"issued one.zone.example\n") == 1
    assert server.output.count(b"issued two.zone.example\n") == 1
    assert server.output.count(b"issued") == 2


def test_example_blocking_driver_has_15_lines_and_no_trio() -> None:
    source = (EXAMPLES / "blocking_socket.py").read_text()
    tree = ast.parse(source)
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert imported == {"socket", "sys"}
    (driver,) = (
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == "do_handshake"
    )
    assert driver.end_lineno is not None
    assert driver.end_lineno - driver.lineno + 1 <= 15
