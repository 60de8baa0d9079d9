"""Connections to services that DNS describes, with and without Encrypted Client Hello."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import partial
from typing import Any, cast

import dns.asyncresolver
import dns.nameserver
import pytest
import trio
import trio.testing
from dns.rcode import Rcode
from dns_server import HOST, DNSServer, ech_parameter, question, running_dns
from ech_pairs import (
    ECH_SERVER,
    PLAIN_SERVER,
    STALE_SERVER,
    key,
    other_key,
)
from engine_pairs import CLIENT, SERVER_NAME, authority

from trio_tlsx import (
    ClientConfig,
    ConfigError,
    ECHRejected,
    ServerConfig,
    TLSListener,
    TLSStream,
    open_tls_over_tcp_stream,
    serve_tls_over_tcp,
)
from trio_tlsx.contrib.dns import ServiceLookupError, lookup_ech, open_tls_to_service
from trio_tlsx.contrib.dns.connect import open_tcp_to_any

NAME = SERVER_NAME
ECH = ech_parameter(key.config_list)
#: A configuration that the servers do not have.
STALE = ech_parameter(other_key.config_list)
#: One of a version that this library does not have.
UNUSABLE = "ech=AAj+CgAEAAAAAA=="


@pytest.fixture
async def server() -> AsyncGenerator[DNSServer]:
    async with running_dns() as server:
        yield server


async def report(stream: TLSStream[trio.SocketStream]) -> None:
    """Send the name that the client wants, and whether it was hidden."""
    async with stream:
        await stream.do_handshake()
        hidden = "hidden" if stream.negotiated.ech_accepted else "in the clear"
        await stream.send_all(f"{stream.negotiated.server_name} {hidden}".encode())


async def serve(nursery: trio.Nursery, config: ServerConfig = ECH_SERVER) -> int:
    """Run a server; return its port."""
    listeners: list[TLSListener[trio.SocketStream]] = await nursery.start(
        partial(serve_tls_over_tcp, report, 0, config, host=HOST)
    )
    return listeners[0].port


async def call(server: DNSServer, port: int, **options: Any) -> str:
    """Connect to the service; return what its server reports."""
    options.setdefault("config", CLIENT)
    stream = await open_tls_to_service(NAME, port, resolver=server.resolver(), **options)
    async with stream:
        return (await stream.receive_some()).decode()


def causes(error: OSError) -> tuple[Exception, ...]:
    """Return why each attempt failed."""
    return cast("ExceptionGroup[Exception]", error.__cause__).exceptions


async def unused_port() -> int:
    (listener,) = await trio.open_tcp_listeners(0, host=HOST)
    async with listener:
        return listener.socket.getsockname()[1]


HIDDEN = f"{NAME} hidden"
CLEAR = f"{NAME} in the clear"


async def test_the_name_is_hidden_by_the_configurations_of_dns(
    server: DNSServer, nursery: trio.Nursery
) -> None:
    port = await serve(nursery)
    server.add(f"_{port}._https.{NAME}", "HTTPS", f"1 {NAME}. {ECH}")
    server.add(NAME, "A", HOST)
    assert await call(server, port, require_ech=True) == HIDDEN


async def test_a_service_elsewhere_has_the_certificate_of_its_own_name(
    server: DNSServer, nursery: trio.Nursery
) -> None:
    """RFC 9460 2.3: the records change where the client connects, not whom it verifies."""
    port = await serve(nursery)
    server.add(NAME, "HTTPS", "0 pool.example.")
    server.add("pool.example", "HTTPS", f"1 . port={port} {ECH}")
    server.add("pool.example", "A", HOST)
    assert await call(server, 443) == HIDDEN
    other = replace(ECH_SERVER, credentials=authority.issue("pool.example"), ech_keys=())
    port = await serve(nursery, other)
    server.add("pool.example", "HTTPS", f"1 . port={port}")
    with pytest.raises(trio.BrokenResourceError, match=r"pool\.example"):
        await call(server, 443)


async def test_hints_lead_to_a_server(server: DNSServer, nursery: trio.Nursery) -> None:
    port = await serve(nursery)
    server.add(NAME, "HTTPS", f"1 . port={port} ipv4hint={HOST} {ECH}")
    assert await call(server, 443) == HIDDEN


async def test_without_records_the_name_is_sent_in_the_clear(
    server: DNSServer, nursery: trio.Nursery
) -> None:
    port = await serve(nursery)
    server.add(NAME, "A", HOST)
    assert await call(server, port) == CLEAR
    with pytest.raises(ServiceLookupError, match="no ECH configuration"):
        await call(server, port, require_ech=True)


async def test_unusable_configurations(server: DNSServer, nursery: trio.Nursery) -> None:
    """RFC 9849 6.1: as if there were none, but at this endpoint only (RFC 9848 5.1)."""
    port = await serve(nursery)
    server.add(NAME, "HTTPS", f"1 . port={port} {UNUSABLE}")
    server.add(NAME, "A", HOST)
    assert await call(server, 443) == CLEAR
    with pytest.raises(ServiceLookupError, match="no ECH configuration"):
        await call(server, 443, require_ech=True)


async def test_the_next_endpoint_is_tried(server: DNSServer, nursery: trio.Nursery) -> None:
    port, unused = await serve(nursery), await unused_port()
    server.add(NAME, "A", HOST)
    server.add(
        NAME,
        "HTTPS",
        f"1 . port={unused} {ECH}",
        f"2 nowhere.example. {ECH}",
        f"3 . port={port} {ECH}",
    )
    assert await call(server, 443) == HIDDEN


async def test_no_fallback_without_ech_if_all_records_have_it(
    server: DNSServer, nursery: trio.Nursery
) -> None:
    """RFC 9848 5.1: the service's own port has a server, and the client does not connect to it."""
    port, unused = await serve(nursery), await unused_port()
    server.add(NAME, "A", HOST)
    record = f"1 {NAME}. port={unused}"
    server.add(f"_{port}._https.{NAME}", "HTTPS", f"{record} {ECH}")
    with pytest.raises(OSError, match=f"at port {unused} failed"):
        await call(server, port)
    server.add(f"_{port}._https.{NAME}", "HTTPS", record)
    assert await call(server, port) == CLEAR


