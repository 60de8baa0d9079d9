"""Services in DNS, asked from a server on loopback (RFC 9460, RFC 9848)."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator

import pytest
from dns.rcode import Rcode
from dns_server import DNSServer, ech_parameter, question, running_dns
from ech_pairs import key

from trio_tlsx import ConfigError
from trio_tlsx.contrib.dns import (
    Endpoint,
    ServiceBinding,
    ServiceLookupError,
    lookup_addresses,
    lookup_service,
)
from trio_tlsx.contrib.dns.lookup import MAX_ALIASES
from trio_tlsx.contrib.dns.records import (
    MAX_ENDPOINT_ADDRESSES,
)

NAME = "private.example"
ECH = ech_parameter(key.config_list)
HTTP11 = (b"http/1.1",)
#: The endpoint of a service without records.
AUTHORITY = Endpoint(NAME, 443)


@pytest.fixture
async def server() -> AsyncGenerator[DNSServer]:
    async with running_dns() as server:
        yield server


def https(target: str = NAME, port: int = 443, ech: bytes | None = None) -> Endpoint:
    """An endpoint of an HTTPS record without ``alpn``."""
    return Endpoint(target, port, ech, HTTP11)


async def look_up(server: DNSServer, port: int = 443, **options: object) -> ServiceBinding:
    return await lookup_service(NAME, port, resolver=server.resolver(), **options)  # pyright: ignore[reportArgumentType]


async def endpoints(server: DNSServer, **options: object) -> tuple[Endpoint, ...]:
    return (await look_up(server, **options)).endpoints  # pyright: ignore[reportArgumentType]


# The names of the records


@pytest.mark.parametrize(
    ("port", "scheme", "kind", "name"),
    [
        (443, "https", "HTTPS", NAME),
        (8443, "https", "HTTPS", f"_8443._https.{NAME}"),
        (443, "foo", "SVCB", f"_443._foo.{NAME}"),
        (853, "dns", "SVCB", f"_853._dns.{NAME}"),
    ],
)
async def test_names_of_the_records(
    server: DNSServer, port: int, scheme: str, kind: str, name: str
) -> None:
    server.add(name, kind, "1 svc.example.")
    binding = await look_up(server, port, scheme=scheme)
    protocols = HTTP11 if scheme == "https" else ()
    service = Endpoint("svc.example", port, alpn_protocols=protocols)
    assert binding.endpoints == (service, Endpoint(NAME, port))
    assert server.questions(kind) == [name]


@pytest.mark.parametrize("name", [NAME.upper(), f"{NAME}.", NAME])
async def test_name_is_normalized(server: DNSServer, name: str) -> None:
    binding = await lookup_service(name, resolver=server.resolver())
    assert binding == ServiceBinding(NAME, 443, NAME, (AUTHORITY,), False)


async def test_internationalized_name(server: DNSServer) -> None:
    await lookup_service("bücher.example", resolver=server.resolver())
    assert server.questions("HTTPS") == ["xn--bcher-kva.example"]


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
async def test_an_address_is_not_looked_up(server: DNSServer, address: str) -> None:
    binding = await lookup_service(address, resolver=server.resolver())
    assert binding.endpoints == (Endpoint(address, 443, hints=(address,)),)
    assert await lookup_addresses(binding.endpoints[0], resolver=server.resolver()) == (address,)
    assert server.asked == []


@pytest.mark.parametrize("scheme", ["http", "ws", "wss"])
async def test_schemes_that_are_looked_up_as_https(server: DNSServer, scheme: str) -> None:
    with pytest.raises(ConfigError, match="pass scheme='https'"):
        await look_up(server, scheme=scheme)


@pytest.mark.parametrize("scheme", ["", "FOO", "a.b", "_foo", "x" * 63])
async def test_a_scheme_that_cannot_be_a_label_is_rejected(server: DNSServer, scheme: str) -> None:
    with pytest.raises(ConfigError, match="not a URI scheme"):
        await look_up(server, scheme=scheme)


async def test_a_name_that_is_too_long_for_the_prefix(server: DNSServer) -> None:
    name = ".".join(["x" * 63] * 3 + ["x" * 61])
    with pytest.raises(ConfigError, match=r"too long for the prefix _8443\._https\."):
        await lookup_service(name, 8443, resolver=server.resolver())


# Records in ServiceMode


async def test_parameters_of_a_record(server: DNSServer) -> None:
    record = f"1 svc.example. alpn=h2,h3 port=8443 ipv4hint=192.0.2.1 {ECH} ipv6hint=2001:db8::1"
    server.add(NAME, "HTTPS", record)
    binding = await look_up(server)
    (endpoint,) = binding.endpoints
    assert binding.requires_ech
    assert (endpoint.target, endpoint.port) == ("svc.example", 8443)
    assert endpoint.alpn_protocols == (b"h2", b"h3", b"http/1.1")
    assert endpoint.ech == key.config_list
    assert endpoint.can_encrypt
    assert set(endpoint.hints) == {"192.0.2.1", "2001:db8::1"}


async def test_endpoints_have_the_order_of_their_priorities(server: DNSServer) -> None:
    server.add(NAME, "HTTPS", "30 c.example.", "1 a.example.", "2 b.example.")
    targets = [endpoint.target for endpoint in await endpoints(server)]
    assert targets == ["a.example", "b.example", "c.example", NAME]


async def test_endpoints_of_one_priority_are_shuffled(server: DNSServer) -> None:
    server.add(NAME, "HTTPS", *(f"1 t{n}.example." for n in range(8)))
    orders = {await endpoints(server) for _ in range(10)}
    assert len(orders) > 1


async def test_the_root_stands_for_the_owner(server: DNSServer) -> None:
    server.add(NAME, "HTTPS", "1 . port=8443")
    assert await endpoints(server) == (https(port=8443), AUTHORITY)


async def test_the_owner_is_the_end_of_the_cnames(server: DNSServer) -> None:
    server.add(NAME, "CNAME", "edge.example.")
    server.add("edge.example", "HTTPS", f"1 . {ECH}")
    binding = await look_up(server)
    assert binding.endpoints == (https("edge.example", ech=key.config_list),)
    assert binding.canonical_name == "edge.example"


async def test_a_record_of_the_service_itself_needs_no_fallback(server: DNSServer) -> None:
    server.add(NAME, "HTTPS", "1 .")
    assert await endpoints(server) == (https(),)


async def test_unknown_parameters_are_ignored(server: DNSServer) -> None:
    server.add(NAME, "HTTPS", "1 a.example. key65333=x key65334")
    assert await endpoints(server) == (https("a.example"), AUTHORITY)


@pytest.mark.parametrize(
    ("parameters", "is_followed"),
    [
        ("mandatory=alpn,port alpn=http/1.1 port=443", True),
        (f"mandatory=ech {ECH}", True),
        ("mandatory=ipv4hint,ipv6hint ipv4hint=192.0.2.1 ipv6hint=2001:db8::1", True),
        ("mandatory=key65333 key65333=x", False),
        ("mandatory=alpn,key65333 alpn=h2 key65333=x", False),
        ("mandatory=dohpath dohpath=/q{?dns}", False),
        # Another version of ECHConfig than this library has.
        ("mandatory=ech ech=AAj+CgAEAAAAAA==", False),
        ("port=0", False),
    ],
)
async def test_mandatory_parameters(
    server: DNSServer, parameters: str, *, is_followed: bool
) -> None:
    server.add(NAME, "HTTPS", f"1 a.example. {parameters}")
    found = await endpoints(server)
    assert found[0].target == ("a.example" if is_followed else NAME)


async def test_hints_are_shuffled_and_bounded(server: DNSServer) -> None:
    addresses = [f"192.0.2.{n}" for n in range(100)]
    server.add(NAME, "HTTPS", f"1 a.example. ipv4hint={','.join(addresses)}")
    endpoint, _ = await endpoints(server)
    assert len(endpoint.hints) == MAX_ENDPOINT_ADDRESSES
    assert list(endpoint.hints) != addresses[:MAX_ENDPOINT_ADDRESSES]


# Application protocols


@pytest.mark.parametrize(
    ("parameters", "offered", "is_followed"),
    [
        ("", [], True),
        ("", ["http/1.1"], True),
        ("", ["h2"], False),
        ("alpn=h2,h3", ["h2"], True),
        ("alpn=h3", ["h2", "http/1.1"], True),
        ("alpn=h3", [], True),
        ("alpn=h3 no-default-alpn", ["h2", "http/1.1"], False),
        ("alpn=h2 no-default-alpn", ["h2"], True),
        ("alpn=h2 no-default-alpn", [], False),
    ],
)
async def test_protocols_of_a_record(
    server: DNSServer, parameters: str, offered: list[str], *, is_followed: bool
) -> None:
    server.add(NAME, "HTTPS", f"1 a.example. {parameters}")
    found = await endpoints(server, alpn_protocols=offered)
    assert [endpoint.target for endpoint in found] == ["a.example", NAME][not is_followed :]


async def test_other_schemes_have_no_default_protocol(server: DNSServer) -> None:
    server.add(f"_443._foo.{NAME}", "SVCB", "1 a.example. alpn=bar", "2 b.example.")
    found = await endpoints(server, scheme="foo", alpn_protocols=["baz"])
    assert [endpoint.target for endpoint in found] == ["b.example", NAME]


async def test_a_service_with_ech_for_other_protocols_only(server: DNSServer) -> None:
    """The records apply to this client, so that it must not connect without them."""
    server.add(NAME, "HTTPS", f"1 . alpn=h3 no-default-alpn {ECH}")
    with pytest.raises(ServiceLookupError, match=r"no endpoint of private\.example:443 with"):
        await look_up(server, alpn_protocols=["h2"])


async def test_an_endpoint_for_other_protocols_without_ech_allows_no_fallback(
    server: DNSServer,
) -> None:
    server.add(NAME, "HTTPS", "1 a.example. alpn=h3 no-default-alpn", f"2 . {ECH}")
    binding = await look_up(server, alpn_protocols=["http/1.1"])
    assert binding.requires_ech
    assert binding.endpoints == (https(ech=key.config_list),)


# Fallback


async def test_without_records_the_service_itself_is_left(server: DNSServer) -> None:
    assert await endpoints(server) == (AUTHORITY,)  # the name does not exist
    server.add(NAME, "A", "127.0.0.1")
    assert await endpoints(server) == (AUTHORITY,)  # it has other records
    server.add(NAME, "HTTPS", "1 . mandatory=key65333 key65333=x")
    assert await endpoints(server) == (AUTHORITY,)  # this client can follow none


async def test_there_is_no_fallback_if_all_records_have_ech(server: DNSServer) -> None:
    """RFC 9848 5.1."""
    records = [f"1 a.example. {ECH}", f"2 b.example. {ECH}"]
    server.add(NAME, "HTTPS", *records)
    binding = await look_up(server)
    assert binding.requires_ech
    assert [endpoint.target for endpoint in binding.endpoints] == ["a.example", "b.example"]
    server.add(NAME, "HTTPS", *records, "3 c.example.")
    binding = await look_up(server)
    assert not binding.requires_ech
    targets = [endpoint.target for endpoint in binding.endpoints]
    assert targets == ["a.example", "b.example", "c.example", NAME]


async def test_a_record_that_no_client_can_follow_does_not_allow_a_fallback(
    server: DNSServer,
) -> None:
    server.add(NAME, "HTTPS", f"1 . {ECH}", "2 a.example. mandatory=key65333 key65333=x")
    assert (await look_up(server)).requires_ech


async def test_unusable_configurations_do_not_allow_a_fallback(server: DNSServer) -> None:
    server.add(NAME, "HTTPS", "1 a.example. ech=AAj+CgAEAAAAAA==")
    binding = await look_up(server)
    assert binding.requires_ech
    assert [endpoint.can_encrypt for endpoint in binding.endpoints] == [False]


# Aliases


async def test_aliases_are_followed(server: DNSServer) -> None:
    server.add(f"_8443._https.{NAME}", "HTTPS", "0 a.example.")
    server.add("a.example", "HTTPS", "0 b.example.")
    server.add("b.example", "HTTPS", "1 . port=9443", "2 c.example.")
    binding = await look_up(server, 8443)
    assert binding.endpoints == (
        https("b.example", 9443),
        https("c.example", 8443),
        # RFC 9460 3: the end of the aliases, and then the service itself.
        Endpoint("b.example", 8443),
        Endpoint(NAME, 8443),
    )
    assert server.questions("HTTPS") == [f"_8443._https.{NAME}", "a.example", "b.example"]


async def test_an_alias_of_a_name_without_records(server: DNSServer) -> None:
    server.add(NAME, "HTTPS", "0 pool.example.")
    assert await endpoints(server) == (Endpoint("pool.example", 443), AUTHORITY)


async def test_an_alias_of_records_with_ech_allows_no_fallback(server: DNSServer) -> None:
    server.add(NAME, "HTTPS", "0 pool.example.")
    server.add("pool.example", "HTTPS", f"1 . {ECH}")
    assert await endpoints(server) == (https("pool.example", ech=key.config_list),)


async def test_an_alias_hides_the_other_records_of_its_name(server: DNSServer) -> None:
    server.add(NAME, "HTTPS", f"1 a.example. {ECH}", "0 pool.example.")
    assert await endpoints(server) == (Endpoint("pool.example", 443), AUTHORITY)


async def test_one_of_several_aliases_is_selected_at_random(server: DNSServer) -> None:
    server.add(NAME, "HTTPS", *(f"0 t{n}.example." for n in range(8)))
    assert len({(await endpoints(server))[0].target for _ in range(20)}) > 1


async def test_an_alias_of_the_root_says_that_the_service_does_not_exist(
    server: DNSServer,
) -> None:
    server.add(NAME, "HTTPS", "0 .")
    with pytest.raises(ServiceLookupError, match=r"private\.example:443 does not exist"):
        await look_up(server)


@pytest.mark.parametrize("other", [NAME, "a.example"])
async def test_a_loop_of_aliases_ends(server: DNSServer, other: str) -> None:
    """RFC 9460 3.1: as if there were no records."""
    server.add(NAME, "HTTPS", f"0 {other}.")
    server.add(other, "HTTPS", f"0 {NAME}.")
    assert await endpoints(server) == (AUTHORITY,)
    assert len(server.asked) == MAX_ALIASES + 1


@pytest.mark.parametrize(("count", "is_followed"), [(MAX_ALIASES, True), (MAX_ALIASES + 1, False)])
async def test_number_of_aliases(server: DNSServer, count: int, *, is_followed: bool) -> None:
    names = [NAME, *(f"a{n}.example" for n in range(count))]
    for name, target in itertools.pairwise(names):
        server.add(name, "HTTPS", f"0 {target}.")
    server.add(names[-1], "HTTPS", "1 .")
    expected = (https(names[-1]), AUTHORITY) if is_followed else (AUTHORITY,)
    assert await endpoints(server) == expected


# Addresses


async def test_addresses_of_an_endpoint(server: DNSServer) -> None:
    server.add("a.example", "A", "192.0.2.1", "192.0.2.2", "192.0.2.3")
    server.add("a.example", "AAAA", "2001:db8::1")
    endpoint = Endpoint("a.example", 443, hints=("192.0.2.9",))
    addresses = await lookup_addresses(endpoint, resolver=server.resolver())
    assert addresses[0] == "2001:db8::1"
    assert set(addresses[1:]) == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}


async def test_the_families_take_turns(server: DNSServer) -> None:
    """RFC 8305 4: so that one family that does not work costs one delay at most."""
    server.add("a.example", "A", "192.0.2.1", "192.0.2.2")
    server.add("a.example", "AAAA", "2001:db8::1", "2001:db8::2", "2001:db8::3")
    addresses = await lookup_addresses(Endpoint("a.example", 443), resolver=server.resolver())
    assert [":" in address for address in addresses] == [True, False, True, False, True]


async def test_number_of_addresses(server: DNSServer) -> None:
    server.add("a.example", "A", *(f"192.0.2.{n}" for n in range(100)))
    addresses = await lookup_addresses(Endpoint("a.example", 443), resolver=server.resolver())
    assert len(addresses) == MAX_ENDPOINT_ADDRESSES


async def test_addresses_through_a_cname(server: DNSServer) -> None:
    server.add("a.example", "CNAME", "b.example.")
    server.add("b.example", "A", "192.0.2.1")
    addresses = await lookup_addresses(Endpoint("a.example", 443), resolver=server.resolver())
    assert addresses == ("192.0.2.1",)


@pytest.mark.parametrize("fault", ["no name", "no addresses", "SERVFAIL"])
async def test_hints_are_used_without_addresses(server: DNSServer, fault: str) -> None:
    if fault == "no addresses":
        server.add("a.example", "HTTPS", "1 .")
    if fault == "SERVFAIL":
        server.rcodes[question("a.example", "A")] = Rcode.SERVFAIL
        server.rcodes[question("a.example", "AAAA")] = Rcode.SERVFAIL
    hints = ("192.0.2.1", "2001:db8::1")
    resolver = server.resolver()
    assert await lookup_addresses(Endpoint("a.example", 443, hints=hints), resolver=resolver) == (
        hints
    )
    with pytest.raises(ServiceLookupError, match=r"no address of a\.example"):
        await lookup_addresses(Endpoint("a.example", 443), resolver=resolver)


async def test_one_family_suffices(server: DNSServer) -> None:
    server.add("a.example", "A", "192.0.2.1")
    server.rcodes[question("a.example", "AAAA")] = Rcode.SERVFAIL
    addresses = await lookup_addresses(Endpoint("a.example", 443), resolver=server.resolver())
    assert addresses == ("192.0.2.1",)
