"""Early data to and from other implementations, and replays of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from authority import SERVER_NAME, Authority
from openssl_peer import LISTENING, started
from peer import SAFETY_NET
from processes import peer_program, run_program

from trio_tlsx import (
    ClientConfig,
    Connection,
    ServerConfig,
    TLSListener,
    TLSStream,
    handshake_first,
)

EARLY = b"early words"


@pytest.fixture
def openssl() -> str:
    return peer_program("openssl")


@pytest.fixture
def gnutls() -> str:
    return peer_program("gnutls-cli", "gnutls-bin")


class SServer:
    """``openssl s_server`` while it runs, and what it prints."""

    def __init__(self, stdout: trio.abc.ReceiveStream) -> None:
        self.printed = b""
        self._stdout = stdout

    async def port(self) -> int:
        while (match := LISTENING.search(self.printed)) is None:
            self.printed += await self._stdout.receive_some()
        return int(match[1])

    async def end(self) -> bytes:
        """All that it printed."""
        async for chunk in self._stdout:
            self.printed += chunk
        return self.printed


def s_server(authority: Authority, connections: int, *options: str) -> list[str | Path]:
    certificate, key = authority.files()
    arguments: list[str | Path] = [peer_program("openssl"), "s_server"]
    arguments += ["-accept", "127.0.0.1:0", "-early_data"]
    arguments += ["-cert", certificate, "-key", key, "-naccept", str(connections), *options]
    return arguments


async def get_ticket(config: ClientConfig, port: int) -> None:
    transport = await trio.open_tcp_stream("127.0.0.1", port)
    async with TLSStream(transport, config, server_hostname=SERVER_NAME) as stream:
        session = await stream.wait_session_ticket()
        assert session.max_early_data_size == 2**14


@pytest.mark.usefixtures("openssl")
async def test_openssl_accepts_early_data_of_our_client(authority: Authority) -> None:
    config = ClientConfig(trust=authority.ca.trust)
    arguments = s_server(authority, 2)
    with trio.fail_after(SAFETY_NET):
        async with started(arguments) as (_, stdout):
            server = SServer(stdout)
            port = await server.port()
            await get_ticket(config, port)
            transport = await trio.open_tcp_stream("127.0.0.1", port)
            stream = TLSStream(transport, config, server_hostname=SERVER_NAME, early_data=EARLY)
            async with stream:
                await stream.send_all(b"later words\n")
                assert stream.negotiated.early_data_accepted
            printed = await server.end()
    assert printed.count(b"Early data received") == printed.count(EARLY) == 1
    assert b"later words\n" in printed


@pytest.mark.usefixtures("openssl")
@pytest.mark.parametrize(("protection", "taken"), [("-anti_replay", 1), ("-no_anti_replay", 3)])
async def test_replayed_early_data_to_openssl(
    authority: Authority, protection: str, taken: int
) -> None:
    """What a server lets through that does nothing about it: that is why ours does."""
    config = ClientConfig(trust=authority.ca.trust)
    replays = 3
    arguments = s_server(authority, 1 + replays, protection)
    with trio.fail_after(SAFETY_NET):
        async with started(arguments) as (_, stdout):
            server = SServer(stdout)
            port = await server.port()
            await get_ticket(config, port)
            client = Connection.client(config, SERVER_NAME, early_data=EARLY)
            client.do_handshake()
            flight = client.data_to_send()
            for _ in range(replays):
                async with await trio.open_tcp_stream("127.0.0.1", port) as attacker:
                    await attacker.send_all(flight)
                    assert await attacker.receive_some()
            printed = await server.end()
    assert printed.count(EARLY) == taken


async def test_gnutls_sends_early_data_to_our_server(
    gnutls: str, authority: Authority, tmp_path: Path
) -> None:
    """And has its answer before it has finished."""
    config = ServerConfig(credentials=authority.credentials(), max_early_data_size=1000)
    early = tmp_path / "early"
    early.write_bytes(EARLY)
    taken: list[bytes] = []

    async def handle(stream: TLSStream[trio.SocketStream]) -> None:
        received = b""
        while data := await stream.receive_replayable_early_data():
            received += data
            await stream.answer_early_data(b"answer to " + data + b"\n")
        taken.append(received)
        assert stream.negotiated.early_data_accepted == bool(received)
        await stream.send_all(b"hello\n")  # the tickets go with it
        async for data in stream:
            await stream.send_all(data)
        await stream.aclose()

    with trio.fail_after(SAFETY_NET):
        async with trio.open_nursery() as nursery:
            [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = listener.socket.getsockname()[1]
            handler = handshake_first(handle, replayable_early_data=True)
            nursery.start_soon(trio.serve_listeners, handler, [TLSListener(listener, config)])
            command = [gnutls, "-p", str(port), "127.0.0.1", "--x509cafile", authority.ca_file]
            command += ["--verify-hostname", SERVER_NAME, "--sni-hostname", SERVER_NAME]
            command += ["--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.3"]
            command += ["--resume", "--waitresumption", "--earlydata", early]
            result = await run_program(command, b"later words\n")
            nursery.cancel_scope.cancel()
    assert taken == [b"", EARLY]
    output = result.stdout + result.stderr
    assert b"This is a resumed session" in output
    assert b"answer to " + EARLY in output
    assert b"later words" in output