async def test_with_mixed_records_only_required_ech_prevents_the_fallback(
    server: DNSServer, nursery: trio.Nursery
) -> None:
    port, unused = await serve(nursery), await unused_port()
    server.add(NAME, "A", HOST)
    server.add(NAME, "HTTPS", f"1 . port={unused} {ECH}", f"2 . port={port}")
    assert await call(server, 443) == CLEAR
    with pytest.raises(OSError, match=f"at port {unused} failed"):
        await call(server, 443, require_ech=True)


async def test_a_failed_lookup_prevents_the_connection(
    server: DNSServer, nursery: trio.Nursery
) -> None:
    port = await serve(nursery)
    server.add(NAME, "A", HOST)
    server.rcodes[question(f"_{port}._https.{NAME}", "HTTPS")] = Rcode.SERVFAIL
    with pytest.raises(ServiceLookupError, match="SERVFAIL"):
        await call(server, port)


async def test_records_and_addresses_are_looked_up_at_the_same_time(
    server: DNSServer, nursery: trio.Nursery
) -> None:
    """RFC 9460 3."""
    server.silent.add(question(NAME, "HTTPS"))
    nursery.start_soon(call, server, 443)
    while len(server.asked) < 3:
        await trio.lowlevel.checkpoint()
    assert {kind for _, kind, _ in server.asked} == {"HTTPS", "A", "AAAA"}
    nursery.cancel_scope.cancel()


async def test_addresses_are_looked_up_once(server: DNSServer, nursery: trio.Nursery) -> None:
    port = await serve(nursery)
    server.add(NAME, "HTTPS", f"1 . port={port}")
    server.add(NAME, "A", HOST)
    assert await call(server, 443) == CLEAR
    assert server.questions("A") == server.questions("AAAA") == [NAME]


async def test_a_service_elsewhere_does_not_need_the_addresses_of_its_own_name(
    server: DNSServer, nursery: trio.Nursery
) -> None:
    port = await serve(nursery)
    server.silent |= {question(NAME, "A"), question(NAME, "AAAA")}
    server.add(NAME, "HTTPS", f"1 pool.example. port={port} {ECH}")
    server.add("pool.example", "A", HOST)
    with trio.fail_after(5):  # a lookup without an answer takes longer
        assert await call(server, 443) == HIDDEN


async def test_an_invalid_argument_is_not_raised_in_a_group(server: DNSServer) -> None:
    with pytest.raises(ConfigError, match="not a URI scheme"):
        await call(server, 443, scheme="a.b")


async def test_errors_of_all_endpoints_are_causes(server: DNSServer) -> None:
    server.add(NAME, "HTTPS", "1 a.example.", "2 b.example.")
    with pytest.raises(OSError, match=f"connect to {NAME}:443 failed") as caught:
        await call(server, 443)
    errors = [str(error) for error in causes(caught.value)]
    assert errors == [f"DNS has no address of {name}" for name in ("a.example", "b.example", NAME)]


async def test_a_stale_configuration_is_replaced(server: DNSServer, nursery: trio.Nursery) -> None:
    port = await serve(nursery)
    server.add(NAME, "HTTPS", f"1 . port={port} {STALE}")
    server.add(NAME, "A", HOST)
    assert await call(server, 443) == HIDDEN


