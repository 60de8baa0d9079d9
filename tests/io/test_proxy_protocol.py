"""The PROXY protocol: headers that are accepted and rejected, and TLS behind them."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from trio_tlsx import (
    ClientConfig,
    ConfigError,
    ProxiedStream,
    ProxyHeader,
    ProxyProtocolListener,
    ServerConfig,
    TLSListener,
    TLSStream,
    handshake_first,
)
from trio_tlsx.io.proxy_header import (
    MAX_HEADER_LENGTH,
    ProxyHeaderError,
    decode_header,
    header_length,
)
from trio_tlsx.testing import CA

AUTHORITY = CA()
SERVER = ServerConfig(credentials=AUTHORITY.issue("test.example"))
CLIENT = ClientConfig(trust=AUTHORITY.trust)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ADDRESSES4 = bytes([192, 0, 2, 7, 198, 51, 100, 1]) + struct.pack("!HH", 56789, 443)
ADDRESSES6 = (
    ipaddress.ip_address("2001:db8::7").packed
    + ipaddress.ip_address("2001:db8::1").packed
    + struct.pack("!HH", 56789, 443)
)
UNIX_ADDRESSES = bytes(216)


def v2(command: int, family: int, rest: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


FROM4 = (("192.0.2.7", 56789), ("198.51.100.1", 443))
FROM6 = (("2001:db8::7", 56789), ("2001:db8::1", 443))

ACCEPTED = {
    "v1 TCP4": (b"PROXY TCP4 192.0.2.7 198.51.100.1 56789 443\r\n", ProxyHeader(1, *FROM4)),
    "v1 TCP6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 56789 443\r\n", ProxyHeader(1, *FROM6)),
    "v1 UNKNOWN": (b"PROXY UNKNOWN\r\n", ProxyHeader(1)),
    "v1 UNKNOWN and more": (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", ProxyHeader(1)),
    "v2 TCP4": (v2(0x21, 0x11, ADDRESSES4), ProxyHeader(2, *FROM4)),
    "v2 TCP6": (v2(0x21, 0x21, ADDRESSES6), ProxyHeader(2, *FROM6)),
    "v2 with TLVs": (
        v2(0x21, 0x11, ADDRESSES4 + tlv(2, b"a.example") + tlv(4, b"")),
        ProxyHeader(2, *FROM4, ((2, b"a.example"), (4, b""))),
    ),
    "v2 LOCAL": (v2(0x20, 0, b""), ProxyHeader(2)),
    "v2 LOCAL with anything": (v2(0x20, 0x11, b"\xff" * 5), ProxyHeader(2)),
    "v2 AF_UNSPEC": (v2(0x21, 0, b"\xff" * 5), ProxyHeader(2)),
    "v2 AF_UNIX": (v2(0x21, 0x31, UNIX_ADDRESSES), ProxyHeader(2)),
    "v2 as long as possible": (
        v2(0x21, 0x11, ADDRESSES4 + tlv(4, bytes(MAX_HEADER_LENGTH - 16 - 12 - 3))),
        ProxyHeader(2, *FROM4, ((4, bytes(MAX_HEADER_LENGTH - 16 - 12 - 3)),)),
    ),
}

REJECTED = {
    "no header": b"\x16\x03\x01\x02\x00",
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "v1 lower case": b"proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "v1 without an end": b"PROXY " + b"x" * 200,
    "v1 end too late": b"PROXY UNKNOWN " + b"x" * 94 + b"\r\n",
    "v1 another protocol": b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "v1 too few words": b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
    "v1 too many words": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
    "v1 two spaces": b"PROXY TCP4  192.0.2.7 198.51.100.1 1\r\n",
    "v1 wrong family": b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
    "v1 zone in an address": b"PROXY TCP6 fe80::7%\n 2001:db8::1 1 2\r\n",
    "v1 no address": b"PROXY TCP4 localhost 198.51.100.1 1 2\r\n",
    "v1 leading zero in an address": b"PROXY TCP4 192.0.2.007 198.51.100.1 1 2\r\n",
    "v1 port too large": b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n",
    "v1 port with a leading zero": b"PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n",
    "v1 port of many digits": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 " + b"9" * 50 + b"\r\n",
    "v1 negative port": b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 2\r\n",
    "v1 not ASCII": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 \xb2\r\n",
    "v1 line feed alone": b"PROXY UNKNOWN\n" + b"x" * 100,
    "v2 wrong signature": SIGNATURE[:-1] + b"\r" + bytes(4),
    "v2 too long": v2(0x21, 0x11, ADDRESSES4 + tlv(4, bytes(MAX_HEADER_LENGTH - 16 - 12 - 2))),
    "v2 longest length": SIGNATURE + b"\x21\x11\xff\xff",
    "v2 version 1": v2(0x11, 0x11, ADDRESSES4),
    "v2 unknown command": v2(0x22, 0x11, ADDRESSES4),
    "v2 unknown family": v2(0x21, 0x41, ADDRESSES4),
    "v2 UDP": v2(0x21, 0x12, ADDRESSES4),
    "v2 addresses too short": v2(0x21, 0x11, ADDRESSES4[:-1]),
    "v2 addresses of TCP6 too short": v2(0x21, 0x21, ADDRESSES4),
    "v2 addresses of AF_UNIX too short": v2(0x21, 0x31, UNIX_ADDRESSES[:-1]),
    "v2 TLV cut in its value": v2(0x21, 0x11, ADDRESSES4 + tlv(2, b"a.example")[:-1]),
    "v2 TLV cut in its length": v2(0x21, 0x11, ADDRESSES4 + b"\x02\x00"),
}


def decoded(octets: bytes) -> ProxyHeader:
    """Decode as a stream does: find the length first, then decode what it covers."""
    length = header_length(octets)
    if length is None:
        raise AssertionError("the header is not complete")
    return decode_header(octets[:length])


@pytest.mark.parametrize("name", ACCEPTED)
def test_header_is_decoded_and_what_follows_is_left(name: str) -> None:
    octets, expected = ACCEPTED[name]
    assert decoded(octets + b"\x16\x03\x01") == expected
    for end in range(len(octets)):
        length = header_length(octets[:end])
        assert length is None or (length == len(octets) and octets.startswith(SIGNATURE))


@pytest.mark.parametrize("name", REJECTED)
def test_faulty_header_is_rejected(name: str) -> None:
    with pytest.raises(ProxyHeaderError):
        decoded(REJECTED[name])


@given(st.binary(max_size=300), st.sampled_from([b"", b"PROXY ", SIGNATURE, SIGNATURE + b"\x21"]))
def test_any_octets_are_decoded_or_rejected(octets: bytes, prefix: bytes) -> None:
    start = prefix + octets
    with contextlib.suppress(ProxyHeaderError):
        length = header_length(start)
        assert length is None or 0 < length <= MAX_HEADER_LENGTH
        if length is not None and length <= len(start):
            assert decode_header(start[:length]).version in (1, 2)


@asynccontextmanager
async def listening(*trusted: str) -> AsyncGenerator[tuple[ProxyProtocolListener, int], None]:
    [tcp_listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with ProxyProtocolListener(tcp_listener, trusted=trusted) as listener:
        yield listener, tcp_listener.socket.getsockname()[1]


@pytest.mark.parametrize("name", ACCEPTED)
async def test_tls_behind_a_header(name: str) -> None:
    header, expected = ACCEPTED[name]
    async with listening("127.0.0.0/8") as (proxy_listener, port):
        listener = TLSListener(proxy_listener, SERVER)
        assert listener.port == port
        transport = await trio.open_tcp_stream("127.0.0.1", port)
        own_address = transport.socket.getsockname()
        await transport.send_all(header)
        client = TLSStream(transport, CLIENT, server_hostname="test.example")
        server = await listener.accept()
        assert server.remote_address == own_address
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.do_handshake)
            await client.send_all(b"question")
        assert await server.receive_some() == b"question"
        assert server.transport_stream.proxy_header == expected
        assert server.remote_address == (expected.source or own_address)
        await server.send_all(bytes(100_000))
        received = 0
        while received < 100_000:
            received += len(await client.receive_some())
        await client.aclose()
        assert await server.receive_some() == b""
        await server.aclose()


async def test_header_in_single_octets_with_a_cancellation_at_each() -> None:
    header, expected = ACCEPTED["v2 with TLVs"]
    async with listening("127.0.0.1") as (listener, port):
        client = await trio.open_tcp_stream("127.0.0.1", port)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = await listener.accept()
        for octet in header[:-1]:
            await client.send_all(bytes([octet]))
            with trio.move_on_after(0) as scope:
                await server.read_header()
            assert scope.cancelled_caught
        await client.send_all(header[-1:] + b"data")
        assert await server.receive_some() == b"data"
        assert server.proxy_header == expected
        assert await server.read_header() == expected
        await client.aclose()
        await server.aclose()


async def test_header_reaches_no_engine_if_it_is_faulty(caplog: pytest.LogCaptureFixture) -> None:
    async with listening("127.0.0.1") as (proxy_listener, port):
        listener = TLSListener(proxy_listener, SERVER)

        async def handler(stream: TLSStream[ProxiedStream]) -> None:
            raise AssertionError("the handshake cannot succeed")

        client = await trio.open_tcp_stream("127.0.0.1", port)
        await client.send_all(REJECTED["v2 unknown command"])
        await handshake_first(handler)(await listener.accept())
        await client.aclose()
    [record] = caplog.records
    assert "the PROXY protocol header has a fault: version and command" in record.getMessage()


async def test_header_counts_in_the_time_of_the_handshake(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with listening("127.0.0.1") as (proxy_listener, port):
        listener = TLSListener(proxy_listener, SERVER, handshake_timeout=5)
        async with await trio.open_tcp_stream("127.0.0.1", port) as client:
            await client.send_all(b"PROXY TCP4 192.0")
            stream = await listener.accept()
            with pytest.raises(trio.BrokenResourceError, match="within 5 seconds"):
                await stream.do_handshake()
            await stream.aclose()


async def test_log_has_the_clients_address_and_the_proxys(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with listening("127.0.0.1") as (proxy_listener, port):
        listener = TLSListener(proxy_listener, SERVER)

        async def handler(stream: TLSStream[ProxiedStream]) -> None:
            raise AssertionError("the handshake cannot succeed")

        client = await trio.open_tcp_stream("127.0.0.1", port)
        proxy = f"127.0.0.1:{client.socket.getsockname()[1]}"
        await client.send_all(ACCEPTED["v1 TCP6"][0] + b"GET / HTTP/1.0\r\n\r\n")
        await handshake_first(handler)(await listener.accept())
        await client.aclose()
    [record] = caplog.records
    assert f"with 2001:db8::7:56789 (by the proxy {proxy}) failed" in record.getMessage()


async def test_connection_from_an_address_that_is_not_trusted_is_closed_unread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with listening("192.0.2.0/24", "unix:") as (listener, port):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.accept)
            client = await trio.open_tcp_stream("127.0.0.1", port)
            address = f"127.0.0.1:{client.socket.getsockname()[1]}"
            assert await client.receive_some() == b""
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await client.aclose()
    [record] = caplog.records
    assert record.getMessage() == (
        f"the connection from {address} is closed: it is not a trusted proxy"
    )


@pytest.mark.parametrize("trusted", [["unix:"], ["127.0.0.1"]])
async def test_unix_sockets_are_trusted_by_name(
    trusted: list[str], tmp_path: object, caplog: pytest.LogCaptureFixture
) -> None:
    path = f"{tmp_path}/socket"
    sock = trio.socket.socket(socket.AF_UNIX)
    await sock.bind(path)
    sock.listen()
    async with ProxyProtocolListener(trio.SocketListener(sock), trusted=trusted) as listener:
        client = await trio.open_unix_socket(path)
        await client.send_all(b"PROXY UNKNOWN\r\nx")
        if trusted == ["unix:"]:
            server = await listener.accept()
            assert await server.receive_some() == b"x"
            await server.send_all(b"y")
            await server.send_eof()
            await server.wait_send_all_might_not_block()
            assert await client.receive_some() == b"y"
            assert server.client_address is None
            await server.aclose()
        else:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listener.accept)
                with contextlib.suppress(trio.BrokenResourceError):  # its data was not read
                    assert await client.receive_some() == b""
                nursery.cancel_scope.cancel()
            assert "a local socket is closed" in caplog.text
        await client.aclose()


async def test_connection_that_ends_within_its_header() -> None:
    async with listening("127.0.0.1") as (listener, port):
        async with await trio.open_tcp_stream("127.0.0.1", port) as client:
            await client.send_all(b"PROXY TCP4")
        async with await listener.accept() as server:
            with pytest.raises(trio.BrokenResourceError, match="ended within it"):
                await server.receive_some()


async def test_ipv4_address_on_a_socket_of_ipv6_is_trusted_as_ipv4() -> None:
    sock = trio.socket.socket(socket.AF_INET6)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    await sock.bind(("::ffff:127.0.0.1", 0))
    sock.listen()
    listener = ProxyProtocolListener(trio.SocketListener(sock), trusted=["127.0.0.0/8"])
    async with listener, await trio.open_tcp_stream("127.0.0.1", sock.getsockname()[1]) as client:
        await client.send_all(b"PROXY UNKNOWN\r\nx")
        async with await listener.accept() as server:
            assert await server.receive_some() == b"x"


@pytest.mark.parametrize("trusted", [[], ["10.0.0.1/8"], ["proxy.example"], "10.0.0.0/33"])
async def test_wrong_trusted_networks_are_rejected(trusted: list[str] | str) -> None:
    [tcp_listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with tcp_listener:
        with pytest.raises(ConfigError, match="trusted"):
            ProxyProtocolListener(tcp_listener, trusted=trusted)
