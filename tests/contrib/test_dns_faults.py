"""DNS servers that fail or attack: a lookup that fails is never one without records."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

import dns.flags
import dns.message
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest
import trio
import trio.testing
from dns.rcode import Rcode
from dns_server import DNSServer, ech_parameter, question, running_dns
from ech_pairs import key

from trio_tlsx.contrib.dns import Endpoint, ServiceLookupError, lookup_addresses, lookup_service
from trio_tlsx.contrib.dns.lookup import LOOKUP_TIMEOUT, system_resolver
from trio_tlsx.contrib.dns.records import MAX_ECH_LENGTH, MAX_SERVICE_RECORDS

NAME = "private.example"
ASKED = question(NAME, "HTTPS")
ECH = ech_parameter(key.config_list)

#: A priority of 1, and the root as the target.
SERVICE = b"\0\1\0"


@pytest.fixture
async def server() -> AsyncGenerator[DNSServer]:
    async with running_dns() as server:
        yield server


async def rejection(server: DNSServer) -> str:
    with pytest.raises(ServiceLookupError) as caught:
        await lookup_service(NAME, resolver=server.resolver())
    return str(caught.value)


@pytest.mark.parametrize("rcode", [Rcode.SERVFAIL, Rcode.REFUSED, Rcode.NOTIMP, Rcode.FORMERR])
async def test_an_error_of_the_server_is_an_error(server: DNSServer, rcode: Rcode) -> None:
    """RFC 9460 3.1: an attacker could turn Encrypted Client Hello off otherwise."""
    server.rcodes[ASKED] = rcode
    assert rcode.name in await rejection(server)


async def test_an_error_at_the_end_of_an_alias_is_an_error(server: DNSServer) -> None:
    server.add(NAME, "HTTPS", "0 pool.example.")
    server.rcodes[question("pool.example", "HTTPS")] = Rcode.SERVFAIL
    assert "HTTPS records of pool.example" in await rejection(server)


async def test_a_server_that_cannot_be_reached(server: DNSServer) -> None:
    resolver = server.resolver()
    resolver.nameservers = ["::1"]  # it listens on another address
    with pytest.raises(ServiceLookupError):
        await lookup_service(NAME, resolver=resolver)


async def test_a_server_that_does_not_answer(
    server: DNSServer, autojump_clock: trio.testing.MockClock
) -> None:
    server.silent.add(ASKED)
    resolver = server.resolver()
    start = trio.current_time()
    with pytest.raises(ServiceLookupError, match=f"within {LOOKUP_TIMEOUT} s"):
        await lookup_service(NAME, resolver=resolver)
    assert trio.current_time() - start == LOOKUP_TIMEOUT


async def test_a_server_that_answers_about_no_address(
    server: DNSServer, autojump_clock: trio.testing.MockClock
) -> None:
    server.silent |= {question("a.example", "A"), question("a.example", "AAAA")}
    endpoint = Endpoint("a.example", 443, hints=("192.0.2.1",))
    start = trio.current_time()
    assert await lookup_addresses(endpoint, resolver=server.resolver()) == endpoint.hints
    assert trio.current_time() - start == LOOKUP_TIMEOUT


async def test_a_lookup_can_be_cancelled(server: DNSServer) -> None:
    server.silent.add(ASKED)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rejection, server)
        while not server.asked:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert nursery.cancel_scope.cancelled_caught


async def test_a_truncated_answer_is_asked_for_over_tcp(server: DNSServer) -> None:
    server.truncates = True
    server.add(NAME, "HTTPS", f"1 . {ECH}")
    binding = await lookup_service(NAME, resolver=server.resolver())
    assert binding.endpoints[0].ech == key.config_list
    assert [transport for *_, transport in server.asked] == ["UDP", "TCP"]


def without_the_end(answer: bytes) -> bytes:
    return answer[:-1]


def with_another_tcp_id(answer: bytes) -> bytes:
    return answer[:2] + bytes([answer[2] ^ 1]) + answer[3:]


def with_more_after_it(answer: bytes) -> bytes:
    return (len(answer) - 1).to_bytes(2) + answer[2:] + b"\0"


def nothing(answer: bytes) -> bytes:
    return b"\0\0"


@pytest.mark.parametrize(
    "over_tcp", [without_the_end, with_another_tcp_id, with_more_after_it, nothing]
)
async def test_faults_of_an_answer_over_tcp(
    server: DNSServer, over_tcp: Callable[[bytes], bytes]
) -> None:
    server.truncates = True
    server.over_tcp = over_tcp
    server.add(NAME, "HTTPS", "1 attacker.example.")
    assert "HTTPS records of private.example failed" in await rejection(server)


async def test_an_answer_over_tcp_that_does_not_end(
    server: DNSServer, autojump_clock: trio.testing.MockClock
) -> None:
    server.truncates = True
    server.over_tcp = without_the_end
    server.hangs_after_answer = True
    start = trio.current_time()
    assert f"within {LOOKUP_TIMEOUT} s" in await rejection(server)
    assert trio.current_time() - start == LOOKUP_TIMEOUT


def forged(query: dns.message.Message, **changes: object) -> dns.message.Message:
    """An answer without ``ech`` that leads to the attacker."""
    answer = dns.message.make_response(query)
    rrset = dns.rrset.from_text(query.question[0].name, 60, "IN", "HTTPS", "1 attacker.example.")
    answer.answer.append(rrset)
    for name, value in changes.items():
        setattr(answer, name, value)
    return answer


def with_another_id(query: dns.message.Message) -> list[bytes]:
    return [forged(query, id=(query.id + n) % 2**16).to_wire() for n in range(1, 20)]


def with_another_question(query: dns.message.Message) -> list[bytes]:
    other = dns.message.make_query("other.example.", dns.rdatatype.HTTPS)
    return [forged(other, id=query.id).to_wire()]


def a_question(query: dns.message.Message) -> list[bytes]:
    return [forged(query, flags=dns.flags.RD).to_wire()]


def rubbish(query: dns.message.Message) -> list[bytes]:
    return [b"", b"\0", forged(query).to_wire()[:20], bytes(1000)]


def a_name_that_points_to_itself(query: dns.message.Message) -> list[bytes]:
    return [query.id.to_bytes(2) + b"\x84\0\0\1\0\0\0\0\0\0\xc0\x0c\0\x41\0\1"]


@pytest.mark.parametrize(
    "before",
    [
        with_another_id,
        with_another_question,
        a_question,
        rubbish,
        a_name_that_points_to_itself,
    ],
)
async def test_forged_answers_are_ignored(
    server: DNSServer, before: Callable[[dns.message.Message], list[bytes]]
) -> None:
    server.before = before
    server.add(NAME, "HTTPS", f"1 . {ECH}")
    binding = await lookup_service(NAME, resolver=server.resolver())
    assert [endpoint.target for endpoint in binding.endpoints] == [NAME]
    assert binding.requires_ech


async def test_an_answer_from_another_address_is_ignored(server: DNSServer) -> None:
    server.add(NAME, "HTTPS", f"1 . {ECH}")
    server.before = lambda query: [forged(query).to_wire()]
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.2", server.port))
        server.sender = sock
        binding = await lookup_service(NAME, resolver=server.resolver())
    assert [endpoint.target for endpoint in binding.endpoints] == [NAME]
    assert binding.requires_ech


async def test_the_same_answer_from_the_address_of_the_server_is_believed(
    server: DNSServer,
) -> None:
    server.add(NAME, "HTTPS", f"1 . {ECH}")
    server.before = lambda query: [forged(query).to_wire()]
    binding = await lookup_service(NAME, resolver=server.resolver())
    assert binding.endpoints[0].target == "attacker.example"


MALFORMED = {
    "an alias with a part of a name": b"\0\0\5abc",
    "no target": b"\0\1",
    "a parameter without a length": SERVICE + b"\0\1",
    "a parameter that is cut": SERVICE + b"\0\1\0\5\2h2",
    "keys out of order": SERVICE + b"\0\3\0\2\1\xbb\0\1\0\3\2h2",
    "a key twice": SERVICE + b"\0\3\0\2\1\xbb\0\3\0\2\1\xbb",
    "an empty alpn": SERVICE + b"\0\1\0\0",
    "an empty protocol": SERVICE + b"\0\1\0\1\0",
    "a protocol that is cut": SERVICE + b"\0\1\0\3\5h2",
    "a port of one byte": SERVICE + b"\0\3\0\1\1",
    "half an address": SERVICE + b"\0\4\0\2\1\2",
    "no address": SERVICE + b"\0\4\0\0",
    "mandatory without its key": SERVICE + b"\0\0\0\2\0\1",
    "mandatory that names itself": SERVICE + b"\0\0\0\2\0\0",
    "mandatory out of order": SERVICE + b"\0\0\0\4\0\3\0\1\0\1\0\3\2h2\0\3\0\2\1\xbb",
    "no-default-alpn with a value": SERVICE + b"\0\1\0\3\2h2\0\2\0\1\0",
    "no-default-alpn alone": SERVICE + b"\0\2\0\0",
    "ech of another length": SERVICE + b"\0\5\0\6\0\5\xfe\x0d\0\0",
}


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_records_are_an_error(server: DNSServer, value: bytes) -> None:
    """Not a service without records: the client would send the name in the clear."""
    server.truncates = True  # over UDP a malformed answer is ignored, and time runs out
    server.add_raw(NAME, "HTTPS", value)
    assert "HTTPS records of private.example failed" in await rejection(server)


async def test_a_malformed_ech_parameter_is_an_error(server: DNSServer) -> None:
    body = b"\xfe\x0d\0\2\1\1"  # a config that ends in the middle
    server.add(NAME, "HTTPS", f"1 a.example. {ech_parameter(len(body).to_bytes(2) + body)}", "2 .")
    assert "ech parameter of a.example in DNS is malformed" in await rejection(server)


async def test_length_of_the_ech_parameter(server: DNSServer) -> None:
    def configs(length: int) -> str:
        body = b"\xfe\x0a" + (length - 6).to_bytes(2) + bytes(length - 6)
        return ech_parameter(len(body).to_bytes(2) + body)

    server.add(NAME, "HTTPS", f"1 . {configs(MAX_ECH_LENGTH)}")
    await lookup_service(NAME, resolver=server.resolver())
    server.add(NAME, "HTTPS", f"1 . {configs(MAX_ECH_LENGTH + 1)}")
    assert f"has {MAX_ECH_LENGTH + 1} bytes" in await rejection(server)


async def test_number_of_records(server: DNSServer) -> None:
    records = [f"1 t{n}.example." for n in range(MAX_SERVICE_RECORDS)]
    server.add(NAME, "HTTPS", *records)
    await lookup_service(NAME, resolver=server.resolver())
    server.add(NAME, "HTTPS", *records, "1 .")
    assert f"has {MAX_SERVICE_RECORDS + 1} service records" in await rejection(server)


async def test_the_largest_answer(server: DNSServer) -> None:
    """A message of DNS has at most 65,535 bytes."""
    server.truncates = True
    hints = bytes(4) * 15000
    server.add_raw(NAME, "HTTPS", SERVICE + b"\0\4" + len(hints).to_bytes(2) + hints)
    binding = await lookup_service(NAME, resolver=server.resolver())
    assert binding.endpoints[0].hints == ("0.0.0.0",) * 16


async def test_a_loop_of_cnames_is_an_error(server: DNSServer) -> None:
    server.add(NAME, "CNAME", "a.example.")
    server.add("a.example", "CNAME", f"{NAME}.")
    assert "HTTPS records of private.example failed" in await rejection(server)


async def test_a_target_with_unusual_characters(server: DNSServer) -> None:
    server.add_raw(NAME, "HTTPS", b"\0\1\4a\0.\n\7example\0")
    endpoint, _ = (await lookup_service(NAME, resolver=server.resolver())).endpoints
    assert endpoint.target == r"a\000\.\010.example"
    with pytest.raises(ServiceLookupError, match=r"no address of a\\000\\.\\010.example"):
        await lookup_addresses(endpoint, resolver=server.resolver())
    assert server.questions("A") == [endpoint.target]


def test_a_system_without_a_dns_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr("dns.asyncresolver.Resolver", fail)
    with pytest.raises(ServiceLookupError, match="no DNS server configured"):
        system_resolver()