async def test_a_server_that_has_turned_ech_off(server: DNSServer, nursery: trio.Nursery) -> None:
    port, other = await serve(nursery, PLAIN_SERVER), await serve(nursery)
    server.add(NAME, "HTTPS", f"1 . port={port} {ECH}", f"2 . port={other}")
    server.add(NAME, "A", HOST)
    with pytest.raises(trio.BrokenResourceError) as caught:
        await call(server, 443)
    assert isinstance(caught.value.__cause__, ECHRejected)
    assert caught.value.__cause__.is_disabled


async def test_no_endpoint_is_tried_after_a_rejection(
    server: DNSServer, nursery: trio.Nursery
) -> None:
    """The server rejects the configurations, and is gone at the second attempt."""
    closing: list[trio.abc.Listener[Any]] = []

    async def reject_once(stream: trio.SocketStream) -> None:
        for listener in closing:
            await listener.aclose()
        async with TLSStream(stream, STALE_SERVER) as tls_stream:
            with pytest.raises(trio.BrokenResourceError):
                await tls_stream.receive_some()
        done.set()

    done = trio.Event()
    closing += await trio.open_tcp_listeners(0, host=HOST)
    listener = closing[0]
    assert isinstance(listener, trio.SocketListener)
    port = listener.socket.getsockname()[1]

    async def accept() -> None:
        await reject_once(await listener.accept())

    nursery.start_soon(accept)
    other = await serve(nursery)
    server.add(NAME, "HTTPS", f"1 . port={port} {ECH}", f"2 . port={other}")
    server.add(NAME, "A", HOST)
    with pytest.raises(OSError, match=f"at port {port} failed"):
        await call(server, 443)
    await done.wait()


async def test_sessions_are_shared_by_all_connections(
    server: DNSServer, nursery: trio.Nursery
) -> None:
    port = await serve(nursery)
    server.add(NAME, "HTTPS", f"1 . port={port} {STALE}")
    server.add(NAME, "A", HOST)
    config = replace(CLIENT, resumption=True)
    resumed: list[bool] = []
    for ech in (STALE, ECH):
        server.add(NAME, "HTTPS", f"1 . port={port} {ech}")
        stream = await open_tls_to_service(NAME, resolver=server.resolver(), config=config)
        async with stream:
            await stream.receive_some()
            resumed.append(stream.negotiated.resumed)
    assert resumed == [False, True]


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (ClientConfig(ech=key.config_list), "leave out ech"),
        (ClientConfig(ech=lookup_ech), "leave out ech"),
        (ClientConfig(versions=["TLSv1.2"]), "needs TLS 1.3"),
        (ECH_SERVER, "pass a ClientConfig"),
    ],
)
async def test_a_configuration_that_cannot_be_used(
    server: DNSServer, config: ClientConfig, text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        await call(server, 443, config=config)
    assert server.asked == []


async def test_early_data_is_checked_before_the_lookup(server: DNSServer) -> None:
    with pytest.raises(ConfigError, match="early_data"):
        await call(server, 443, early_data=bytes(2**20))
    assert server.asked == []


async def test_an_address_needs_no_dns(server: DNSServer, nursery: trio.Nursery) -> None:
    config = replace(ECH_SERVER, credentials=authority.issue(HOST), ech_keys=())
    port = await serve(nursery, config)
    async with await open_tls_to_service(
        HOST, port, config=CLIENT, resolver=server.resolver()
    ) as stream:
        assert (await stream.receive_some()).endswith(b"in the clear")
    assert server.asked == []


async def test_a_cancelled_call_leaves_no_connection_open(
    server: DNSServer, nursery: trio.Nursery
) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host=HOST)
    async with listener:
        port = listener.socket.getsockname()[1]
        server.add(NAME, "HTTPS", f"1 . port={port}")
        server.add(NAME, "A", HOST)
        scope, ended = trio.CancelScope(), trio.Event()

        async def connect() -> None:
            with scope:
                await call(server, 443)
            ended.set()

        nursery.start_soon(connect)
        async with await listener.accept() as connection:
            assert (await connection.receive_some()).startswith(b"\x16\3\1")
            scope.cancel()
            received = b""
            async for data in connection:
                received += data
    await ended.wait()
    assert scope.cancelled_caught


# The configurations alone, for connections that something else opens


async def test_lookup_as_the_function_of_a_configuration(
    server: DNSServer, nursery: trio.Nursery
) -> None:
    port = await serve(nursery)
    owner = f"_{port}._https.{NAME}"
    server.add(owner, "HTTPS", f"1 {NAME}. {ECH}")
    ech = partial(lookup_ech, port=port, resolver=server.resolver())
    config = replace(CLIENT, ech=ech)

    async def connect() -> str:
        transport = await trio.open_tcp_stream(HOST, port)
        async with TLSStream(transport, config, server_hostname=NAME) as stream:
            return (await stream.receive_some()).decode()

    assert await connect() == HIDDEN
    server.add(owner, "HTTPS", f"1 {NAME}.")
    assert await connect() == CLEAR
    server.add(owner, "HTTPS", f"1 pool.example. port=8443 {ECH}")
    with pytest.raises(trio.BrokenResourceError, match="ServiceLookupError") as caught:
        await connect()
    assert caught.value.__cause__ is not None
    assert "for pool.example:8443 only" in str(caught.value.__cause__.__cause__)


async def test_lookup_of_configurations_follows_cnames(server: DNSServer) -> None:
    server.add(NAME, "CNAME", "edge.example.")
    server.add("edge.example", "HTTPS", f"1 . {ECH}")
    assert await lookup_ech(NAME, resolver=server.resolver()) == key.config_list


async def test_lookup_of_configurations_without_records(server: DNSServer) -> None:
    assert await lookup_ech(NAME, resolver=server.resolver()) is None


async def test_nothing_else_looks_anything_up(
    server: DNSServer, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: object, **__: object) -> None:
        raise AssertionError("a lookup")

    monkeypatch.setattr(dns.asyncresolver.Resolver, "resolve", resolve)
    port = await serve(nursery)
    stream = await open_tls_over_tcp_stream(HOST, port, config=CLIENT, server_hostname=NAME)
    async with stream:
        assert (await stream.receive_some()).decode() == CLEAR


async def test_resolver_over_tls(server: DNSServer, nursery: trio.Nursery, tmp_path: Any) -> None:
    """DNS over TLS (RFC 7858) hides the name from those on the path to the resolver."""
    config = ServerConfig(credentials=authority.issue("dns.example"))
    listeners: list[TLSListener[trio.SocketStream]] = await nursery.start(
        partial(serve_tls_over_tcp, server.serve_stream, 0, config, host=HOST)
    )
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(authority.pem)
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [
        dns.nameserver.DoTNameserver(HOST, listeners[0].port, "dns.example", str(ca_file))
    ]
    server.add(NAME, "HTTPS", f"1 . {ECH}")
    assert await lookup_ech(NAME, resolver=resolver) == key.config_list


# Several addresses


async def test_the_next_address_is_tried_after_a_failure(nursery: trio.Nursery) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host=HOST)
    async with listener:
        port = listener.socket.getsockname()[1]
        stream = await open_tcp_to_any(["127.0.0.2", HOST], port, 1000)
        async with stream:
            assert stream.socket.getpeername() == (HOST, port)


class Attempts:
    """Replaces trio.open_tcp_stream: some addresses do not answer, the others answer together."""

    def __init__(self, answering: set[str]) -> None:
        self.answering = answering
        self.all_started = trio.Event()
        self.started: list[tuple[float, str]] = []
        self.sockets: list[trio.socket.SocketType] = []

    async def __call__(self, address: str, port: int) -> trio.SocketStream:
        self.started.append((trio.current_time(), address))
        if address not in self.answering:
            await trio.sleep_forever()
        if self.answering.issubset(address for _, address in self.started):
            self.all_started.set()
        with trio.CancelScope(shield=True):
            await self.all_started.wait()
        sock, peer = trio.socket.socketpair()
        peer.close()
        self.sockets.append(sock)
        return trio.SocketStream(sock)


async def test_the_next_address_is_tried_after_the_delay(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    attempts = Attempts({"c"})
    monkeypatch.setattr(trio, "open_tcp_stream", attempts)
    start = trio.current_time()
    async with await open_tcp_to_any(["a", "b", "c", "d"], 443, 0.25):
        assert attempts.started == [(start, "a"), (start + 0.25, "b"), (start + 0.5, "c")]


async def test_only_one_of_two_connections_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = Attempts({"a", "b"})
    monkeypatch.setattr(trio, "open_tcp_stream", attempts)
    stream = await open_tcp_to_any(["a", "b"], 443, 0)
    assert sorted(sock.fileno() >= 0 for sock in attempts.sockets) == [False, True]
    await stream.aclose()


async def test_a_connection_that_is_made_while_cancelled_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts = Attempts({"a"})
    monkeypatch.setattr(trio, "open_tcp_stream", attempts)
    with trio.CancelScope() as scope:
        scope.cancel()
        await open_tcp_to_any(["a"], 443, 0)
    assert scope.cancelled_caught
    assert [sock.fileno() for sock in attempts.sockets] == [-1]


async def test_no_address_answers() -> None:
    port = await unused_port()
    with pytest.raises(OSError, match=r"connect to 127\.0\.0\.1, 127\.0\.0\.2 at port") as caught:
        await open_tcp_to_any([HOST, "127.0.0.2"], port, 0.25)
    assert len(causes(caught.value)) == 2
